"""Data capture of the local server: SageMaker's folders and records, in files on this machine.

A share of requests is kept with their answers, one JSON record a line, as
`<endpoint>/<variant>/<yyyy>/<mm>/<dd>/<hh>/<name>.jsonl`: "Capture data from real-time endpoint",
Amazon SageMaker AI Developer Guide. A record does not name the model's version. So this path begins
in `<endpoint>/version=<n>/`, here and in an endpoint's `DestinationS3Uri`.
"""

import base64
import datetime as dt
import errno
import json
import os
import random
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from sashiko.base.files import translate_disk_errors
from sashiko.errors import disk_reason, is_full

_FILES: Final = "*/version=*/*/*/*/*/*/*/*.jsonl"
_FILE_BYTES: Final = 64 * 1024**2  # a file of this length is followed by another
_HOUR: Final = "%Y/%m/%d/%H"


@dataclass(frozen=True, kw_only=True)
class CaptureSettings:
    """What is captured, where, and how much of it is kept."""

    folder: Path  # of all captures
    endpoint: str  # the endpoint's name
    variant: str  # the variant's name
    version: int  # the version that is served
    percent: int  # of the requests, 1 to 100
    retention: int  # seconds; the files of an hour are deleted this long after its end
    most_bytes: int = 1024**3  # of all files of the folder; beyond it nothing is captured
    most_files: int = 10_000  # of the folder; likewise


class Capture:
    """Writes the records; a request is answered whether or not it can be captured.

    A record is one write to the end of a file, so a server that is killed leaves whole lines. It is
    not safe for use by several threads.
    """

    def __init__(
        self,
        settings: CaptureSettings,
        *,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        """Deletes the files whose retention is over, and measures the others.

        `chance` is a number from 0 to 1 for each request, which is captured below the percentage;
        `clock` is in UTC.

        Raises:
            InputError: if the folder cannot be written.
        """
        self.captured = 0  # how many requests were captured
        self.lost: Counter[str] = Counter()  # reason -> requests of those selected that were not
        self._settings, self._chance, self._clock = settings, chance, clock
        self._descriptor: int | None = None
        self._length = 0
        with translate_disk_errors(f"cannot capture in {settings.folder}"):
            settings.folder.mkdir(parents=True, exist_ok=True)
            settings.folder.chmod(0o700)
            self._begin_hour(clock())

    def record(self, body: bytes, content_type: str | None, answer: str | None) -> None:
        """Captures a request if chance selects it.

        The answer is None if the request was refused or failed; the record then has no output.
        """
        if self._chance() * 100 >= self._settings.percent:
            return
        time = self._clock()
        try:
            event = str(uuid.uuid4())
            line = capture_line(body, content_type, answer, time=time, event_id=event)
            reason = self._write(line, time)
        except OSError as error:
            reason = disk_reason(error) if is_full(error) else str(error.strerror or error)
        if not reason:
            self.captured += 1
            return
        if not self.lost[reason]:
            print(f"requests are answered but not captured: {reason}", file=sys.stderr)
        self.lost[reason] += 1

    def close(self) -> None:
        """Closes the file; prints to stderr how many requests were captured, and how many not."""
        self._close_file()
        lost = "".join(f"; {count} were not: {reason}" for reason, count in self.lost.items())
        print(f"captured {self.captured} requests{lost}", file=sys.stderr)

    def _write(self, line: bytes, time: dt.datetime) -> str:
        """Writes a record; returns why the folder may not have it, or nothing."""
        settings = self._settings
        if time.strftime(_HOUR) != self._hour:
            self._close_file()
            self._begin_hour(time)
        if self._bytes + len(line) > settings.most_bytes:
            return f"{settings.folder} may have {settings.most_bytes:,} bytes"
        if self._length >= _FILE_BYTES:
            self._close_file()
        if self._descriptor is None:
            if self._files >= settings.most_files:
                return f"{settings.folder} may have {settings.most_files:,} files"
            folder = settings.folder / settings.endpoint / f"version={settings.version}"
            folder = folder / settings.endpoint / settings.variant / self._hour
            folder.mkdir(parents=True, exist_ok=True)
            name = f"{time:%M-%S}-{time.microsecond // 1000:03}-{uuid.uuid4()}.jsonl"
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
            self._descriptor = os.open(folder / name, flags, mode=0o600)
            self._files += 1
        written = os.write(self._descriptor, line)
        if written < len(line):
            os.ftruncate(self._descriptor, self._length)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._length += written
        self._bytes += written
        return ""

    def _close_file(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor, self._length = None, 0

    def _begin_hour(self, time: dt.datetime) -> None:
        self._hour = time.strftime(_HOUR)
        oldest = time - dt.timedelta(hours=1, seconds=self._settings.retention)
        self._bytes = self._files = 0
        for path in self._settings.folder.glob(_FILES):
            if "/".join(path.parts[-5:-1]) > oldest.strftime(_HOUR):
                self._bytes += path.stat().st_size
                self._files += 1
                continue
            path.unlink(missing_ok=True)
            with suppress(OSError):  # the folders of hour, day, month and year, if they are empty
                for folder in path.parents[:4]:
                    folder.rmdir()


class Responder(Protocol):
    """Answers requests: an `Artifact`, or a stand-in that a benchmark compares it with."""

    def respond(self, body: bytes, *, content_type: str | None, accept: str | None) -> str:
        """Answers one request, or raises RequestRefusedError."""


@dataclass(frozen=True)
class CapturingResponder:
    """Answers requests as another responder does, and captures them."""

    responder: Responder
    capture: Capture

    def respond(self, body: bytes, *, content_type: str | None, accept: str | None) -> str:
        """Answers one request; raises what the other responder raises."""
        answer = None
        try:
            answer = self.responder.respond(body, content_type=content_type, accept=accept)
            return answer
        finally:
            self.capture.record(body, content_type, answer)


def hour_folder(time: dt.datetime) -> str:
    """Names the folder of the hour of a time in UTC, below that of the variant."""
    return time.strftime(_HOUR)


def capture_line(
    body: bytes, content_type: str | None, answer: str | None, *, time: dt.datetime, event_id: str
) -> bytes:
    """Writes a request and its answer, None if it was refused, as a record of captured data.

    A read takes one record of an `event_id`. `time` is in UTC.
    """
    try:
        data, encoding = body.decode(), "JSON"
    except UnicodeDecodeError:
        data, encoding = base64.b64encode(body).decode(), "BASE64"
    sides = {"endpointInput": _side("INPUT", data, content_type or "", encoding)}
    if answer is not None:
        sides["endpointOutput"] = _side("OUTPUT", answer, "application/json", "JSON")
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {"eventId": event_id, "inferenceTime": at}
    record = {"captureData": sides, "eventMetadata": event, "eventVersion": "0"}
    return (json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def _side(mode: str, data: str, content_type: str, encoding: str) -> dict[str, str]:
    return {"observedContentType": content_type, "mode": mode, "data": data, "encoding": encoding}
