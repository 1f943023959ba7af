"""Sends a record's requests again: what AWS accepted or refused, emulator and validator do too."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError, ParamValidationError

from sashiko.errors import InputError
from sashiko.pipeline.definition.validator.check import check_definition
from sashiko_packs.operations.proofs.execution import encode
from sashiko_packs.operations.proofs.record import CallRecord, Record
from verification.deploy.stacks import ACCOUNT

_PLACEHOLDER = re.compile(r"<([a-z0-9]+)(?:-(\d+))?>")
# What the emulator says of an operation that it does not have.
_MISSING = re.compile(
    r"NotYetImplemented|NotImplemented|Unknown|UnrecognizedClient|404|501|InternalFailure"
)


def replay(
    record: Record, client: Callable[[str], Any], definition: Callable[[str], str]
) -> Iterator[str]:
    """Yields each call that is answered in another way than AWS did: with success, or by a code.

    A refusal of a role's call is left out, as the emulator enforces no permissions within an
    account. So is what the emulator does not have.
    """
    bound: dict[str, Any] = {"<run>": "0a1b2c"}
    for index, call in enumerate(record.calls):
        if call.role and call.error:
            continue
        request = encode(_filled(call.request, bound), definition)
        recorded = call.error.code if call.error else "success"
        answered = _validated(call, request) or "success"
        if answered == "success":
            service, _, operation = call.operation.partition(":")
            try:
                answer = getattr(client(service), xform_name(operation))(**request)
                _bind(call.response, answer, bound)
            except ClientError as error:
                answered = error.response["Error"]["Code"]
                if _MISSING.search(answered):
                    continue
            except ParamValidationError as error:
                answered = f"refused by botocore: {error}"
        if answered != recorded:
            yield f"{index}: {call.operation}: AWS: {recorded}; here: {answered}"


def _validated(call: CallRecord, request: Mapping[str, Any]) -> str:
    """Returns the validator's refusal of a pipeline's definition."""
    if "$definition" not in str(call.request):
        return ""
    try:
        check_definition(json.loads(request["PipelineDefinition"]))
    except InputError as error:
        return f"refused by the validator: {error}"
    return ""


def _filled(value: Any, bound: Mapping[str, Any]) -> Any:
    """Fills placeholders in: by what was answered here, else by a value that is valid."""
    if isinstance(value, Mapping):
        return {key: _filled(item, bound) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, bound) for item in value]
    if not isinstance(value, str):
        return value
    if value in bound:
        return bound[value]
    return _PLACEHOLDER.sub(lambda match: str(bound.get(match[0], _valid(match))), value)


def _valid(match: re.Match[str]) -> str:
    kind, number = match[1], int(match[2] or 1)
    return str(int(ACCOUNT) + number - 1) if kind == "account" else f"{kind}-{number}"


def _bind(recorded: Any, answered: Any, bound: dict[str, Any]) -> None:
    """Learns what placeholders of a recorded answer stand for here."""
    if isinstance(recorded, Mapping) and isinstance(answered, Mapping):
        for key, item in recorded.items():
            _bind(item, answered.get(key), bound)
    elif isinstance(recorded, list) and isinstance(answered, list):
        for one, other in zip(recorded, answered, strict=False):
            _bind(one, other, bound)
    elif isinstance(recorded, str) and _PLACEHOLDER.fullmatch(recorded):
        bound.setdefault(recorded, answered)
    elif isinstance(recorded, str) and isinstance(answered, str):
        names = [match[0] for match in _PLACEHOLDER.finditer(recorded)]
        pattern = "(.+?)".join(map(re.escape, _PLACEHOLDER.split(recorded)[::3]))
        if names and (match := re.fullmatch(pattern, answered)):
            for name, value in zip(names, match.groups(), strict=True):
                bound.setdefault(name, value)
