"""Bedrock's import jobs and imported models over HTTP on this machine, as botocore's model says.

Requests are held against the model's types, patterns and lengths, which botocore itself leaves to
the service; answers against its types.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.session import get_session
from botocore.validate import validate_parameters

from tests import loopback
from tests.loopback import Answer, Request, error_answer

_ACCOUNT = "arn:aws:bedrock:us-east-1:111122223333"
_MODEL = get_session().get_service_model("bedrock")


class RefusedError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass
class Bedrock:
    """The service's state, and what a test tells it to do."""

    # ARN -> job, as GetModelImportJob answers it; oldest first
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    # ARN -> model, as GetImportedModel answers it
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    # Id -> its name and the numbers of its versions.
    guardrails: dict[str, tuple[str, Sequence[int]]] = field(default_factory=dict)
    # Operation and request, in order.
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    polls: int = 1  # how often a job is read until it ends
    failure: str = ""  # the failure message that jobs end with; empty if they complete
    # Errors for the next calls, in order, before anything is done.
    refusals: list[RefusedError] = field(default_factory=list)
    # Calls, by operation, that are done and whose answer is lost.
    lost: list[str] = field(default_factory=list)
    # Calls, by operation, that are done and whose answer never comes.
    silent: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)  # set when the test ends
    _tokens: dict[str, str] = field(default_factory=dict)
    _looks: dict[str, int] = field(default_factory=dict)

    def requests(self, operation: str) -> list[dict[str, Any]]:
        return [request for name, request in self.calls if name == operation]

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((operation, request))
        if self.refusals:
            raise self.refusals.pop(0)
        shape = _MODEL.operation_model(operation).input_shape
        if problem := next(problems(request, shape, operation), None):
            raise RefusedError(400, "ValidationException", problem)
        answer: dict[str, Any] = getattr(self, f"_{operation}")(request)
        validate_parameters(answer, _MODEL.operation_model(operation).output_shape)
        return answer

    def _CreateModelImportJob(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - the operation's name
        token = request["clientRequestToken"]
        if token in self._tokens:
            return {"jobArn": self._tokens[token]}
        name, model = request["jobName"], request["importedModelName"]
        if any(job["jobName"] == name for job in self.jobs.values()):
            raise RefusedError(400, "ConflictException", f"a job {name} exists")
        if any(item["modelName"] == model for item in self.models.values()):
            raise RefusedError(400, "ConflictException", f"a model {model} exists")
        arn = f"{_ACCOUNT}:model-import-job/{len(self.jobs):012d}"
        created = datetime(2026, 11, 28, tzinfo=UTC) + timedelta(minutes=len(self.jobs))
        self._tokens[token] = arn
        self.jobs[arn] = {
            "jobArn": arn,
            "jobName": name,
            "importedModelName": model,
            "roleArn": request["roleArn"],
            "modelDataSource": request["modelDataSource"],
            "status": "InProgress",
            "creationTime": created,
        }
        return {"jobArn": arn}

    def _GetModelImportJob(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - the operation's name
        job = self.jobs[request["jobIdentifier"]]
        self._looks[job["jobArn"]] = self._looks.get(job["jobArn"], 0) + 1
        if job["status"] == "InProgress" and self._looks[job["jobArn"]] > self.polls:
            self._end(job)
        return job

    def _end(self, job: dict[str, Any]) -> None:
        if self.failure:
            job |= {"status": "Failed", "failureMessage": self.failure}
            return
        arn = f"{_ACCOUNT}:imported-model/{len(self.models):012d}"
        job |= {"status": "Completed", "importedModelArn": arn}
        self.models[arn] = {
            "modelArn": arn,
            "modelName": job["importedModelName"],
            "modelArchitecture": "llama",
            "modelDataSource": job["modelDataSource"],
            "customModelUnits": {"customModelUnitsPerModelCopy": 1},
            "creationTime": job["creationTime"],
        }

    def _ListModelImportJobs(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - the operation's name
        """Answers a page of one job, so that whoever reads one page misses the others."""
        names = request.get("nameContains", "")
        matches = [job for job in self.jobs.values() if names in job["jobName"]]
        if request.get("sortOrder") == "Descending":
            matches.reverse()
        start = int(request.get("nextToken", "0"))
        keys = ("jobArn", "jobName", "status", "creationTime", "importedModelArn")
        page = [{key: job[key] for key in keys if key in job} for job in matches[start : start + 1]]
        more = {"nextToken": str(start + 1)} if start + 1 < len(matches) else {}
        return {"modelImportJobSummaries": page, **more}

    def _GetImportedModel(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - the operation's name
        return self.models[self._model(request)]

    def _DeleteImportedModel(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - the operation's name
        del self.models[self._model(request)]
        return {}

    def _ListGuardrails(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - the operation's name
        """Answers the drafts, or the draft and the versions of one guardrail."""
        one = request.get("guardrailIdentifier")
        shown = [
            (identifier, name, version)
            for identifier, (name, numbers) in self.guardrails.items()
            if one in (None, identifier)
            for version in ("DRAFT", *([] if one is None else map(str, numbers)))
        ]
        at = datetime(2026, 11, 28, tzinfo=UTC)
        times = {"status": "READY", "createdAt": at, "updatedAt": at}
        return {
            "guardrails": [
                {"id": identifier, "arn": f"{_ACCOUNT}:guardrail/{identifier}", "name": name}
                | {"version": version, **times}
                for identifier, name, version in shown
            ]
        }

    def _model(self, request: dict[str, Any]) -> str:
        given = request["modelIdentifier"]
        for arn, model in self.models.items():
            if given in (arn, model["modelName"]):
                return arn
        raise RefusedError(404, "ResourceNotFoundException", f"there is no model {given}")


def problems(value: Any, shape: Any, where: str) -> Iterator[str]:
    """Yields what of a request the service would refuse by its shape."""
    if shape.type_name == "structure":
        for name in shape.required_members:
            if name not in value:
                yield f"{where}: {name} is missing"
        for name, item in value.items():
            if name not in shape.members:
                yield f"{where}: {name} is unknown"
            else:
                yield from problems(item, shape.members[name], f"{where}.{name}")
    elif shape.type_name == "list":
        for item in value:
            yield from problems(item, shape.member, where)
    elif shape.type_name == "string":
        limits = shape.metadata
        if not limits.get("min", 0) <= len(value) <= limits.get("max", len(value)):
            yield f"{where}: {value} has {len(value)} characters"
        if "pattern" in limits and not re.fullmatch(limits["pattern"], value):
            yield f"{where}: {value} does not match {limits['pattern']}"


_ROUTES = (
    ("POST", re.compile("/model-import-jobs"), "CreateModelImportJob", ""),
    ("GET", re.compile("/model-import-jobs"), "ListModelImportJobs", ""),
    ("GET", re.compile("/model-import-jobs/(.+)"), "GetModelImportJob", "jobIdentifier"),
    ("GET", re.compile("/imported-models/(.+)"), "GetImportedModel", "modelIdentifier"),
    ("DELETE", re.compile("/imported-models/(.+)"), "DeleteImportedModel", "modelIdentifier"),
    ("GET", re.compile("/guardrails"), "ListGuardrails", ""),
)


@contextmanager
def served(state: Bedrock) -> Iterator[str]:
    def answer(request: Request) -> Answer | None:
        place = urlsplit(request.path)
        operation, given = _route(request.method, unquote(place.path))
        given |= {key: values[0] for key, values in parse_qs(place.query).items()}
        if request.body:
            given |= json.loads(request.body)
        try:
            content = json.dumps(state.answer(operation, given), default=lambda at: at.isoformat())
            answered = Answer(200, content.encode())
        except RefusedError as error:
            answered = error_answer(error.status, error.code, str(error))
        if operation in state.lost:
            state.lost.remove(operation)
            return None
        if operation in state.silent:
            state.silent.remove(operation)
            state.over.wait(20)  # the client's read timeout is shorter
            return None
        return answered

    with loopback.serving(answer) as url:
        try:
            yield url
        finally:
            state.over.set()


def _route(method: str, path: str) -> tuple[str, dict[str, Any]]:
    for verb, pattern, operation, argument in _ROUTES:
        match = pattern.fullmatch(path)
        if verb == method and match:
            return operation, {argument: match[1]} if argument else {}
    raise AssertionError(f"{method} {path} is no operation of these tests")


_RUNTIME = get_session().get_service_model("bedrock-runtime")
_INVOKE = re.compile(r"/model/(?P<modelId>.+)/invoke")
# Error code -> HTTP status, by the API reference.
STATUS = {
    "AccessDeniedException": 403,
    "InternalServerException": 500,
    "ModelNotReadyException": 429,
    "ResourceNotFoundException": 404,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "ValidationException": 400,
}
INTERVENED = "amazon-bedrock-guardrailAction"


@dataclass
class Runtime:
    """What the service answers, and the requests that it got."""

    # The body of an imported model's answer to a request's body.
    complete: Callable[[dict[str, Any]], Any] = lambda _: {}
    blocks: Callable[[str], bool] = lambda _: False  # whether the guardrail blocks a text
    # Of the next calls, in order: an error's code, `silent` or `cut`.
    faults: list[str] = field(default_factory=list)
    # Operation and request, in order, of those that were answered or failed.
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)  # set when the test ends
    lock: threading.Lock = field(default_factory=threading.Lock)

    def invoke(self, request: dict[str, Any]) -> Any:
        body = json.loads(request["body"])
        if self.blocks(body["prompt"]):
            return {INTERVENED: "INTERVENED", "choices": [{"text": "blocked"}]}
        return {INTERVENED: "NONE", **self.complete(body)}


@contextmanager
def serving(state: Runtime) -> Iterator[str]:
    def answer(request: Request) -> Answer | None:
        operation, given = _operation(request)
        validate_parameters(given, _RUNTIME.operation_model(operation).input_shape)
        with state.lock:
            state.requests.append((operation, given))
            fault = state.faults.pop(0) if state.faults else ""
        if fault == "silent":
            state.over.wait(20)
            return None
        if fault in STATUS:
            return error_answer(STATUS[fault], fault, "of the test")
        answered = state.invoke(given)
        content = json.dumps(answered).encode()
        return Answer(200, content[: len(content) // 2] if fault == "cut" else content)

    with loopback.serving(answer) as url:
        try:
            yield url
        finally:
            state.over.set()


def _operation(request: Request) -> tuple[str, dict[str, Any]]:
    path = unquote(request.path)
    match = _INVOKE.fullmatch(path)
    assert match, path
    members = _RUNTIME.operation_model("InvokeModel").input_shape.members
    headers = {
        name: request.headers[shape.serialization["name"]]
        for name, shape in members.items()
        if shape.serialization.get("location") == "header"
        and shape.serialization["name"] in request.headers
    }
    return "InvokeModel", {**match.groupdict(), **headers, "body": request.body}
