from typing import Any

import pytest

from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import (
    Parameter,
    parameter_values,
    parse_definition,
)
from sashiko.pipeline.definition.graph import JobObjects, job_objects

JOB = {"Name": "Make", "Type": "Processing", "Arguments": {}}
FILE = {"PropertyFileName": "F", "OutputName": "out", "FilePath": "f.json"}
WORD = {"OutputName": "word", "OutputType": "String"}


def test_a_lambda_step_names_its_function() -> None:
    step: dict[str, Any] = {
        "Name": "Ask",
        "Type": "Lambda",
        "FunctionArn": "arn:aws:lambda:us-east-1:111122223333:function:ask",
        "Arguments": {"a": "b"},
        "OutputParameters": [],
    }
    (parsed,) = parse_definition({"Steps": [step]}).steps
    assert (parsed.function, parsed.is_job) == (step["FunctionArn"], False)
    with pytest.raises(InputError, match="step `Ask`, OutputParameters: not supported; write a"):
        parse_definition({"Steps": [step | {"OutputParameters": [WORD]}]})
    del step["FunctionArn"]
    with pytest.raises(InputError, match="key `FunctionArn` is missing"):
        parse_definition({"Steps": [step]})
    with pytest.raises(InputError, match="unknown key `FunctionArn`"):
        parse_definition({"Steps": [{**JOB, "FunctionArn": "arn"}]})


