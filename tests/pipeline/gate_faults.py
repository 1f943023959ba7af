"""Slips in gates: a Condition in a Condition's branch, a wait for one, a function's ARN."""

import copy
from typing import Any

from tests.pipeline.faults import Fault, Json, find, set_in

_OUTPUT = {"OutputName": "word", "OutputType": "String"}


def _nested(branch: str) -> Fault:
    def fault(definition: Json) -> None:
        inner = {**copy.deepcopy(find(definition, "Choose")), "Name": "Inner"}
        inner["Arguments"] |= {"IfSteps": [], "ElseSteps": []}
        find(definition, "Choose")["Arguments"][branch].append(inner)

    return fault


def _get(target: str) -> dict[str, Any]:
    return {"X": {"Get": target}}


# As in `argument_faults`.
GATE_FAULTS: dict[str, tuple[Fault, str, str]] = {
    "a nested condition": (
        _nested("IfSteps"),
        "definition, Steps[21], step `Choose`, Arguments.IfSteps[1], step `Inner`",
        "a Condition step in a branch of `Choose`; SageMaker does not support nested condition",
    ),
    "a nested condition on the other side": (
        _nested("ElseSteps"),
        "definition, Steps[21], step `Choose`, Arguments.ElseSteps[1], step `Inner`",
        "make it a Lambda step that fails, and let the steps after it depend on that one",
    ),
    "a wait for a condition": (
        set_in("Train", "DependsOn", to=["DataGate", "Choose"]),
        "step `Train`, DependsOn[1]",
        "no step may depend on a Condition step, and `Choose` is one; move `Train` into",
    ),
    "a property of a condition": (
        set_in("Train", "Arguments", "Environment", to=_get("Steps.Choose.Outcome")),
        "step `Train`, Arguments.Environment.X",
        "a Condition step has no properties, and `Choose` is one",
    ),
    "a function without an ARN": (
        set_in("DataGate", "FunctionArn", to="sashiko-dev-gatekeeper"),
        "step `DataGate`, FunctionArn",
        "`sashiko-dev-gatekeeper` is not a function ARN; expected arn:aws:lambda:",
    ),
    "an ARN of something else": (
        set_in("DataGate", "FunctionArn", to="arn:aws:lambda:us-east-1:111122223333:layer:x"),
        "step `DataGate`, FunctionArn",
        "is not a function ARN",
    ),
    "an output that is not declared": (
        set_in(
            "Train", "Arguments", "Environment", to=_get("Steps.DataGate.OutputParameters['x']")
        ),
        "step `Train`, Arguments.Environment.X, Steps.DataGate",
        "`OutputParameters['x']` has no `x`",
    ),
    "two outputs of a function with one name": (
        set_in("DataGate", "OutputParameters", to=[_OUTPUT, _OUTPUT]),
        "step `DataGate`, OutputParameters",
        "two of them are named `word`",
    ),
    "an output of a function of an unknown type": (
        set_in("DataGate", "OutputParameters", to=[_OUTPUT | {"OutputType": "Text"}]),
        "definition, Steps[4], step `DataGate`, OutputParameters[0]",
        "unknown OutputType `Text`; known: String, Integer, Boolean, Float",
    ),
    "too many outputs of a function": (
        set_in(
            *("DataGate", "OutputParameters"),
            to=[_OUTPUT | {"OutputName": f"word{number}"} for number in range(51)],
        ),
        "step `DataGate`, OutputParameters",
        "51; allowed: up to 50",
    ),
    "a property file of a function": (
        set_in(
            *("DataGate", "PropertyFiles"),
            to=[{"PropertyFileName": "F", "OutputName": "o", "FilePath": "f.json"}],
        ),
        "step `DataGate`, PropertyFiles",
        "a Lambda step has none",
    ),
    "a function's argument of an unknown step": (
        set_in("DataGate", "Arguments", to=_get("Steps.Lost.ProcessingJobName")),
        "step `DataGate`, Arguments.X",
        "no step is named `Lost`",
    ),
}
