from typing import Any

import pytest

from sashiko.errors import InputError
from sashiko.pipeline.definition import expressions

DESCRIPTIONS = {"Make": {"Name": "job-1", "Outputs": [{"OutputName": "x", "Uri": "s3://b/x"}]}}

CONTEXT = expressions.Context(
    parameters={"Text": "t", "Count": 3, "Share": 0.5, "Flag": True},
    execution={"PipelineExecutionId": "run-1"},
    describe=DESCRIPTIONS.__getitem__,
)


def get(target: str) -> dict[str, Any]:
    return {"Get": target}


NAME = get("Steps.Make.Name")


@pytest.mark.parametrize(("value", "expected"), [
    (get("Parameters.Count"), 3),
    (get("Execution.PipelineExecutionId"), "run-1"),
    (get("Steps.Make.Outputs['x'].Uri"), "s3://b/x"),
    ({"Std:Join": {"On": "/", "Values": ["a", get("Parameters.Text"), NAME]}}, "a/t/job-1"),
    ({"Std:Join": {"On": ",", "Values": [get(f"Parameters.{n}") for n in ("Flag", "Share")]}},
     "true,0.5"),
    ({"Std:Join": {"Values": ["a", {"Std:Join": {"Values": ["b", "c"]}}]}}, "abc"),
    ({"list": [get("Parameters.Flag"), None]}, {"list": [True, None]}),
    ({"Get": "Parameters.Text", "Other": 1}, {"Get": "Parameters.Text", "Other": 1}),
])  # fmt: skip
def test_expressions_stand_for_values(value: object, expected: object) -> None:
    assert expressions.resolve(value, CONTEXT, where="here") == expected


@pytest.mark.parametrize(("value", "message"), [
    (get("Secrets.x"), "cannot Get `Secrets.x`"),
    (get("Steps.Make"), "expected Steps.<step>.<property>"),
    ({"Std:Join": {"On": "/"}}, "expected On and Values"),
    ({"Std:Join": {"Values": [None]}}, "cannot join None"),
])  # fmt: skip
def test_wrong_expressions_name_their_path(value: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        expressions.resolve(value, CONTEXT, where="here")
    assert message in str(caught.value)


DESCRIPTION = {
    "ProcessingOutputConfig": {
        "Outputs": [
            {"OutputName": "a.b", "S3Output": {"S3Uri": "s3://x/a"}},
            {"OutputName": "c", "S3Output": {"S3Uri": "s3://x/c"}},
        ]
    },
    "metrics": {"list": [{"v": 1}, {"v": 2}]},
}


@pytest.mark.parametrize(("path", "value"), [
    ("ProcessingOutputConfig.Outputs['a.b'].S3Output.S3Uri", "s3://x/a"),
    ("ProcessingOutputConfig.Outputs[1].S3Output.S3Uri", "s3://x/c"),
    ("metrics.list[1].v", 2),
    ("metrics['list'][0]['v']", 1),
])  # fmt: skip
def test_paths_lead_by_name_and_by_position(path: str, value: object) -> None:
    assert expressions.look_up(DESCRIPTION, path, where="here") == value


def test_names_and_places_of_jobs_fit_the_services_limits() -> None:
    assert len(expressions.job_name("run", "S" * 64)) == 63

    arguments = {"OutputDataConfig": {"S3OutputPath": "s3://x/out/"}}
    name = expressions.job_name("run-1", "Train")
    description = expressions.describe_job("Training", name=name, arguments=arguments)
    assert description["ModelArtifacts"]["S3ModelArtifacts"] == (
        "s3://x/out/pipelines-run-1-Train/output/model.tar.gz"
    )
    assert description["TrainingJobName"] == "pipelines-run-1-Train"

    value = {
        "a": [{"Std:Join": {"On": "", "Values": [NAME, get("Steps.Other.Name")]}}],
        "b": get("Parameters.Text"),
    }
    assert list(expressions.step_references(value, where="here")) == [
        ("Make", "here.a[0].Std:Join.Values[0]"),
        ("Other", "here.a[0].Std:Join.Values[1]"),
    ]
