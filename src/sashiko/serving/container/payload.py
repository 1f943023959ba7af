"""Parses and checks a request, and formats the response."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import text

CONTENT_TYPE = "application/json"
# SageMaker closes an invocation after 60 s; this many rows take about 10 s on two cores.
MAX_ROWS = 1000
MAX_ID_LETTERS = 256
_KEYS = {"inputs", "ids", "client"}
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
class Request:
    """A request whose shape is valid.

    Attributes:
        inputs: at least one and at most `MAX_ROWS`, all texts or all rows.
        ids: the caller's name of each input, in their order; None if the request has none.
    """

    inputs: Inputs
    ids: Sequence[str] | None = None


def parse_request(body: str | bytes, content_type: str | None) -> Request:
    """Reads `{"inputs": [...]}`, optionally with `"ids": [...]` and `"client": "..."`.

    An input is a text, or a row of column -> value. An id names the input of its position, such as
    by the primary key of its row; the answer repeats it, so that a captured answer can be joined
    with the row's label. A client is whoever sends rows that may be alike, such as a branch or a
    session: nothing here reads it, and the monitor finds it in the captured request.

    Args:
        body: the request's body.
        content_type: its `Content-Type` header.

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
    if not isinstance(value, dict) or not {"inputs"} <= set(value) <= _KEYS:
        raise BadRequestError(
            'expected an object with the key "inputs", and optionally "ids" and "client"'
        )
    inputs = value["inputs"]
    if not isinstance(inputs, list) or not inputs:
        raise BadRequestError('"inputs" must be a list with at least one text or row')
    if len(inputs) > MAX_ROWS:
        raise BadRequestError(f'"inputs" has {len(inputs)} entries, at most {MAX_ROWS} are allowed')
    kind = type(inputs[0])
    if kind not in (str, dict) or any(type(item) is not kind for item in inputs):
        raise BadRequestError('"inputs" must be all texts, or all objects of column: value')
    if "ids" in value:
        _check_ids(value["ids"], rows=len(inputs))
    if "client" in value:
        _check_name(value["client"], '"client"')
    return Request(inputs, value.get("ids"))


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


def format_response(
    answers: "Sequence[Mapping[str, object]]",
    accept: str | None,
    *,
    ids: Sequence[str] | None = None,
) -> str:
    """Writes the answers to the inputs, in their order.

    Args:
        answers: one for each input, of JSON's types.
        accept: the request's `Accept` header.
        ids: of the inputs; each answer then starts with its `id`.

    Raises:
        BadRequestError: if the caller does not accept JSON.
    """
    accepted = [part.split(";")[0].strip().lower() for part in (accept or "*/*").split(",")]
    if not {CONTENT_TYPE, "application/*", "*/*"}.intersection(accepted):
        raise BadRequestError(f"accept {_excerpt(accept)}: only {CONTENT_TYPE} is offered")
    if ids is None:
        return json.dumps(answers)
    return json.dumps([{"id": id_, **item} for id_, item in zip(ids, answers, strict=True)])


def _check_ids(ids: object, *, rows: int) -> None:
    """Refuses ids that do not name each row once."""
    if not isinstance(ids, list) or len(ids) != rows:
        count = f"has {len(ids)} entries" if isinstance(ids, list) else "is not a list"
        raise BadRequestError(f'"ids" {count}: expected one for each of the {rows} inputs')
    first: dict[str, int] = {}
    for position, item in enumerate(ids):
        name = _check_name(item, f"ids[{position}]")
        if first.setdefault(name, position) != position:
            raise BadRequestError(f"ids[{position}] is the same as ids[{first[name]}]")


def _check_name(value: object, place: str) -> str:
    """Returns a short text, and refuses what is none."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_LETTERS:
        raise BadRequestError(f"{place} must be a text of 1 to {MAX_ID_LETTERS} letters")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadRequestError(f"{place} holds half of a UTF-16 surrogate pair") from error
    return value


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
