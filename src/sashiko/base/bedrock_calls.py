"""Calls of Amazon Bedrock: what a failed one means, and which are made again."""

import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sashiko.base.aws_calls import Advice, with_advice
from sashiko.errors import InputError

Answer = TypeVar("Answer")
# "Converse", errors, Amazon Bedrock API Reference. The service says that it did not run the model.
_NOT_RUN = frozenset(
    {"ThrottlingException", "ServiceUnavailableException", "ModelNotReadyException"}
)
# The model may have run.
_MAY_HAVE_RUN = frozenset(
    {"InternalServerException", "ModelErrorException", "ModelTimeoutException"}
)
_NOT_READY = "ModelNotReadyException"
_THROTTLED, _SERVER = 429, 500  # HTTP
ATTEMPTS = 8  # of a call
_BACKOFF_SECONDS = 0.5  # doubles with each attempt, full jitter
_LONGEST_WAIT_SECONDS = 20.0
# Bedrock loads an imported model that nobody has asked for some minutes, which takes minutes for
# a large one ("Invoke your imported model", Amazon Bedrock User Guide).
_LOADS = 40
_LOAD_SECONDS = 15.0


@dataclass(frozen=True)
class Failure:
    """A failed attempt."""

    reason: str
    may_be_billed: bool  # the service may have run the model
    final: bool  # sending it again would fail alike
    loading: bool = False  # the model is being loaded


@dataclass(frozen=True, kw_only=True)
class GuardrailVersion:
    """A guardrail's numbered version, as a request names it."""

    id: str
    version: str

    def __str__(self) -> str:
        """Returns it in words."""
        return f"guardrail {self.id}, version {self.version}"


def read_failure(error: Exception) -> Failure:
    """Reads what botocore raised at a request.

    A response that is cut is not JSON, as botocore does not compare its length with the header's,
    or lacks a member.

    Raises:
        Exception: the same, if it is not one of a request: a fault of the code.
    """
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
    from botocore.parsers import ResponseParserError

    match error:
        case ClientError():
            details = error.response.get("Error", {})
            code = details.get("Code", "")
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            status = status if isinstance(status, int) else _SERVER
            reason = f"{code}: {details.get('Message', 'no message')}"
            not_run = code in _NOT_RUN or status == _THROTTLED
            may_have_run = not not_run and (code in _MAY_HAVE_RUN or status >= _SERVER)
            final, loading = not (not_run or may_have_run), not_run and code == _NOT_READY
            return Failure(reason, may_be_billed=may_have_run, final=final, loading=loading)
        case ConnectionError():  # nothing was sent
            return Failure(str(error), may_be_billed=False, final=False)
        case HTTPClientError() | ResponseParserError():  # a timeout, a connection that was cut
            return Failure(str(error), may_be_billed=True, final=False)
        case KeyError() | TypeError():
            text = f"the response lacks a member: {error}"
            return Failure(text, may_be_billed=True, final=False)
        case json.JSONDecodeError():
            return Failure(f"the response is cut: {error}", may_be_billed=True, final=False)
        case BotoCoreError():  # no credentials, a parameter that botocore refuses
            return Failure(str(error), may_be_billed=False, final=True)
    raise error


def ask(call: Callable[[], Answer], action: str, *, advice: Advice = ()) -> Answer:
    """Makes a call until it is answered; throttling, timeouts and a loading model are waited out.

    `action` follows "cannot" in an error; `advice` has fixes of the service's own errors.

    Raises:
        InputError: if the service refuses for good, or does not answer after several attempts.
    """
    failures, loads = 0, 0
    while True:
        try:
            return call()
        except Exception as error:
            failure = read_failure(error)
            failures, loads = failures + (not failure.loading), loads + failure.loading
            if failure.final or failures == ATTEMPTS or loads == _LOADS:
                reason = f"cannot {action}: {failure.reason}"
                raise InputError(with_advice(reason, advice)) from error
        if failure.loading:
            print(f"the model is being loaded: {failure.reason}", file=sys.stderr)
            time.sleep(_LOAD_SECONDS)
        else:
            longest = min(_BACKOFF_SECONDS * 2 ** (failures - 1), _LONGEST_WAIT_SECONDS)
            time.sleep(random.uniform(0, longest))  # noqa: S311 - a jitter


def newest_guardrail(bedrock: Any, name: str) -> GuardrailVersion:
    """Finds the newest numbered version of a guardrail by its name, with a client of `bedrock`.

    Raises:
        InputError: if there is none.
        ClientError: if AWS refuses the call.
    """
    pages = bedrock.get_paginator("list_guardrails")
    every = pages.paginate().search("guardrails[]")
    identifiers = [item["id"] for item in every if item["name"] == name]
    numbers = [
        int(item["version"])
        for identifier in identifiers
        for item in pages.paginate(guardrailIdentifier=identifier).search("guardrails[]")
        if item["version"].isdecimal()  # not the draft
    ]
    if not numbers:
        raise InputError(
            f"Bedrock has no guardrail {name} with a numbered version: deploy the stack Bedrock"
        )
    return GuardrailVersion(id=identifiers[0], version=str(max(numbers)))
