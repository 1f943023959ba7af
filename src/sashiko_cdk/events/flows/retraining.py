"""The states that follow a published outcome where an alarm may start a run."""

from dataclasses import asdict

from sashiko.aws.resources.names import function_arn, model_package_group_name, pipeline_name
from sashiko.contract.glue import NOTHING_LOADED
from sashiko.monitoring.retraining import guards_of
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_cdk.events.flows.language import State, call, either, expression, fail, literal
from sashiko_cdk.events.flows.newest_load import find_load

_ALARMS = "[$states.input.checks[outcome = 'alarm'].name]"


def retraining_states(settings: Settings, recipe: Recipe, *, table: str) -> dict[str, State]:
    """Returns the states from the outcome, which is their input, to the start of one pipeline.

    A function reads what the guards need, which a state machine could not page through. Its token
    is the execution's ("StartPipelineExecution", SageMaker API Reference): SageMaker starts one
    execution for a window, however often the event is delivered. The version that the run registers
    waits for a person as any other does.

    Args:
        settings: the environment.
        recipe: whose model is monitored, and whose pipeline starts.
        table: that the pipeline trains on.
    """
    pipeline = pipeline_name(settings, recipe.name)
    return {
        "HasAlarm": either(f"$count({_ALARMS}) > 0", "Decide", "NothingStarts"),
        "Decide": call(
            "lambda:invoke",
            {
                "FunctionName": function_arn(settings, "retrain-guard"),
                "Payload": {
                    "pipeline": pipeline,
                    "group": model_package_group_name(settings, recipe.model_package_group),
                    "version": expression("$states.input.version"),
                    "end": expression("$states.input.end"),
                    "alarms": expression(_ALARMS),
                    "labels": expression("$states.input.quality.labels.known"),
                    "guards": asdict(guards_of(recipe.monitor)),
                },
            },
            Assign={
                "decision": expression("$states.result.Payload"),
                "version": expression("$string($states.input.version)"),
                "alarms": expression(f"$join({_ALARMS}, ', ')"),
            },
            Next="MayStart",
        ),
        "MayStart": either("$count($decision.objections) = 0", "FindLoad", "NothingStarts"),
        "FindLoad": find_load(settings, table, next_state="IsLoaded"),
        "IsLoaded": either(f"$as_of != '{NOTHING_LOADED}'", "Start", "NothingLoaded"),
        "NothingLoaded": fail(
            "NothingLoaded",
            f"an alarm is to start {pipeline}, and no load of {table} has succeeded: load it, then "
            f"sashiko run --env {settings.environment} --recipe {recipe.name}",
        ),
        "Start": call(
            "aws-sdk:sagemaker:startPipelineExecution",
            {
                "PipelineName": pipeline,
                "ClientRequestToken": expression("$decision.token"),
                "PipelineExecutionDisplayName": expression("'alarm-of-version-' & $version"),
                # The API takes 3,072 characters.
                "PipelineExecutionDescription": expression(
                    f"$substring({literal('monitoring: ')} & $alarms, 0, 3000)"
                ),
                "PipelineParameters": [{"Name": "AsOf", "Value": expression("$as_of")}],
            },
            End=True,
        ),
        "NothingStarts": {"Type": "Succeed"},
    }
