"""The recorded answers of Converse: a file of JSON lines that only grows.

The first line is the header. Each attempt of a request is written before it is sent (`sent`, with
the worst case that it may take) and after: `answer`; `free`, if the service refused it; `lost`, if
the connection broke and the service may have billed it. A `sent` that nothing follows belongs to a
run that was killed, and counts as lost. A line that a killed run did not finish is dropped.

Answers are found by the digest of model id and body (`Request.key`). The file has no text of a
request.
"""

import datetime as dt
import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from sashiko.base.yaml_models import Frozen
from sashiko.errors import InputError, disk_reason
from sashiko_packs.selection.converse.answer import Response
from sashiko_packs.selection.converse.budget import Tokens


class _Header(Frozen):
    kind: Literal["converse-recording"]
    hand_made: bool = False  # written by hand: no model gave these answers
    note: str = ""


class Line(Frozen):
    """What became of an attempt."""

    event: Literal["sent", "free", "lost", "answer"]
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
            self._take(file)
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

    def _take(self, file: int) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{self.path}: another process records to it; wait for it") from error
        complete = sum(len(content) for content in self._complete_lines())
        os.ftruncate(file, complete)
        self._file = file
        if not complete:
            self._write({"kind": "converse-recording"})

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
