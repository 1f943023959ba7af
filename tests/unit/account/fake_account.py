"""An account that answers from a table, each answer of the shape that botocore's model has."""

from collections.abc import Callable, Mapping
from typing import Any

import boto3
from botocore.stub import Stubber

from sashiko.account.account import Account
from sashiko.settings.environment import Settings
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


class _Client:
    def __init__(self, service: str, answers: Mapping[tuple[str, str], Answer]) -> None:
        self._service, self._answers = service, answers

    def __getattr__(self, operation: str) -> Any:
        answer = self._answers[self._service, operation]
        client = boto3.client(
            self._service, "us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
        )

        def call(**parameters: Any) -> Any:
            response = answer(parameters) if callable(answer) else answer
            with Stubber(client) as stub:
                if isinstance(response, str):
                    stub.add_client_error(operation, response)
                else:
                    stub.add_response(operation, dict(response), parameters)
                return getattr(client, operation)(**parameters)

        return call
