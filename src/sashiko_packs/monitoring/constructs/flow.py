"""Monitoring of a served version: a window each week, its outcome as metrics, and alarms."""

from typing import Any, Final

from constructs import Construct

from sashiko.account.endpoint_spec import endpoint_name, served_package
from sashiko.account.names import arn, bucket_name, etl_name, model_package_arn, prefix
from sashiko.contract.glue import LATEST
from sashiko.contract.load import load_contract
from sashiko.errors import InputError
from sashiko.pipeline.project import contract_file, recipe_table
from sashiko.settings.environment import Settings, file_of
from sashiko.settings.recipe import Recipe
from sashiko_cdk.events.event_flows import EventFlows, StateMachine
from sashiko_cdk.events.language import (
    DAY_MS,
    MIDNIGHT,
    State,
    call,
    either,
    expression,
    fail,
    find_approved_version,
    find_load,
    flow,
    list_versions,
    literal,
    start_pipeline,
    text,
    time_of,
)
from sashiko_cdk.identity.allow import allow
from sashiko_cdk.lake.private_bucket import decrypt_objects
from sashiko_cdk.pack_parts import PipelineParts
from sashiko_cdk.stack import EnvironmentStack
from sashiko_packs.monitoring.constructs.alarms import add_alarms, add_dashboard, outcome_flow
from sashiko_packs.monitoring.places import (
    PUBLISHER,
    is_captured_by_schedule,
    may_be_silent,
    monitor_pipeline_name,
    monitor_places,
    window_machine,
)

__all__ = ["add_monitoring"]
# Not `version`, which each event of EventBridge has.
_CHOSEN: Final = "$states.input.model_version"
_METADATA: Final = "$states.result.CustomerMetadataProperties"
_NO_REFERENCE: Final = literal(
    " does not name what its answers are compared with, since it was registered before monitoring: "
    "approve and serve a newer version"
)


def window_flow(
    settings: Settings, recipe: Recipe, *, package_arn: str | None, table: str
) -> dict[str, Any]:
    """Returns the flow that a schedule starts: a window of seven days up to the day's begin, UTC.

    An execution that a person starts with `model_version` in its input judges that version instead,
    such as the one before a deploy, whose answers of the week are in no window otherwise.
    What the answers are compared with is named by the version's own metadata. The version and the
    window's end are the execution's idempotency token: SageMaker starts one execution however often
    the event is delivered. SageMaker refuses a job whose input has no object, so the flow looks for
    captures first. An endpoint that sleeps may be asked nothing: the window is then judged without
    any, and in the place of captures the job copies the earlier windows, which are always there.
    The table of the lake has the facets of the answers' rows. Where nothing is served
    (`package_arn` None), rows are scored by a schedule, and the newest approved version is judged.
    """
    silent = may_be_silent(settings)
    capture, endpoint = bucket_name(settings, "capture"), endpoint_name(settings, recipe)
    packages = model_package_arn(settings, recipe.model_package_group, "")
    served = (package_arn or "").rpartition("/")[2]
    named = ["reference_uri", "test_uri", *(["bias_rows_uri"] if recipe.bias.judged else [])]
    complete = " and ".join(f"$exists($metadata.{name})" for name in named)
    find: dict[str, Any] = {}
    if recipe.bias.judged and load_contract(contract_file(recipe)).lake is None:
        find = {"FindLoad": find_load(settings, table, next_state="Start")}
    elif recipe.bias.judged:  # one job reads it, so that job may take the newest snapshot
        find = {"FindLoad": {"Type": "Pass", "Assign": {"as_of": LATEST}, "Next": "Start"}}
    captured, following = f"s3://{capture}/{endpoint}/", next(iter(find), "Start")
    nothing = fail(
        "NothingCaptured",
        f"the endpoint {endpoint} has captured no request yet: {capture} has none",
    )
    if silent:
        windows = f"{monitor_places(settings, recipe).windows}/"
        nothing = {"Type": "Pass", "Assign": {"captures": windows}, "Next": following}
    return flow(
        "Starts the monitoring pipeline on the week that has ended",
        start="NameWindow",
        states={
            "NameWindow": {
                "Type": "Pass",
                "Assign": {
                    "time": expression("$states.input.time"),
                    "now": time_of("$toMillis($states.input.time)"),
                    "end": time_of(f"{MIDNIGHT} - 0"),
                    "start": time_of(f"{MIDNIGHT} - {7 * DAY_MS}"),
                    "version": expression(
                        f"$exists({_CHOSEN}) ? $string({_CHOSEN}) : {literal(served)}"
                    ),
                    **({"captures": captured} if silent else {}),
                },
                "Next": "ReadVersion" if served else "IsChosen",
            },
            **({} if served else _unserved(settings, recipe)),
            "ReadVersion": call(
                "aws-sdk:sagemaker:describeModelPackage",
                {"ModelPackageName": text(literal(packages), "$version")},
                Assign={"metadata": expression(f"$exists({_METADATA}) ? {_METADATA} : {{}}")},
                Next="HasReference",
            ),
            "HasReference": either(complete, "LookForCaptures", "NoReference"),
            "NoReference": fail(
                "NoReference", text(literal("version "), "$version", _NO_REFERENCE)
            ),
            "LookForCaptures": call(
                "aws-sdk:s3:listObjectsV2",
                {
                    "Bucket": capture,
                    "Prefix": f"{endpoint}/",
                    "MaxKeys": 1,
                    "ExpectedBucketOwner": settings.account,
                },
                Output={"objects": expression("$states.result.KeyCount")},
                Next="HasCaptures",
            ),
            "HasCaptures": either("$states.input.objects > 0", following, "NothingCaptured"),
            "NothingCaptured": nothing,
            **find,
            "Start": start_pipeline(
                monitor_pipeline_name(settings, recipe.name),
                token=text(literal("monitor-version-"), "$version", literal("-window-to-"), "$end"),
                display_name=text(literal("version-"), "$version", literal("-to-"), "$end"),
                parameters={
                    # With a slash: the prefix alone would also match other endpoints' names.
                    "CaptureUri": expression("$captures") if silent else captured,
                    "ModelVersion": expression("$version"),
                    "WindowStart": expression("$start"),
                    "WindowEnd": expression("$end"),
                    "Now": expression("$now"),
                    **{
                        name.title().replace("_", ""): expression(f"$metadata.{name}")
                        for name in named
                    },
                    **({"AsOf": expression("$as_of")} if find else {}),
                },
            ),
        },
    )


