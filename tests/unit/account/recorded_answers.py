"""AWS's answers by a script: requests and answers are held against botocore's model of the API."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from botocore.validate import validate_parameters

from sashiko.account.account import Account
from sashiko.settings.environment import load_settings

SETTINGS = load_settings("dev")


@dataclass(frozen=True)
class Refusal:
    code: str
    message: str = "no"
    status: int = 400


Answer = Mapping[str, Any] | Refusal
# An answer, or what makes one of the request.
Script = Answer | Callable[[Mapping[str, Any]], Answer]


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
