"""The recorded answers of Converse: a file of JSON lines that only grows.

The first line is the header. Each attempt of a request is written before it is sent (`sent`, with
the worst case that it may take) and after: `answer`; `free`, if the service refused it; `lost`,
if the connection broke and the service may have billed it. A `sent` that nothing follows belongs
to a run that was killed, and counts as lost. A line that a killed run did not finish is dropped.

Answers are found by the digest of model id and body (`Request.key`). The file has no text of a
request.
"""

import datetime as dt
import fcntl
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from sashiko.account.prices import TokenPrice
from sashiko.base.aws_calls import Advice
from sashiko.base.bedrock_calls import ask, read_failure
from sashiko.base.files import translate_disk_errors
from sashiko.base.yaml_models import Frozen
from sashiko.errors import InputError, disk_reason
from sashiko_packs.selection.converse import (
    NOTHING,
    BudgetExceededError,
    Ledger,
    Request,
    Response,
    Tokens,
    read_response,
)


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
        with translate_disk_errors(f"cannot write {self.path}"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
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
        with translate_disk_errors(f"cannot write {self.path}"):
            while line:
                line = line[os.write(self._file, line) :]
            os.fsync(self._file)

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
