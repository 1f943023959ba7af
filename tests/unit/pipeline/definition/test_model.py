from typing import Any

import pytest

from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import parse_definition

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
    ({"Steps": [{**JOB, "CacheConfig": {"On": 1}}]}, "CacheConfig: unknown key `On`"),
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
