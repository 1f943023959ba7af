"""A question to Converse and its price, and what the answer says."""

import datetime as dt
import fcntl
import json
import os
import re
import sys
import threading
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import ValidationError

from sashiko.account.prices import TokenPrice
from sashiko.base.aws_calls import Advice
from sashiko.base.bedrock_calls import ask, read_failure
from sashiko.base.files import canonical_json, sha256_bytes
from sashiko.base.yaml_models import Frozen
from sashiko.errors import InputError, disk_reason
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


# The recorded answers of Converse: a file of JSON lines that only grows.
#
# The first line is the header. Each attempt of a request is written before it is sent (`sent`, with
# the worst case that it may take) and after: `answer`; `free`, if the service refused it; `lost`,
# if the connection broke and the service may have billed it. A `sent` that nothing follows belongs
# to a run that was killed, and counts as lost. A line that a killed run did not finish is dropped.
#
# Answers are found by the digest of model id and body (`Request.key`). The file has no text of a
# request.
class _Header(Frozen):
    kind: Literal["converse-recording"]
    hand_made: bool = False  # written by hand: no model gave these answers
    note: str = ""


Event = Literal["sent", "free", "lost", "answer"]


class Line(Frozen):
    """What became of an attempt."""

    event: Event
    key: str
    model: str
    region: str
    at: dt.datetime  # UTC
    # With `sent`: the most that it may take, input and output tokens.
    most: tuple[int, int] | None = None
    response: Response | None = None  # with `answer`


class Recording:
    """A recording in memory, and its file if it is open for new answers."""

    def __init__(self, path: Path) -> None:
        """Reads a recording; a file that does not exist is an empty one.

        Raises:
            InputError: if a line is damaged, naming it.
        """
        self.path = path
        self.hand_made = False
        self.lines: list[Line] = []
        self._answers: dict[str, Line] = {}
        self._file: int | None = None
        self._lock = threading.Lock()
        for number, content in enumerate(self._complete_lines()):
            self._read(number, content)

    def answer(self, key: str) -> Line | None:
        """Returns the answer of a request, by its key."""
        return self._answers.get(key)

    def spent(self) -> Iterator[tuple[Line, Tokens]]:
        """Yields a line and the tokens of every attempt that was, or may have been, billed."""
        under_way: dict[str, Line] = {}
        for line in self.lines:
            sent = under_way.pop(line.key, None)
            if line.response is not None:
                used = line.response
                yield line, Tokens(used.input_tokens, used.output_tokens)
            elif sent is not None and sent.most is not None and line.event != "free":
                yield line, Tokens(*sent.most)  # lost, or sent again after a kill
            if line.event == "sent":
                under_way[line.key] = line
        for line in under_way.values():
            if line.most is not None:
                yield line, Tokens(*line.most)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Opens the file for new lines; one process at a time.

        Raises:
            InputError: if it is hand-made, another process writes to it, or it cannot be written.
        """
        if self.hand_made:
            raise InputError(
                f"{self.path} was written by hand and takes no answers of a model: name another "
                "file as `bedrock.recording`"
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {disk_reason(error)}") from error
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(
                    f"{self.path}: another process records to it; wait for it"
                ) from error
            complete = sum(len(content) for content in self._complete_lines())
            os.ftruncate(file, complete)
            self._file = file
            if not complete:
                self._write({"kind": "converse-recording"})
            yield
        finally:
            self._file = None
            os.close(file)

    def append(self, line: Line) -> None:
        """Writes a line, and waits until the disk has it."""
        content = line.model_dump(mode="json", exclude_none=True)
        with self._lock:
            self._write(content)
            self.lines.append(line)
            if line.event == "answer":
                self._answers[line.key] = line

    def _write(self, content: dict[str, Any]) -> None:
        if self._file is None:
            raise RuntimeError("the recording is not open for writing")
        line = json.dumps(content, sort_keys=True).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self._file, line) :]
            os.fsync(self._file)
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {disk_reason(error)}") from error

    def _complete_lines(self) -> list[bytes]:
        """Returns the lines with their ends; one without an end was cut by a kill."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {disk_reason(error)}") from error
        return [line for line in content.splitlines(keepends=True) if line.endswith(b"\n")]

    def _read(self, number: int, content: bytes) -> None:
        try:
            if number == 0:
                self.hand_made = _Header.model_validate_json(content).hand_made
                return
            line = Line.model_validate_json(content)
        except ValidationError as error:
            raise InputError(
                f"{self.path}: line {number + 1} is not a line of a recording: "
                f"{error.errors()[0]['msg']}; remove the line: its request is then sent again"
            ) from error
        self.lines.append(line)
        if line.event == "answer":
            self._answers[line.key] = line


