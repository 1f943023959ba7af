"""A second opinion: botocore's own check of each Create call, over every definition we ship."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel
from botocore.validate import ParamValidator

from tests.pipeline.every_definition import names

Json = dict[str, Any]
_EXECUTION = "abcdefghijkl"
_TEXT = "text-that-a-run-knows"
_CALLS = {"Processing": "CreateProcessingJob", "Training": "CreateTrainingJob"}


def create_calls(definition: Json) -> Iterator[tuple[str, OperationModel, Json]]:
    """Yields name, call and request of each step that runs a job, in branches too."""
    loader = Loader([Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    model = ServiceModel(loader.load_service_model("sagemaker", "service-2"), "sagemaker")
    values = {
        item["Name"]: item.get("DefaultValue", _sample(item["Type"]))
        for item in definition.get("Parameters", [])
    }
    for step in _steps(definition["Steps"]):
        if call := _CALLS.get(step["Type"]):
            name = f"pipelines-{_EXECUTION}-{step['Name']}-abcdefghij"[:63]
            request = {f"{step['Type']}JobName": name, **_resolved(step["Arguments"], values)}
            yield step["Name"], model.operation_model(call), request


def refusals(definition: Json) -> list[str]:
    """Returns what botocore's client would refuse to send, a line a step; no call is made."""
    problems = []
    for step, operation, request in create_calls(definition):
        report = ParamValidator().validate(request, operation.input_shape)
        if report.has_errors():
            problems.append(f"{step}: {report.generate_report()}")
    return problems


def _steps(steps: list[Json]) -> Iterator[Json]:
    for step in steps:
        yield step
        for branch in ("IfSteps", "ElseSteps"):
            yield from _steps(step.get("Arguments", {}).get(branch, []))


def _sample(kind: str) -> Any:
    return {"String": _TEXT, "Integer": 1, "Float": 1.0, "Boolean": True}[kind]


def _resolved(value: Any, values: Json) -> Any:
    match value:
        case list():
            return [_resolved(item, values) for item in value]
        case {"Get": str(target)}:
            return _referred(target, values)
        case {"Std:Join": {"Values": parts, **rest}}:
            return str(rest.get("On", "")).join(str(part) for part in _resolved(parts, values))
        case {"Std:JsonGet": _}:
            return _TEXT
        case dict():
            return {key: _resolved(item, values) for key, item in value.items()}
        case _:
            return value


def _referred(target: str, values: Json) -> Any:
    scope, _, name = target.partition(".")
    if scope == "Parameters":
        return values[name]
    return _EXECUTION if scope == "Execution" else f"s3://bucket/{_TEXT}"


@pytest.mark.parametrize("name", names())
def test_botocore_would_send_each_job_that_we_ship(name: str, compiled: dict[str, Any]) -> None:
    calls = [(step, call.name) for step, call, _ in create_calls(compiled[name])]
    assert ("Train", "CreateTrainingJob") in calls
    assert ("Snapshot", "CreateProcessingJob") in calls
    assert len(calls) >= 11
    assert refusals(compiled[name]) == []
