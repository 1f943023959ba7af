"""Slips in gates: what is a Condition or reads a file as one does, a function's ARN."""

from typing import Any

from tests.pipeline.faults import Fault, Json, set_in

_JOB = {"Name": "Aside", "Type": "Processing", "Arguments": {}}
_FILE = {"PropertyFileName": "F", "OutputName": "verdict", "FilePath": "verdict.json"}
_OUTPUT = {"OutputName": "word", "OutputType": "String"}


def _step(kind: str, **arguments: Any) -> Fault:
    def fault(definition: Json) -> None:
        definition["Steps"].append({"Name": "Own", "Type": kind, "Arguments": arguments})

    return fault


def _get(target: str) -> dict[str, Any]:
    return {"X": {"Get": target}}


def _awaited_by_none(gate: str) -> Fault:
    def fault(definition: Json) -> None:
        for step in definition["Steps"]:
            if gate in step.get("DependsOn", ()):
                step["DependsOn"].remove(gate)

    return fault


# As in `argument_faults`.
GATE_FAULTS: dict[str, tuple[Fault, str, str]] = {
    "a condition": (
        _step("Condition", Conditions=[], IfSteps=[_JOB]),
        "definition, Steps[22], step `Own`",
        "a Condition step is not supported: make it a gate, a Lambda step that fails",
    ),
    "a fail step": (
        _step("Fail", ErrorMessage="no"),
        "definition, Steps[22], step `Own`",
        "a Fail step is not supported: make it a gate",
    ),
    "a file for a condition": (
        set_in("Validate", "PropertyFiles", to=[_FILE]),
        "definition, Steps[1], step `Validate`, PropertyFiles",
        "not supported; to decide by a file, make it a gate",
    ),
    "a value of a file": (
        set_in("Train", "Arguments", "Environment", to={"X": {"Std:JsonGet": {"Path": "a"}}}),
        "step `Train`, Arguments.Environment.X",
        "unknown function `Std:JsonGet`; known: Get, Std:Join",
    ),
    "a property of a gate": (
        set_in("Train", "Arguments", "Environment", to=_get("Steps.DataGate.Outcome")),
        "step `Train`, Arguments.Environment.X",
        "a Lambda step has no properties, and `DataGate` is one",
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
    "an output of a function": (
        set_in("DataGate", "OutputParameters", to=[_OUTPUT]),
        "definition, Steps[4], step `DataGate`, OutputParameters",
        "not supported; write a file and pass its URI instead",
    ),
    "a function's argument of an unknown step": (
        set_in("DataGate", "Arguments", to=_get("Steps.Lost.ProcessingJobName")),
        "step `DataGate`, Arguments.X",
        "no step is named `Lost`",
    ),
    "a gate that nothing waits for": (
        _awaited_by_none("ModelGate"),
        "step `ModelGate`",
        "no step depends on it, so a refusal stops nothing",
    ),
    "a gate that reads nothing": (
        set_in("DeviceGate", "Arguments", to={}),
        "step `DeviceGate`, Arguments",
        "a gate without arguments judges nothing",
    ),
}
