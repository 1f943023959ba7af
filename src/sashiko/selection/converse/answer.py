"""What a response of Converse says: an answer, none that the prompt allows, or a refusal.

Every stop reason of `StopReason` in botocore's model of bedrock-runtime has its meaning here; a new
one counts as invalid, under its own name.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from sashiko.core.yaml_models import Frozen
from sashiko.selection.converse.request import FIELD, TOOL

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
_QUOTES = " \t\r\n.!\"'`*"


class Response(Frozen):
    """What is kept of a response."""

    stop_reason: str
    content: tuple[dict[str, Any], ...]  # the message's blocks
    input_tokens: int
    output_tokens: int
    latency_ms: int  # as the service measured it


class Reading(Frozen):
    """What a response means."""

    meaning: Meaning
    answer: str | None = None  # one of the prompt's answers, if `meaning` is `answer`


def read_response(value: Mapping[str, Any]) -> Response:
    """Takes what is kept from Converse's response, as botocore parses it.

    Raises:
        KeyError, TypeError: if it lacks a member that botocore's model requires.
    """
    usage, message = value["usage"], value["output"].get("message") or {}
    return Response(
        stop_reason=value["stopReason"],
        content=tuple(message.get("content", ())),
        # Cached input is billed, at other rates; `inputTokens` leaves it out.
        input_tokens=usage["inputTokens"]
        + usage.get("cacheReadInputTokens", 0)
        + usage.get("cacheWriteInputTokens", 0),
        output_tokens=usage["outputTokens"],
        latency_ms=value["metrics"]["latencyMs"],
    )


def read_answer(response: Response, answers: Mapping[str, str]) -> Reading:
    """Reads a response's answer; letter case, quotes and a full stop around it do not count.

    Args:
        response: of the service, or recorded.
        answers: label -> what the prompt calls it.
    """
    meaning = STOP_REASONS.get(response.stop_reason, "invalid")
    if meaning != "answer":
        return Reading(meaning=meaning)
    text = _answer_text(response).strip(_QUOTES).casefold()
    for answer in answers.values():
        if text == answer.casefold():
            return Reading(meaning="answer", answer=answer)
    return Reading(meaning="invalid")


def _answer_text(response: Response) -> str:
    """Returns the tool's input or the JSON's field if there is one, else the text."""
    for block in response.content:
        tool = block.get("toolUse")
        if tool and tool.get("name") == TOOL:
            return _field(tool.get("input"))
    text = "".join(str(block.get("text", "")) for block in response.content)
    try:
        return _field(json.loads(text)) if text.lstrip().startswith("{") else text
    except ValueError:
        return text


def _field(value: object) -> str:
    text = value.get(FIELD) if isinstance(value, dict) else None
    return text if isinstance(text, str) else ""
