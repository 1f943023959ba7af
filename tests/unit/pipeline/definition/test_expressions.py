from typing import Any

import pytest

from sashiko.errors import InputError
from sashiko.pipeline.definition.expressions import Context, resolve, step_references

DESCRIPTIONS = {"Make": {"Name": "job-1", "Outputs": [{"OutputName": "x", "Uri": "s3://b/x"}]}}
CONTEXT = Context(
    parameters={"Text": "t", "Count": 3, "Share": 0.5, "Flag": True},
    execution={"PipelineExecutionId": "run-1"},
    describe=DESCRIPTIONS.__getitem__,
    read_file=lambda step, file, path: f"{step}/{file}/{path}",
)


def get(target: str) -> dict[str, Any]:
    return {"Get": target}


def json_get(target: str = "Steps.Make.PropertyFiles.F", path: str = "a") -> dict[str, Any]:
    return {"Std:JsonGet": {"PropertyFile": get(target), "Path": path}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (get("Parameters.Count"), 3),
        (get("Execution.PipelineExecutionId"), "run-1"),
        (get("Steps.Make.Outputs['x'].Uri"), "s3://b/x"),
        (json_get(), "Make/F/a"),
        (
            {"Std:Join": {"On": "/", "Values": ["a", get("Parameters.Text"), json_get()]}},
            "a/t/Make/F/a",
        ),
        (
            {
                "Std:Join": {
                    "On": ",",
                    "Values": [get(f"Parameters.{n}") for n in ("Flag", "Share")],
                }
            },
            "true,0.5",
        ),
        ({"Std:Join": {"Values": ["a", {"Std:Join": {"Values": ["b", "c"]}}]}}, "abc"),
        ({"list": [get("Parameters.Flag"), None]}, {"list": [True, None]}),
        ({"Get": "Parameters.Text", "Other": 1}, {"Get": "Parameters.Text", "Other": 1}),
    ],
)
def test_expressions_stand_for_values(value: object, expected: object) -> None:
    assert resolve(value, CONTEXT, where="here") == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [{"Std:Split": {}}]}, "here.a[0]: unknown function `Std:Split`"),
        ({"a": get("Parameters.Lost")}, "here.a: no parameter `Lost`"),
        (get("Execution.Lost"), "no execution variable `Lost`"),
        (get("Secrets.x"), "cannot Get `Secrets.x`"),
        (get("Steps.Make"), "expected Steps.<step>.<property>"),
        (get("Steps.Make.Outputs"), "not a single value"),
        (get("Steps.Make.PropertyFiles.F"), "by Std:JsonGet only"),
        (json_get("Steps.Make.Name"), "PropertyFile must Get"),
        ({"Std:JsonGet": {"S3Uri": "s3://b/x", "Path": "a"}}, "expected PropertyFile and Path"),
        ({"Std:Join": {"On": "/"}}, "expected On and Values"),
        ({"Std:Join": {"Values": [None]}}, "cannot join None"),
    ],
)
def test_wrong_expressions_name_their_path(value: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve(value, CONTEXT, where="here")
    assert message in str(caught.value)


def test_references_are_found_at_any_depth() -> None:
    value = {
        "a": [{"Std:Join": {"On": "", "Values": [json_get(), get("Steps.Other.Name")]}}],
        "b": get("Parameters.Text"),
    }
    references = [(ref.step, ref.file) for ref in step_references(value, where="here")]
    assert references == [("Make", "F"), ("Other", None)]
