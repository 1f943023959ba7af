"""A question to Converse and its price, and what the answer says."""

import json
import re
import threading
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

from sashiko.account.prices import TokenPrice
from sashiko.base.files import canonical_json, sha256_bytes
from sashiko.base.yaml_models import Frozen
from sashiko.errors import InputError
from sashiko.settings.recipe_train import TEXT_PLACEHOLDER
from sashiko_packs.selection.file import BedrockCandidate, Budget

# A request to Converse: the prompt around a row's text, as one JSON body.
#
# Fields: "Converse", Amazon Bedrock API Reference,
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html. Structured
# output: https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html.
FIELD = "answer"  # of the structured output
TOOL = "give_answer"
# A token is at least one byte of the text, in every tokenizer that we know of. What a provider puts
# around it (its chat template, a prompt for tools) is not in the body: Anthropic lists up to 530
# tokens, https://platform.claude.com/docs/en/docs/tool-use-pricing-and-tokens.
_ENVELOPE_BYTES = 1_000


@dataclass(frozen=True)
class Example:
    """A training row in a few-shot prompt."""

    text: str
    answer: str  # what the prompt calls its label


@dataclass(frozen=True)
class Request:
    """One request."""

    model: str  # id, as Converse takes it
    body: dict[str, Any]  # all else that Converse takes

    @cached_property
    def key(self) -> str:
        """The digest of model and body, by which the answer is recorded."""
        return sha256_bytes(canonical_json({"modelId": self.model, "body": self.body}))

    @property
    def most_input_tokens(self) -> int:
        """A bound on the input's tokens, before the service has counted them."""
        return len(json.dumps(self.body, ensure_ascii=False).encode()) + _ENVELOPE_BYTES

    @property
    def most_output_tokens(self) -> int:
        """A bound on the answer's tokens."""
        return int(self.body["inferenceConfig"]["maxTokens"])


def make_request(
    candidate: BedrockCandidate, text: str, examples: Sequence[Example] = ()
) -> Request:
    """Makes the request for a text.

    It has the row's text by the recipe's template, and nothing else of the row.
    """
    prompt = candidate.prompt
    parts = [
        f"{prompt.template.replace(TEXT_PLACEHOLDER, example.text)}\n{example.answer}"
        for example in examples
    ]
    parts.append(prompt.template.replace(TEXT_PLACEHOLDER, text))
    limits: dict[str, Any] = {"maxTokens": candidate.max_tokens}
    if candidate.temperature is not None:
        limits["temperature"] = candidate.temperature
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": [{"text": "\n\n".join(parts)}]}],
        "inferenceConfig": limits,
    }
    if candidate.additional_fields:
        body["additionalModelRequestFields"] = candidate.additional_fields
    if prompt.system:
        body["system"] = [{"text": prompt.system}]
    answers = sorted(candidate.prompt.answers.values())
    schema = {
        "type": "object",
        "properties": {FIELD: {"type": "string", "enum": answers}},
        "required": [FIELD],
        "additionalProperties": False,
    }
    if candidate.output == "json_schema":
        definition = {"name": FIELD, "schema": json.dumps(schema, sort_keys=True)}
        body["outputConfig"] = {
            "textFormat": {"type": "json_schema", "structure": {"jsonSchema": definition}}
        }
    elif candidate.output == "tool":
        tool = {
            "name": TOOL,
            "description": "Gives the answer to the question.",
            "inputSchema": {"json": schema},
        }
        body["toolConfig"] = {"tools": [{"toolSpec": tool}], "toolChoice": {"tool": {"name": TOOL}}}
    return Request(model=candidate.model, body=body)


# A budget of tokens and dollars: the worst case is reserved before a request is sent.
#
# So the sum of what was spent and of what is under way never exceeds the budget, whatever the
# answers turn out to be.
class BudgetExceededError(Exception):
    """The next request could exceed the budget."""


@dataclass(frozen=True)
class Tokens:
    """Tokens of a request, or of many."""

    input: int
    output: int

    @property
    def total(self) -> int:
        """Both together."""
        return self.input + self.output

    def usd(self, price: TokenPrice | None) -> float:
        """Returns what they cost; 0 without a price, which only a budget without dollars allows."""
        if price is None:
            return 0.0
        return (self.input * price.input_usd + self.output * price.output_usd) / 1e6


