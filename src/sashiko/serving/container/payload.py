"""Parses and checks a request, and formats the response."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import text

CONTENT_TYPE = "application/json"
# SageMaker closes an invocation after 60 s; this many rows take about 10 s on two cores.
MAX_ROWS = 1000
_MAX_SHOWN = 100  # letters of the caller's text in a reason

Value = str | int | float | bool | None
Inputs = Sequence[str | Mapping[str, Value]]


class BadRequestError(ValueError):
    """A request cannot be scored; the message says why, and what is allowed.

    Attributes:
        position: which input is at fault, from 0; None if it is the request as a whole.
        reason: what is wrong with it.
    """

    def __init__(self, reason: str, position: int | None = None) -> None:
        """Takes the reason, and the position of the input at fault, if any."""
        super().__init__(reason if position is None else f"inputs[{position}]: {reason}")
        self.position = position
        self.reason = reason


@dataclass(frozen=True)
class Prediction:
    """The label at the decision threshold, and the positive label's probability."""

    label: str
    score: float


def parse_request(body: str | bytes, content_type: str | None) -> Inputs:
    """Reads `{"inputs": [...]}`: texts, or rows of column -> value.

    Args:
        body: the request's body.
        content_type: its `Content-Type` header.

    Returns:
        At least one and at most `MAX_ROWS` inputs, all texts or all rows.

    Raises:
        BadRequestError: if the content type, the JSON or its shape is not valid.
    """
    if (content_type or "").split(";")[0].strip().lower() != CONTENT_TYPE:
        raise BadRequestError(f"content type {_excerpt(content_type)}: expected {CONTENT_TYPE}")
    try:
        value = json.loads(body)
    except ValueError as error:
        raise BadRequestError(f"the body is not JSON in UTF-8: {error}") from error
    except RecursionError as error:
        raise BadRequestError("the body is nested too deeply") from error
    if not isinstance(value, dict) or set(value) != {"inputs"}:
        raise BadRequestError('expected an object with the one key "inputs"')
    inputs = value["inputs"]
    if not isinstance(inputs, list) or not inputs:
        raise BadRequestError('"inputs" must be a list with at least one text or row')
    if len(inputs) > MAX_ROWS:
        raise BadRequestError(f'"inputs" has {len(inputs)} entries, at most {MAX_ROWS} are allowed')
    kind = type(inputs[0])
    if kind not in (str, dict) or any(type(item) is not kind for item in inputs):
        raise BadRequestError('"inputs" must be all texts, or all objects of column: value')
    return inputs


def as_texts(inputs: Inputs, *, template: str, missing: str) -> list[str]:
    """Turns inputs into the texts that the model reads; rows go through the template.

    Raises:
        BadRequestError: for an empty text, an unknown or missing column, or a value that is a list
            or an object.
    """
    columns = text.columns(template)
    texts = []
    for position, item in enumerate(inputs):
        try:
            texts.append(_as_text(item, columns, template=template, missing=missing))
        except ValueError as error:
            raise BadRequestError(str(error), position) from error
    return texts


def format_response(predictions: Sequence[Prediction], accept: str | None) -> str:
    """Writes `[{"label": ..., "score": ...}, ...]`, in the order of the inputs.

    Raises:
        BadRequestError: if the caller does not accept JSON.
    """
    accepted = [part.split(";")[0].strip().lower() for part in (accept or "*/*").split(",")]
    if not {CONTENT_TYPE, "application/*", "*/*"}.intersection(accepted):
        raise BadRequestError(f"accept {_excerpt(accept)}: only {CONTENT_TYPE} is offered")
    return json.dumps([{"label": item.label, "score": item.score} for item in predictions])


def _as_text(
    item: str | Mapping[str, Value], columns: Sequence[str], *, template: str, missing: str
) -> str:
    if isinstance(item, str):
        result = item
    else:
        unknown = sorted(set(item) - set(columns))
        if unknown:
            raise ValueError(
                f"unknown column `{_excerpt(unknown[0])}`; allowed: {', '.join(columns)}"
            )
        for name, value in item.items():
            if isinstance(value, (list, dict)):
                raise ValueError(f"column `{name}` must be a text, a number, true, false or null")
        result = text.assemble(template, item, missing)
    if not result.strip():
        raise ValueError("the text is empty")
    try:
        result.encode()
    except UnicodeEncodeError as error:
        raise ValueError("the text holds half of a UTF-16 surrogate pair") from error
    return result


def _excerpt(text: str | None) -> str:
    """Returns the beginning of the caller's text, without what UTF-8 cannot encode."""
    return str(text)[:_MAX_SHOWN].encode(errors="replace").decode()
