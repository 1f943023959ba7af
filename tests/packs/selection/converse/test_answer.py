import json
from typing import Any

import pytest

from sashiko_packs.selection.converse import (
    STOP_REASONS,
    Response,
    Tokens,
    read_answer,
    read_response,
)
from tests.packs.selection.converse_service import (
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    answered,
    stop_reasons,
)

ANSWERS = {"late": "yes", "paid": "no"}


def kept(value: dict[str, Any]) -> Response:
    return read_response(json.dumps(value).encode(), most=Tokens(1000, 16))


def meaning(value: dict[str, Any]) -> tuple[str, str | None]:
    reading = read_answer(kept(value), ANSWERS)
    return reading.meaning, reading.answer


def test_every_stop_reason_of_the_service_has_a_meaning() -> None:
    assert set(STOP_REASONS) == set(stop_reasons())


@pytest.mark.parametrize("reason", stop_reasons())
def test_only_a_finished_answer_counts(reason: str) -> None:
    expected = STOP_REASONS[reason]
    answer = "yes" if expected == "answer" else None
    assert meaning(answered("yes", stop_reason=reason)) == (expected, answer)


def test_a_new_stop_reason_is_invalid() -> None:
    assert meaning(answered("yes", stop_reason="tired")) == ("invalid", None)


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        " Yes.",
        '"YES"',
        '{"answer": "yes"}',
        "**yes**\n",
        "\u201cYes\u201d",
        "\u00a0yes\u00a0",
        "yes\u3002",
        "\uff39\uff45\uff53\uff0e",
        '```json\n{"answer": "yes"}\n```',
        "```\nyes\n```",
        "Yes, because the customer has waited for a year.",
        "**Yes** \u2014 there is no doubt about it",
        "Yes\n\nThe customer has no money left.",
    ],
)
def test_form_quotes_and_an_explanation_do_not_count(text: str) -> None:
    assert meaning(answered(text)) == ("answer", "yes")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yes and no",
        "Yes, and no.",
        "No. Or rather: yes",
        "Yes because",
        "I cannot help with that.",
        '{"answer": 1}',
        '{"answer": "maybe"}',
        "{",
        "y",
    ],
)
def test_anything_else_is_invalid(text: str) -> None:
    assert meaning(answered(text)) == ("invalid", None)


def test_a_tools_input_is_the_answer() -> None:
    tool = {"name": "give_answer", "input": {"answer": "no"}}
    assert meaning(answered(tool=tool, stop_reason="tool_use")) == ("answer", "no")
    other = {"name": "delete_everything", "input": {"answer": "no"}}
    assert meaning(answered(tool=other, stop_reason="tool_use")) == ("invalid", None)


def test_cached_input_counts() -> None:
    value = answered()
    value["usage"] |= {"cacheReadInputTokens": 7, "cacheWriteInputTokens": 5}
    response = kept(value)
    assert response.input_tokens == INPUT_TOKENS + 12
    assert response.output_tokens == OUTPUT_TOKENS