@pytest.mark.parametrize(("value", "message"), [
    ([], "definition: expected an object"),
    ({}, "key `Steps` is missing"),
    ({"Steps": [], "Surprise": 1}, "unknown key `Surprise`"),
    ({"Steps": {}}, "definition, Steps: expected a list"),
    ({"Steps": [JOB, JOB]}, "two steps are named `Make`"),
    ({"Steps": [{**JOB, "Type": "Tuning"}]}, "step `Make`: unknown Type `Tuning`"),
    ({"Steps": [{**JOB, "Retry": 1}]}, "Steps[0]: unknown key `Retry`"),
    ({"Steps": [{**JOB, "PropertyFiles": [FILE]}]}, "step `Make`, PropertyFiles: not supp"),
    ({"Steps": [{**JOB, "DependsOn": [{"Step": "A", "Trigger": "JOBED"}]}]},
     "step `Make`, DependsOn[0]: only a step's name"),
    ({"Steps": [], "MlflowConfig": {"Arn": "x"}}, "MlflowConfig: not supported"),
    ({"Steps": [], "PipelineExperimentConfig": {"ExperimentName": "x"}},
     "pass pipeline_experiment_config=None"),
    ({"Steps": [], "Parameters": [{"Name": "P", "Type": "Date"}]}, "unknown Type `Date`"),
])  # fmt: skip
def test_what_is_not_known_is_refused(value: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_definition(value)
    assert message in str(caught.value)


def parameter(kind: str, default: object = None, allowed: tuple[object, ...] = ()) -> Parameter:
    return Parameter(name="P", type=kind, default=default, allowed=allowed)


@pytest.mark.parametrize(("kind", "text", "expected"), [
    ("String", "7", "7"),
    ("Integer", "7", 7),
    ("Float", "0.5", 0.5),
    ("Boolean", "false", False),
    ("Boolean", "True", True),
])  # fmt: skip
def test_text_becomes_a_value_of_the_type(kind: str, text: str, expected: object) -> None:
    value = parameter_values([parameter(kind)], {"P": text})["P"]
    assert value == expected
    assert type(value) is type(expected)


def test_the_default_stands_in() -> None:
    assert parameter_values([parameter("Boolean", False)], {}) == {"P": False}


@pytest.mark.parametrize(("item", "texts", "message"), [
    (parameter("String"), {}, "parameter `P` (String) has no value"),
    (parameter("String"), {"P": "x", "Q": "y"}, "no parameter `Q`; it has: P"),
    (parameter("Integer"), {"P": "7.5"}, "'7.5' is not a Integer"),
    (parameter("Boolean"), {"P": "yes"}, "'yes' is not a Boolean"),
    (parameter("Integer", True), {}, "default True is not a Integer"),
    (parameter("String", "c", ("a", "b")), {}, "'c' is not one of a, b"),
    (parameter("String", "a", ("a", "b")), {"P": "c"}, "'c' is not one of a, b"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(item: Parameter, texts: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        parameter_values([item], texts)
    assert message in str(caught.value)


RUN = {"Get": "Execution.PipelineExecutionId"}


def joined(*parts: Any) -> dict[str, Any]:
    return {"Std:Join": {"On": "/", "Values": list(parts)}}


def processing(name: str, *, inputs: list[Any], outputs: dict[str, Any]) -> dict[str, Any]:
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "RoleArn": f"arn:role/{name}",
            "AppSpecification": {
                "ContainerArguments": ["--uri", joined("s3://b", RUN), "--n", "3"]
            },
            "ProcessingInputs": [
                {"InputName": str(index), "S3Input": {"S3Uri": uri}}
                for index, uri in enumerate(inputs)
            ],
            "ProcessingOutputConfig": {
                "Outputs": [
                    {"OutputName": output, "S3Output": {"S3Uri": uri}}
                    for output, uri in outputs.items()
                ]
            },
        },
    }


TRAIN = {
    "Name": "Train",
    "Type": "Training",
    "Arguments": {
        "RoleArn": "arn:role/Train",
        "InputDataConfig": [
            {
                "ChannelName": "rows",
                "DataSource": {
                    "S3DataSource": {
                        "S3Uri": {
                            "Get": "Steps.Make.ProcessingOutputConfig.Outputs['rows']"
                            ".S3Output.S3Uri"
                        }
                    }
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": joined("s3://b/runs", RUN, "Train")},
        "CheckpointConfig": {"S3Uri": "s3://b/checkpoints/"},
    },
}


def test_each_job_has_its_inputs_outputs_and_arguments() -> None:
    parameters = [
        {"Name": "Manifest", "Type": "String", "DefaultValue": "s3://b/source/1"},
        {"Name": "AsOf", "Type": "String"},
    ]
    make = processing(
        "Make",
        inputs=[{"Get": "Parameters.Manifest"}, joined("s3://b/data", {"Get": "Parameters.AsOf"})],
        outputs={"rows": joined("s3://b/runs", RUN, "Make/rows")},
    )
    use = processing(
        "Use", inputs=[{"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}], outputs={}
    )
    definition = parse_definition({"Parameters": parameters, "Steps": [use, TRAIN, make]})
    assert sorted(job_objects(definition), key=lambda job: job.step) == [
        JobObjects(
            step="Make", role="arn:role/Make", reads=("s3://b/source/1", "s3://b/data/*"),
            writes=("s3://b/runs/*/Make/rows",), arguments={"--uri": "s3://b/*"},
        ),
        JobObjects(
            step="Train", role="arn:role/Train",
            reads=("s3://b/runs/*/Make/rows", "s3://b/checkpoints"),
            writes=("s3://b/runs/*/Train", "s3://b/checkpoints"), arguments={},
        ),
        JobObjects(
            step="Use", role="arn:role/Use", reads=("s3://b/runs/*/Train/*/output/model.tar.gz",),
            writes=(), arguments={"--uri": "s3://b/*"},
        ),
    ]  # fmt: skip


def written(name: str, key: str = "") -> dict[str, Any]:
    uri = joined("s3://b/runs", RUN, name)
    outputs = {"Outputs": [{"OutputName": "verdict", "S3Output": {"S3Uri": uri}}]}
    more = {"KmsKeyId": key} if key else {}
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {"ProcessingOutputConfig": outputs | more},
    }


def output(step: str) -> dict[str, Any]:
    return {"Get": f"Steps.{step}.ProcessingOutputConfig.Outputs['verdict'].S3Output.S3Uri"}


def ask(name: str, **arguments: Any) -> dict[str, Any]:
    return {"Name": name, "Type": "Lambda", "FunctionArn": "arn", "Arguments": arguments}


def reads(*steps: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Function, URI and key of each object that a function reads."""
    from sashiko_cdk.pipeline.gatekeeper import function_reads  # the CDK starts a process

    parameters = [{"Name": "Place", "Type": "String"}]
    definition = parse_definition({"Parameters": parameters, "Steps": list(steps)})
    return [(read.function, read.uri, read.key) for read in function_reads(definition)]


def test_each_object_is_named_once_with_the_key_of_who_writes_it() -> None:
    objects = reads(
        ask("One", a=joined(output("Make"), "v.json"), b=joined(output("Plain"), "v.json"), n=3),
        ask("Two", a=joined(output("Make"), "v.json"), b="s3://b/fixed.json"),
        written("Make", "key"),
        written("Plain"),
    )
    assert sorted(objects) == [
        ("arn", "s3://b/fixed.json", ""),
        ("arn", "s3://b/runs/*/Make/v.json", "key"),
        ("arn", "s3://b/runs/*/Plain/v.json", ""),
    ]


def test_what_a_run_alone_can_know_is_a_star_and_a_uri_of_two_steps_has_no_key() -> None:
    (read,) = reads(ask("One", a=joined("s3://b", {"Get": "Parameters.Place"}, "v.json")))
    assert read[1] == "s3://b/*/v.json"
    mixed = joined(output("A"), output("B"))
    with pytest.raises(InputError, match=r"Arguments\.x: one URI made of outputs of"):
        reads(written("A"), written("B"), ask("One", x=mixed))