def _unserved(settings: Settings, recipe: Recipe) -> dict[str, State]:
    states = find_approved_version(settings, recipe.model_package_group, next_state="ReadVersion")
    return {"IsChosen": either("$version != ''", "ReadVersion", "FindVersion"), **states}


# Mondays: what was captured in a week's last minutes has arrived by then.
_WEEKLY: Final = "cron(0 6 ? * MON *)"
_DAY: Final = 24 * 3600
_LEAST_RETENTION_DAYS: Final = 9  # a week, the Monday itself, and a day to start a window again
_WINDOWS = "Windows are named by version and time; below one folder lie outcomes alone."
_VERSIONS = "A week may have answers of the versions before the served one: those of one group."
_METRICS = "CloudWatch metrics have no ARN; the condition limits the namespace."


def add_monitoring(stack: EnvironmentStack, parts: PipelineParts) -> list[StateMachine]:
    """Adds the monitoring of each recipe's version to a stack, where its answers are captured.

    That is the served one, or without one what a schedule scores by.

    Returns:
        Its state machines; none if no answer is captured.

    Raises:
        InputError: if the keys of `serving` do not fit each other, the environment or a recipe, or
            captures are deleted before their week is judged.
    """
    settings = stack.settings
    scheduled = is_captured_by_schedule(settings)
    if not settings.serving.capture.percent and not scheduled:
        return []
    monitored = [
        _Monitoring(
            stack,
            f"Monitor-{recipe.name}",
            settings=settings,
            flows=parts.flows,
            recipe=recipe,
            package_arn=package,
            artifacts_key_arn=parts.artifacts_key_arn,
        )
        for recipe in parts.deployment.recipes
        if (package := served_package(settings, recipe)) or scheduled
    ]
    if monitored:
        days = settings.serving.capture.retention // _DAY
        if days < _LEAST_RETENTION_DAYS:
            raise InputError(
                f"{file_of('serving', settings.environment)}: key `serving.capture.retention`: "
                f"{days}d; each Monday the week before is judged: keep captures for "
                f"{_LEAST_RETENTION_DAYS}d or more, or set `percent: 0`"
            )
    return [machine for item in monitored for machine in item.machines]


