"""An account that answers from a table, each answer of the shape that botocore's model has."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from threading import Lock
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.stub import Stubber
from botocore.validate import validate_parameters

from sashiko.account.account import Account
from sashiko.account.names import bootstrap_policy_arn
from sashiko.settings.environment import Settings, load_settings
from tests.infra.variants import settings_of

Answer = Mapping[str, Any] | str | Callable[[Mapping[str, Any]], Mapping[str, Any] | str]


class FakeAccount(Account):
    """Answers `(service, operation)` with a response, or with an error of the given code.

    Each call goes through botocore's Stubber, so that names and types of parameters and answers
    are those of the API.
    """

    def __init__(self, answers: Mapping[tuple[str, str], Answer], settings: Settings | None = None):
        super().__init__(settings or settings_of("dev"))
        self._answers = answers

    def client(self, service: str) -> Any:
        return _Client(service, self._answers)


_ONE_AT_A_TIME = Lock()  # checks run in threads, and a client has one stub


@cache
def _client(service: str) -> Any:
    return boto3.client(service, "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")


class _Client:
    def __init__(self, service: str, answers: Mapping[tuple[str, str], Answer]) -> None:
        self._service, self._answers = service, answers

    def __getattr__(self, operation: str) -> Any:
        answer, client = self._answers[self._service, operation], _client(self._service)

        def call(**parameters: Any) -> Any:
            response = answer(parameters) if callable(answer) else answer
            with _ONE_AT_A_TIME, Stubber(client) as stub:
                if isinstance(response, str):
                    stub.add_client_error(operation, response)
                else:
                    stub.add_response(operation, dict(response), parameters)
                return getattr(client, operation)(**parameters)

        return call


ROLE = "arn:aws:iam::111122223333:role"


def roles(*names: str, boundary: str = "cap") -> Answer:
    """IAM's answer where these roles exist and no others, each with a policy of the bootstrap."""
    arn = bootstrap_policy_arn(settings_of("dev"), boundary)
    limit = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}

    def answer(request: Mapping[str, Any]) -> Mapping[str, Any] | str:
        name = request["RoleName"]
        if name not in names:
            return "NoSuchEntity"
        role = {"Path": "/", "RoleId": "A" * 16, "CreateDate": 0, "Arn": f"{ROLE}/{name}"}
        return {"Role": {"RoleName": name, "PermissionsBoundary": limit, **role}}

    return answer


def cap(*, trust_open: bool) -> Answer:
    """The version of the cap that `make bootstrap` deploys, or `make bootstrap TRUST=open`."""
    from sashiko_cdk.bootstrap.policies import execution_cap

    statements = execution_cap(settings_of("dev"), trust_open=trust_open)
    document = {"Statement": [item.to_statement_json() for item in statements]}
    return {"PolicyVersion": {"VersionId": "v2", "Document": json.dumps(document)}}


SETTINGS = load_settings("dev")


@dataclass(frozen=True)
class Refusal:
    code: str
    message: str = "no"
    status: int = 400


ScriptedAnswer = Mapping[str, Any] | Refusal
# An answer, or what makes one of the request.
Script = ScriptedAnswer | Callable[[Mapping[str, Any]], ScriptedAnswer]


@dataclass
class ScriptedAws:
    """An account whose every operation answers as `answers` says."""

    answers: dict[str, Script]  # operation, such as `DescribePipeline` -> answer
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)  # the requests, in order

    def account(self) -> Account:
        return _Scripted(self)

    def requests(self, operation: str) -> list[dict[str, Any]]:
        return [request for name, request in self.calls if name == operation]

    def listen(self, client: Any) -> None:
        parameters: dict[str, Any] = {}

        def remember(params: dict[str, Any], model: Any, **_: Any) -> None:
            parameters[model.name] = dict(params)

        def answer(model: Any, **_: Any) -> tuple[Any, Any]:
            request = parameters[model.name]
            self.calls.append((model.name, request))
            script = self.answers[model.name]
            response = script(request) if callable(script) else script
            if isinstance(response, Refusal):
                error = {"Error": {"Code": response.code, "Message": response.message}}
                return SimpleNamespace(status_code=response.status), error
            validate_parameters(response, model.output_shape)
            return SimpleNamespace(status_code=200), dict(response)

        service = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register(f"before-parameter-build.{service}", remember)
        client.meta.events.register(f"before-call.{service}", answer)


class _Scripted(Account):
    def __init__(self, script: ScriptedAws) -> None:
        super().__init__(SETTINGS)
        self._script = script

    def client(self, service: str) -> Any:
        fresh = service not in self._clients
        client = super().client(service)
        if fresh:
            self._script.listen(client)
        return client
