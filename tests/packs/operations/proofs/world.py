"""An AWS that answers as a test says: botocore checks each request against its service's model."""

import datetime as dt
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.endpoint import Endpoint
from botocore.model import OperationModel, Shape

from sashiko.account.account import Account
from sashiko.pipeline.definition.validator.api_shapes import limit_problem
from sashiko_packs.operations.proofs import execution
from sashiko_packs.operations.proofs.execution import Place
from sashiko_packs.operations.proofs.probe import Call, Step
from sashiko_packs.operations.proofs.record import ErrorRecord
from tests.infra.variants import settings_of

DEV = settings_of("dev")
CALLER = f"arn:aws:sts::{DEV.account}:assumed-role/Sandbox/alice.example"


EXECUTION = f"arn:aws:sagemaker:us-east-1:{DEV.account}:pipeline/prove-p/execution/one"
_TEXTS = {
    "PipelineExecutionArn": EXECUTION,
    "Arn": f"arn:aws:iam::{DEV.account}:role/prove-role", "GroupId": "sg-0a1b2c3d", "Policy": "{}",
    "SubnetId": "subnet-0a1b2c3d",
}  # fmt: skip
# No second page, and a bucket that is empty when it is listed again.
_LEFT_OUT = {
    "ContinuationToken", "DeleteMarkers", "Errors", "Marker", "NextMarker", "NextToken",
    "PaginationToken", "Versions", "nextToken",
}  # fmt: skip


def failure(code: str, message: str = "no") -> dict[str, Any]:
    """Returns an error as services answer it."""
    return {"Error": {"Code": code, "Message": message}}


@dataclass
class World:
    """What the calls of named steps answer, and what was called."""

    answers: Mapping[str, Any] = field(default_factory=dict)  # step -> answer, or error
    step: str = ""  # whose call is made
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    stop_at: str = ""  # an operation at which somebody presses Ctrl-C

    def answer(self, model: OperationModel, request: Mapping[str, Any]) -> tuple[Any, Any]:
        if model.name == self.stop_at:
            self.stop_at = ""
            raise KeyboardInterrupt
        answer = self.answers.get(self.step)
        if answer is None or "Error" not in answer:
            answer = _merge(_made_up(model.output_shape, self.step), answer or {})
        else:
            return SimpleNamespace(status_code=400), {**answer, "ResponseMetadata": {}}
        self.calls.append((f"{model.service_model.service_name}:{model.name}", dict(request)))
        return SimpleNamespace(status_code=200), {**answer, "ResponseMetadata": {"RequestId": "r"}}

    def operations(self) -> list[str]:
        return [name for name, _ in self.calls]


@contextmanager
def world_of(answers: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Stands for AWS: no call leaves botocore."""
    world = World(answers)

    def make_request(_: Endpoint, model: OperationModel, request: Mapping[str, Any]) -> Any:
        return world.answer(model, request)

    def call_of_step(account: Account, client: Any, call: Call, request: Any) -> Any:
        world.step = getattr(call, "name", "")
        if call.until and not isinstance(call, Step):  # waits until something is gone
            return None, ErrorRecord(code="NotFound")
        model = client.meta.service_model.operation_model(call.call.partition(":")[2])
        problems = [*_problems(request, model.input_shape)]
        assert not problems, f"{call.call}: {problems}"
        try:
            return plain(account, client, call, request)
        finally:
            world.step = ""

    plain = execution._call
    with monkeypatch.context() as patch:
        patch.setattr(Endpoint, "make_request", make_request)
        patch.setattr(execution, "_call", call_of_step)
        yield world


def place_of(folder: Path) -> Place:
    """Returns where a probe runs in a test: nothing waits."""
    return Place(
        settings=DEV,
        account=Account(DEV),
        state=folder,
        definition=lambda recipe: f'{{"recipe": "{recipe}"}}',
        recipes=("one", "two"),
        sleep=lambda _: None,
    )


def _problems(value: Any, shape: Shape) -> Iterator[str]:
    """Yields what breaks the model's limits and patterns, which botocore leaves to the service."""
    if not isinstance(value, bytes) and (problem := limit_problem(value, shape)):
        yield f"{shape.name}: {problem}"
    for key, item in value.items() if isinstance(value, dict) else ():
        yield from _problems(item, shape.value if shape.type_name == "map" else shape.members[key])
    for item in value if isinstance(value, list) else ():
        yield from _problems(item, shape.member)


def _made_up(shape: Shape | None, name: str, depth: int = 0) -> Any:  # by type
    """Makes an answer up that has every member."""
    if shape is None or depth > 6 or getattr(shape, "document", False):
        return {}
    if shape.type_name == "structure":
        members = {key: item for key, item in shape.members.items() if key not in _LEFT_OUT}
        return {key: _made_up(item, key, depth + 1) for key, item in members.items()}
    if shape.type_name == "list":
        return [_made_up(shape.member, name, depth + 1)]
    if shape.type_name == "map":
        return {"key": _made_up(shape.value, name, depth + 1)}
    if shape.type_name == "blob":
        return io.BytesIO(b"made up") if shape.serialization.get("streaming") else b"made up"
    made: dict[str, Any] = {
        "boolean": False, "integer": 0, "long": 0, "double": 0.0, "float": 0.0,
        "timestamp": dt.datetime(2026, 12, 1, tzinfo=dt.UTC),
    }  # fmt: skip
    text = f"arn:aws:sagemaker:us-east-1:{DEV.account}:made/prove-{name}"
    return made.get(shape.type_name, _TEXTS.get(name, text))


def _merge(base: Any, change: Any) -> Any:
    if isinstance(base, dict) and isinstance(change, Mapping):
        return {**base, **{key: _merge(base.get(key), item) for key, item in change.items()}}
    return change