# The service answers when the whole answer is written. A timeout is billed, so the wait is long.
_READ_SECONDS, _SLOWEST = 60, 10  # beside tokens a second
_PROGRESS = 100  # requests
_ADVICE: Advice = (
    (
        ("on-demand throughput",),
        "this model is reached by an inference profile: give its id, such as us.<model id>, and "
        "allow its geography in `musts.geographies`",
    ),
    (
        ("AccessDenied", "not authorized"),
        "allow `bedrock:InvokeModel`, which Converse needs, on the model in each Region that "
        "serves it and on the inference profile, and enable the model for the account",
    ),
    (("ResourceNotFound",), "the Region has no model of this id: see its page in Bedrock's guide"),
    (
        ("ValidationException",),
        "the model may not know a field: try `output: text` or `temperature: null`",
    ),
    (("credentials",), "sign in: the caller's credentials are used"),
    (
        ("Throttling",),
        "the same command continues from what is recorded: lower `bedrock.concurrency`",
    ),
    (("",), "the same command continues from what is recorded"),
)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where requests go, and what they cost."""

    region: str
    price: TokenPrice | None  # of the model; None if unknown
    concurrency: int  # requests at a time
    longest_answer: int  # tokens

    def client(self) -> Any:
        """Returns a client with the caller's credentials that does not retry; calls nothing.

        Retries are this module's own, as each attempt counts in the budget.
        """
        import boto3
        from botocore.config import Config

        config = Config(
            retries={"total_max_attempts": 1},
            read_timeout=_READ_SECONDS + self.longest_answer / _SLOWEST,
            connect_timeout=10,
            max_pool_connections=self.concurrency,
        )
        return boto3.Session(region_name=self.region).client("bedrock-runtime", config=config)


def replay(requests: Sequence[Request], recording: Recording, *, command: str) -> list[Line]:
    """Returns the recorded answers of requests.

    Raises:
        InputError: at the first that is not recorded, with its key and the command that records.
    """
    answers = []
    for request in requests:
        line = recording.answer(request.key)
        if line is None:
            raise InputError(
                f"{recording.path} has no answer of {request.model} to the request {request.key}: "
                f"nothing was sent; `{command} --record` sends it to Bedrock and records the answer"
            )
        answers.append(line)
    return answers


class Recorder:
    """Sends the requests that a recording does not have, within a budget."""

    def __init__(
        self, client: Any, recording: Recording, ledger: Ledger, endpoint: Endpoint
    ) -> None:
        """Takes a client of bedrock-runtime, and a recording that is open for writing."""
        self._client, self._recording, self._ledger = client, recording, ledger
        self._endpoint = endpoint
        self._stop = threading.Event()
        self._body = threading.local()  # of the response to this thread's request
        client.meta.events.register("before-parse.bedrock-runtime.Converse", self._keep_body)

    def record(self, requests: Sequence[Request]) -> None:
        """Records the answers of requests; those that are recorded are not sent again.

        After an error no further request is sent, and the answers of those under way are recorded.

        Raises:
            InputError: if the budget does not allow the next request, the service refuses one, or
                it does not answer after several attempts.
        """
        missing = {
            request.key: request
            for request in requests
            if self._recording.answer(request.key) is None
        }
        if not missing:
            return
        with ThreadPoolExecutor(max_workers=self._endpoint.concurrency) as pool:
            futures = [pool.submit(self._send, request) for request in missing.values()]
            start = time.monotonic()
            try:
                for done, future in enumerate(futures, start=1):
                    future.result()
                    if done % _PROGRESS == 0 or done == len(futures):
                        speed = done / max(time.monotonic() - start, 1e-9)
                        print(
                            f"recorded {done:,} of {len(futures):,} answers, {speed:,.1f}/s; "
                            f"{self._ledger.tokens:,} tokens spent or reserved",
                            file=sys.stderr,
                        )
            except BudgetExceededError as error:
                raise InputError(
                    f"key `bedrock.budget`: {error}; the answers so far are in "
                    f"{self._recording.path}: raise the budget, and the same command continues"
                ) from error
            finally:
                self._stop.set()  # Ctrl-C: those under way are answered and recorded
                pool.shutdown(cancel_futures=True)

    def _send(self, request: Request) -> None:
        """Sends a request until it is answered; after an error no other one is sent."""
        action = f"get an answer of {request.model} from Bedrock in {self._endpoint.region}"
        try:
            ask(lambda: self._attempt(request), action, advice=_ADVICE)
        except BaseException:
            self._stop.set()
            raise

    def _attempt(self, request: Request) -> None:
        """Sends a request once, and records what became of it.

        Raises:
            BudgetExceededError: if the worst case does not fit into the budget.
            Exception: what botocore raises, and `JSONDecodeError` if the response was cut.
        """
        most = Tokens(request.most_input_tokens, request.most_output_tokens)
        with self._ledger.reservation(most, self._endpoint.price) as reservation:
            if self._stop.is_set():
                reservation.spent = NOTHING
                return
            self._append("sent", request, most=(most.input, most.output))
            try:
                self._body.content = None
                try:
                    self._client.converse(modelId=request.model, **request.body)
                except Exception:  # botocore may be unable to read a body, which is kept
                    if self._body.content is None:
                        raise
                response = read_response(bytes(self._body.content), most=most)
            except Exception as error:
                billed = read_failure(error).may_be_billed
                self._append("lost" if billed else "free", request)
                if not billed:
                    reservation.spent = NOTHING
                raise
            self._append("answer", request, response=response)
            reservation.spent = Tokens(response.input_tokens, response.output_tokens)

    def _keep_body(self, response_dict: Mapping[str, Any], **_: object) -> None:
        if response_dict["status_code"] < 300:
            self._body.content = response_dict["body"]

    def _append(self, event: Event, request: Request, **more: Any) -> None:
        now, region = dt.datetime.now(dt.UTC), self._endpoint.region
        self._recording.append(
            Line(event=event, key=request.key, model=request.model, region=region, at=now, **more)
        )
