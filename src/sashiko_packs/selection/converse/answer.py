"""What a response of Converse says: an answer, none that the prompt allows, or a refusal.

Every stop reason of `StopReason` in botocore's model of bedrock-runtime has its meaning here; a new
one counts as invalid, under its own name.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from sashiko.base.yaml_models import Frozen
from sashiko_packs.selection.converse.budget import Tokens
from sashiko_packs.selection.converse.request import FIELD, TOOL

Meaning = Literal["answer", "invalid", "refused"]

# "Converse", response field stopReason, Amazon Bedrock API Reference.
STOP_REASONS: Mapping[str, Meaning] = MappingProxyType(
    {
        "end_turn": "answer",
        "stop_sequence": "answer",
        "tool_use": "answer",
        "max_tokens": "invalid",  # cut: what is there may be the beginning of another answer
        "malformed_model_output": "invalid",
        "malformed_tool_use": "invalid",
        "model_context_window_exceeded": "invalid",
        "content_filtered": "refused",
        "guardrail_intervened": "refused",
    }
)
UNREADABLE = "unreadable"  # our own stop reason: the service answered, but not as it describes
_AROUND = " \t\r\n.!\"'`*\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u3002"
_EXPLAINED = re.compile(r"[,.:;!\n\u2013\u2014\u3001\u3002]|\s-\s")
_FENCED = re.compile(r"```(?:json)?\s(.*?)\s*```", re.DOTALL)


class Response(Frozen):
    """What is kept of a response."""

    stop_reason: str
    content: tuple[dict[str, Any], ...]  # the message's blocks
    input_tokens: int
    output_tokens: int
    latency_ms: int | None = None  # as the service measured it; None if it does not say


class Reading(Frozen):
    """What a response means."""

    meaning: Meaning
    answer: str | None = None  # one of the prompt's answers, if `meaning` is `answer`


def read_response(body: bytes, *, most: Tokens) -> Response:
    """Takes what is kept of a response of Converse, whatever its bytes: it is paid.

    A response that is JSON but not what the API describes has the stop reason `UNREADABLE`, and
    nothing of its content is kept. Tokens that it does not tell are taken to be the most.

    Args:
        body: of the HTTP response.
        most: the most tokens that the request may have taken.

    Raises:
        JSONDecodeError: if the body is no JSON, as it was cut.
    """
    try:
        value = json.loads(body.decode(errors="replace"))
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError):  # a number too long for Python, or too deep
        value = None
    root = _mapping(value)
    usage, message = (
        _mapping(root.get("usage")),
        _mapping(_mapping(root.get("output")).get("message")),
    )
    # Cached input is billed, at other rates; `inputTokens` leaves it out.
    cached = sum(_count(usage.get(f"cache{name}InputTokens")) or 0 for name in ("Read", "Write"))
    tokens_in, tokens_out = _count(usage.get("inputTokens")), _count(usage.get("outputTokens"))
    unreadable = Response(
        stop_reason=UNREADABLE,
        content=(),
        input_tokens=most.input if tokens_in is None else tokens_in + cached,
        output_tokens=most.output if tokens_out is None else tokens_out,
        latency_ms=_count(_mapping(root.get("metrics")).get("latencyMs")),
    )
    try:
        response = Response.model_validate(
            unreadable.model_dump()
            | {"stop_reason": root.get("stopReason"), "content": message.get("content", ())},
        )
        # What cannot be read again, as a lone surrogate, is not recorded.
        return Response.model_validate_json(response.model_dump_json())
    except (ValueError, RecursionError):
        return unreadable


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def read_answer(response: Response, answers: Mapping[str, str]) -> Reading:
    """Reads a response's answer.

    Letter case, Unicode's compatibility forms, quotes and a full stop around it do not count, nor
    does an explanation after it, unless that ends with another answer.

    Args:
        response: of the service, or recorded.
        answers: label -> what the prompt calls it.
    """
    meaning = STOP_REASONS.get(response.stop_reason, "invalid")
    if meaning != "answer":
        return Reading(meaning=meaning)
    text = _plain(_answer_text(response))
    first, *explanation = _EXPLAINED.split(text, maxsplit=1)
    names = {_plain(answer): answer for answer in answers.values()}
    said = text if text in names else _plain(first)
    if said not in names:
        return Reading(meaning="invalid")
    others = "|".join(re.escape(name) for name in names if name != said)
    if said != text and re.search(rf"\b({others})\W*$", "".join(explanation)):
        return Reading(meaning="invalid")
    return Reading(meaning="answer", answer=names[said])


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip(_AROUND).casefold()


def _answer_text(response: Response) -> str:
    """Returns the tool's input or the JSON's field if there is one, else the text."""
    for block in response.content:
        tool = _mapping(block.get("toolUse"))
        if tool.get("name") == TOOL:
            return _field(tool.get("input"))
    text = "".join(str(block.get("text", "")) for block in response.content).strip()
    if fenced := _FENCED.fullmatch(text):
        text = fenced[1]
    try:
        return _field(json.loads(text)) if text.startswith("{") else text
    except (ValueError, RecursionError):
        return text


def _field(value: object) -> str:
    text = value.get(FIELD) if isinstance(value, dict) else None
    return text if isinstance(text, str) else ""
