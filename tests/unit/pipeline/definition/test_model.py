import copy

import pytest

from sashiko.errors import InputError
from sashiko.pipeline.definition.model import Branch, OutputParameter, parse_definition

FAIL = {"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}
GATE = {
    "Name": "Gate",
    "Type": "Condition",
    "Arguments": {
        "Conditions": [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}],
        "IfSteps": [{**FAIL, "Name": "Inner"}],
        "ElseSteps": [FAIL],
    },
}


def test_steps_in_branches_know_where_they_stand() -> None:
    definition = parse_definition({"Steps": [GATE]})

    assert [step.name for step in definition.steps] == ["Gate", "Inner", "Stop"]
    assert [step.branch for step in definition.steps] == [
        None, Branch("Gate", True), Branch("Gate", False),
    ]  # fmt: skip


@pytest.mark.parametrize("branch", ["IfSteps", "ElseSteps"])
def test_a_condition_in_a_branch_is_refused_with_the_way_out(branch: str) -> None:
    outer = {**copy.deepcopy(GATE), "Name": "Outer"}
    outer["Arguments"]["IfSteps" if branch == "ElseSteps" else "ElseSteps"] = []
    outer["Arguments"][branch] = [GATE]
    message = (
        rf"step `Outer`, Arguments.{branch}\[0\], step `Gate`: a Condition step in a branch of "
        r"`Outer`; .* nested condition steps .* a Lambda step"
    )
    with pytest.raises(InputError, match=message):
        parse_definition({"Steps": [outer]})


def test_a_lambda_step_names_its_function_and_what_it_returns() -> None:
    step = {
        "Name": "Ask",
        "Type": "Lambda",
        "FunctionArn": "arn:aws:lambda:us-east-1:111122223333:function:ask",
        "Arguments": {"a": "b"},
        "OutputParameters": [{"OutputName": "word", "OutputType": "String"}],
    }
    (parsed,) = parse_definition({"Steps": [step]}).steps
    assert (parsed.function, parsed.output_parameters) == (
        step["FunctionArn"],
        (OutputParameter("word", "String"),),
    )
    del step["FunctionArn"]
    with pytest.raises(InputError, match="key `FunctionArn` is missing"):
        parse_definition({"Steps": [step]})
    with pytest.raises(InputError, match="unknown key `FunctionArn`"):
        parse_definition({"Steps": [{**FAIL, "FunctionArn": "arn"}]})


def test_only_enabled_caching_counts() -> None:
    job = {"Name": "A", "Type": "Processing", "Arguments": {}}
    on = {**job, "Name": "B", "CacheConfig": {"Enabled": True, "ExpireAfter": "P1D"}}
    off = {**job, "Name": "C", "CacheConfig": {"Enabled": False}}

    steps = parse_definition({"Steps": [job, on, off]}).steps

    assert [(step.cached, step.expires) for step in steps] == [
        (False, ""),
        (True, "P1D"),
        (False, ""),
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "definition: expected an object"),
        ({}, "key `Steps` is missing"),
        ({"Steps": [], "Surprise": 1}, "unknown key `Surprise`"),
        ({"Steps": {}}, "expected a list of steps"),
        ({"Steps": [FAIL, FAIL]}, "two steps are named `Stop`"),
        ({"Steps": [{**FAIL, "Type": "Tuning"}]}, "step `Stop`: unknown Type `Tuning`"),
        ({"Steps": [{**FAIL, "Retry": 1}]}, "Steps[0]: unknown key `Retry`"),
        ({"Steps": [{**FAIL, "CacheConfig": {"On": 1}}]}, "CacheConfig: unknown key `On`"),
        ({"Steps": [{**FAIL, "Arguments": {"Message": ""}}]}, "unknown key `Message`"),
        (
            {"Steps": [{**FAIL, "DependsOn": [{"Step": "A", "Trigger": "FAILED"}]}]},
            "step `Stop`, DependsOn[0]: only a step's name",
        ),
        ({"Steps": [], "MlflowConfig": {"Arn": "x"}}, "MlflowConfig: not supported"),
        ({"Steps": [], "Parameters": [{"Name": "P", "Type": "Date"}]}, "unknown Type `Date`"),
    ],
)
def test_what_is_not_known_is_refused(value: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_definition(value)
    assert message in str(caught.value)


def test_a_branch_is_named_in_the_path() -> None:
    gate = copy.deepcopy(GATE)
    gate["Arguments"]["ElseSteps"][0]["Type"] = "Quantum"
    with pytest.raises(InputError, match=r"step `Gate`, Arguments.ElseSteps\[0\], step `Stop`"):
        parse_definition({"Steps": [gate]})