NOTHING = Tokens(0, 0)


@dataclass
class Reservation:
    """What a request under way has spent: the worst case, unless that is known to be less."""

    spent: Tokens


class Ledger:
    """What a recording's requests have spent, and what those under way may spend at most."""

    def __init__(self, budget: Budget) -> None:
        """Starts with nothing spent."""
        self._budget = budget
        self._changed = threading.Condition()
        self._under_way = 0
        self.tokens, self.usd = 0, 0.0  # spent and reserved

    def spend(self, tokens: Tokens, price: TokenPrice | None) -> None:
        """Adds what an earlier run has spent."""
        with self._changed:
            self._add(tokens, price)

    @contextmanager
    def reservation(self, most: Tokens, price: TokenPrice | None) -> Iterator[Reservation]:
        """Reserves the worst case of a request, and counts what it has spent at the end.

        While the worst case does not fit, it waits for requests under way, which mostly spend less.

        Raises:
            BudgetExceededError: if it does not fit, and none is under way.
        """
        with self._changed:
            while reason := self._exceeded(most, price):
                if not self._under_way:
                    raise BudgetExceededError(reason)
                self._changed.wait()
            self._add(most, price)
            self._under_way += 1
        reservation = Reservation(most)
        try:
            yield reservation
        finally:
            with self._changed:
                spent = reservation.spent
                self._add(Tokens(spent.input - most.input, spent.output - most.output), price)
                self._under_way -= 1
                self._changed.notify_all()

    def _add(self, tokens: Tokens, price: TokenPrice | None) -> None:
        self.tokens, self.usd = self.tokens + tokens.total, self.usd + tokens.usd(price)

    def _exceeded(self, most: Tokens, price: TokenPrice | None) -> str:
        """Returns why a request does not fit; empty if it does."""
        limit = self._budget.usd
        if self.tokens + most.total > self._budget.tokens:
            return (
                f"{self.tokens:,} of {self._budget.tokens:,} tokens are spent, and the next "
                f"request may take {most.total:,}"
            )
        if limit is not None and self.usd + most.usd(price) > limit:
            return (
                f"${self.usd:.4f} of ${limit:g} are spent, and the next request may take "
                f"${most.usd(price):.4f}"
            )
        return ""


def require_price(budget: Budget, price: TokenPrice | None, *, model: str) -> None:
    """Refuses a budget in dollars for a model whose price is not known.

    Raises:
        InputError: with the key to give.
    """
    if budget.usd is not None and price is None:
        raise InputError(
            f"key `bedrock.budget.usd`: no price of {model} is known, so its dollars cannot be "
            f"counted: give `tokens.{model}` with its source in a file, as --prices FILE, or set "
            "`bedrock.budget.usd: null` and rely on `bedrock.budget.tokens`"
        )


Meaning = Literal["answer", "invalid", "refused"]
# "Converse", response field stopReason, Amazon Bedrock API Reference: every one in botocore's model
# of bedrock-runtime. A new one counts as invalid, under its own name.
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
_MARKS = " \t\r\n.!\"'`*\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u3002"
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
    usage = _mapping(root.get("usage"))
    message = _mapping(_mapping(root.get("output")).get("message"))
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
            | {"stop_reason": root.get("stopReason"), "content": message.get("content", ())}
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
    """
    meaning = STOP_REASONS.get(response.stop_reason, "invalid")
    if meaning != "answer":
        return Reading(meaning=meaning)
    text = plain(_answer_text(response))
    names = {plain(answer): answer for answer in answers.values()}
    # An answer may have a mark of its own, as `loans, personal` beside `loans`: the longest counts.
    parts = [(text, "")]
    for mark in _EXPLAINED.finditer(text):
        parts.append((plain(text[: mark.start()]), text[mark.end() :]))
    known = [part for part in parts if part[0] in names]
    said, explanation = max(known, key=lambda part: len(part[0]), default=("", ""))
    others = "|".join(re.escape(name) for name in names if name != said)
    if not said or re.search(rf"\b({others})\W*$", explanation):
        return Reading(meaning="invalid")
    return Reading(meaning="answer", answer=names[said])


def plain(text: str) -> str:
    """Returns an answer without what does not count: letter case, marks around it, and the like."""
    return unicodedata.normalize("NFKC", text).strip(_MARKS).casefold()


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
