"""A Condition of a fork's own beside what we ship, which has none: one that reads a file."""

import copy
from typing import Any

from tests.pipeline.faults import Json, find

FILE = "ValidateVerdict"


def read(path: Any, file: str = FILE) -> Json:
    """An expression that reads Validate's verdict."""
    source = {"Get": f"Steps.Validate.PropertyFiles.{file}"}
    return {"Std:JsonGet": {"PropertyFile": source, "Path": path}}


def with_choice(definition: Json) -> Json:
    """Returns a copy with a Condition `Choose`: `Aside` or `Refused`."""
    result = copy.deepcopy(definition)
    file = {"PropertyFileName": FILE, "OutputName": "verdict", "FilePath": "verdict.json"}
    find(result, "Validate")["PropertyFiles"] = [file]
    aside = {**copy.deepcopy(find(result, "Prepare")), "Name": "Aside"}
    message = {"Std:Join": {"On": "\n", "Values": ["no:", read("summary")]}}
    condition = {"Type": "Equals", "LeftValue": read("passed"), "RightValue": True}
    result["Steps"].append(
        {
            "Name": "Choose",
            "Type": "Condition",
            "Arguments": {
                "Conditions": [condition],
                "IfSteps": [aside],
                "ElseSteps": [
                    {"Name": "Refused", "Type": "Fail", "Arguments": {"ErrorMessage": message}}
                ],
            },
        }
    )
    return result
