"""Runs state machines: moto's interpreter of Amazon's States Language, with JSONata in it.

moto takes its JSONata from a Java library that it does not ship; here a port of that library
evaluates. Calls reach moto's services, after botocore has checked them; those that moto lacks are
answered by the test.
"""

import datetime as dt
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import boto3
from botocore.client import BaseClient
from botocore.validate import ParamValidator
from jsonata import Jsonata
from moto import mock_aws
from moto.stepfunctions.parser.asl.eval import states, variable_store
from moto.stepfunctions.parser.asl.jsonata import jsonata as bridge

REGION = "us-east-1"
Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an execution ended."""

    status: str
    error: str | None
    cause: str | None


@dataclass(frozen=True, kw_only=True)
class Account:
    """An account whose state machines execute."""

    # operation -> answer, in place of moto's
    answers: dict[str, Answer] = field(default_factory=dict)
    # operation and arguments of each call that `answers` took
    calls: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=REGION)

    def run(self, definition: Mapping[str, Any], event: Mapping[str, Any]) -> Outcome:
        """Executes a definition on an event, without waiting where it waits."""
        text = json.dumps(definition).replace('"Seconds": 300', '"Seconds": 0')
        text = text.replace('"IntervalSeconds": 5', '"IntervalSeconds": 1')
        machines, name = self.client("stepfunctions"), f"m{time.monotonic_ns()}"
        arn = machines.create_state_machine(
            name=name, definition=text, roleArn="arn:aws:iam::111122223333:role/some"
        )["stateMachineArn"]
        execution = machines.start_execution(stateMachineArn=arn, input=json.dumps(event))
        for _ in range(6000):
            description = machines.describe_execution(executionArn=execution["executionArn"])
            if description["status"] != "RUNNING":
                return Outcome(
                    status=description["status"],
                    error=description.get("error"),
                    cause=description.get("cause"),
                )
            time.sleep(0.05)
        raise TimeoutError(f"{name} is still running")


@contextmanager
def account() -> Iterator[Account]:
    """An empty account."""
    fake = Account()
    call = BaseClient._make_api_call

    def respond(client: BaseClient, operation: str, arguments: Mapping[str, Any]) -> Any:
        if operation not in fake.answers:
            return call(client, operation, arguments)
        shape = client.meta.service_model.operation_model(operation).input_shape
        validation = ParamValidator().validate(arguments, shape)
        assert not validation.has_errors(), validation.generate_report()
        fake.calls.append((operation, arguments))
        with mock.patch.object(BaseClient, "_make_api_call", call):  # an answer may call AWS
            return fake.answers[operation](arguments)

    with (
        mock.patch.dict(
            "os.environ", {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        ),
        mock.patch.object(BaseClient, "_make_api_call", respond),
        mock.patch.object(bridge, "_eval_jsonata", _evaluate),
        mock.patch.object(states, "encode_jsonata_variable_declarations", _declared),
        mock.patch.object(variable_store, "encode_jsonata_variable_declarations", _declared),
        mock_aws(config={"stepfunctions": {"execute_state_machine": True}}),
    ):
        yield fake


def _evaluate(text: str) -> Any:
    """Evaluates with `$parse`, which Step Functions adds to JSONata's own functions."""
    expression = Jsonata(text)
    expression.register_lambda("parse", json.loads)
    return expression.evaluate(None)


def _declared(bindings: Mapping[str, Any]) -> str:
    """Declares variables; moto's own quotes a text without escaping what is in it.

    Times are texts, as Step Functions has them.
    """
    return "".join(
        f"{name}:={json.dumps(value, default=instant)};" for name, value in bindings.items()
    )


def instant(value: dt.datetime) -> str:
    """Writes a time as Step Functions does."""
    return value.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