class _Monitoring(Construct):
    """The schedule, the two state machines and the alarms of one recipe's served version."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        flows: EventFlows,
        recipe: Recipe,
        package_arn: str | None,
        artifacts_key_arn: str,
    ) -> None:
        super().__init__(scope, id)
        self._settings = settings
        self._flows = flows
        self.recipe = recipe
        self._namespace = f"{prefix(settings)}/monitor"
        self._name = monitor_pipeline_name(settings, recipe.name)
        self._pipeline = arn(settings, "sagemaker", f"pipeline/{self._name}")
        starter, publisher = self._starter(package_arn), self._publisher(artifacts_key_arn)
        self.machines = (starter, publisher)
        self._rules(starter, publisher)
        group = endpoint_name(settings, recipe)
        add_alarms(self, settings=settings, recipe=recipe, namespace=self._namespace, group=group)
        add_dashboard(
            self, settings=settings, namespace=self._namespace, group=group, name=self._name
        )

    def _starter(self, package_arn: str | None) -> StateMachine:
        settings, recipe = self._settings, self.recipe
        captures = f"{endpoint_name(settings, recipe)}/"
        loaded = load_contract(contract_file(recipe)).lake is None
        job = arn(settings, "glue", f"job/{etl_name(settings, recipe_table(recipe))}")
        finding_load = allow(["glue:GetJobRuns"], [job])
        versions = model_package_arn(settings, recipe.model_package_group, "*")
        return self._flows.add_machine(
            self,
            "Start",
            name=window_machine(recipe.name),
            role="pipeline-starter",
            definition=window_flow(
                settings, recipe, package_arn=package_arn, table=recipe_table(recipe)
            ),
            allowed=[
                allow(["sagemaker:DescribeModelPackage"], [versions], why=_VERSIONS),
                *([] if package_arn else [list_versions(settings, recipe.model_package_group)]),
                allow(
                    ["s3:ListBucket"],
                    [f"arn:aws:s3:::{bucket_name(settings, 'capture')}"],
                    conditions={"StringEquals": {"s3:prefix": captures}},
                ),
                allow(["sagemaker:StartPipelineExecution"], [self._pipeline]),
                *([finding_load] if recipe.bias.judged and loaded else []),
            ],
            description=f"Starts the pipeline {self._name}",
        )

    def _publisher(self, key_arn: str) -> StateMachine:
        settings, recipe = self._settings, self.recipe
        windows = monitor_places(settings, recipe).windows.removeprefix("s3://")
        return self._flows.add_machine(
            self,
            "Publish",
            name=f"monitor-{recipe.name}-outcome",
            role=PUBLISHER,
            definition=outcome_flow(
                settings, recipe, namespace=self._namespace, dashboard=self._name
            ),
            allowed=[
                allow(
                    ["sagemaker:ListPipelineParametersForExecution"],
                    [f"{self._pipeline}/execution/*"],
                    why="Executions have made-up ids; they are those of this pipeline.",
                ),
                allow(["s3:GetObject"], [f"arn:aws:s3:::{windows}/*"], why=_WINDOWS),
                decrypt_objects(settings, key_arn, [bucket_name(settings, "artifacts")]),
                allow(
                    ["cloudwatch:PutMetricData"],
                    ["*"],
                    conditions={"StringEquals": {"cloudwatch:namespace": self._namespace}},
                    why=_METRICS,
                ),
            ],
            description="Publishes the outcomes of windows",
        )

    def _rules(self, starter: StateMachine, publisher: StateMachine) -> None:
        name = self.recipe.name
        self._flows.add_schedule(
            self, "Weekly", name=f"{name}-monitor-weekly",
            description="Each Monday the week before it is judged", schedule=_WEEKLY,
            target=starter,
        )  # fmt: skip
        self._flows.add_rule(
            self,
            "Judged",
            name=f"{name}-monitor-judged",
            description="The outcome of a window is published as metrics",
            source="aws.sagemaker",
            kind="SageMaker Model Building Pipeline Execution Status Change",
            detail={
                "pipelineArn": [self._pipeline],
                "currentPipelineExecutionStatus": ["Succeeded"],
            },
            target=publisher,
        )
