"""Requests and answers of an endpoint that sleeps, which are objects, as captured lines.

Its layout is that of `sashiko.base.async_requests`. An answer whose request is not there, as of an
inline body, becomes a line that no reader can use, so that it is counted and not passed over. What
an update has sent again is left out.
"""

import base64
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sashiko.base.async_requests import FAILURE, INPUT, JUDGED, OUTPUT, request_time
from sashiko.base.files import translate_disk_errors

_VERSION: Final = "version="


def collect_lines(folder: Path, out: Path, *, since: dt.datetime) -> Path:
    """Writes objects as captured lines, in the layout of captures; equal objects give equal bytes.

    `folder` is a copy of what is below an endpoint's prefix in the capture bucket, `out` an empty
    folder. Requests before `since` are left out.

    Returns:
        `out`; `folder` itself where a real-time endpoint has captured.

    Raises:
        InputError: if an object cannot be read, or a line cannot be written.
    """
    if not (folder / INPUT).is_dir() and not any(folder.glob(f"{_VERSION}*/{OUTPUT}")):
        return folder
    with translate_disk_errors(f"cannot read the requests in {folder}"):
        for version, name, answer in _answers(folder):
            time, request = request_time(name), folder / INPUT / f"{name}.json"
            if time is not None and time < since:
                continue
            hour = f"{time:%Y/%m/%d/%H}" if time else "unknown/time/of/request"
            path = out / version / "objects" / "all" / hour / "objects.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(_line(name, time, request, answer))
    return out


def _answers(folder: Path) -> Iterator[tuple[str, str, Path | None]]:
    """Yields version's folder, name and answer of each request, by name within a version.

    Of one that failed, or was never answered, there is no answer. The newest version stands for
    whichever would have answered.
    """
    inputs = {path.stem for path in (folder / INPUT).glob("*.json")}
    versions = sorted(folder.glob(f"{_VERSION}*"), key=lambda path: (len(path.name), path.name))
    seen: set[str] = set()
    for version in versions:
        outputs = {path.stem: path for path in (version / OUTPUT).rglob("*") if path.is_file()}
        for name, path in sorted(outputs.items()):
            if JUDGED not in name:
                seen.add(name)
                yield version.name, name, path
        # Their names are SageMaker's, and hold the request's.
        failures = [path.name for path in (version / FAILURE).rglob("*") if path.is_file()]
        failed = {name for name in inputs - seen if any(name in file for file in failures)}
        seen |= failed
        for name in sorted(failed):
            yield version.name, name, None
    if versions:
        for name in sorted(inputs - seen):
            yield versions[-1].name, name, None


def _line(name: str, time: dt.datetime | None, request: Path, answer: Path | None) -> str:
    sides = {}
    if request.is_file():
        sides["endpointInput"] = _side("INPUT", request.read_bytes())
    if answer is not None:
        sides["endpointOutput"] = _side("OUTPUT", answer.read_bytes())
    event: dict[str, Any] = {"eventId": name}
    if time is not None:
        event["inferenceTime"] = f"{time:%Y-%m-%dT%H:%M:%SZ}"
    record = {"captureData": sides, "eventMetadata": event, "eventVersion": "0"}
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"


def _side(mode: str, body: bytes) -> dict[str, str]:
    try:
        data, encoding = body.decode(), "JSON"
    except UnicodeDecodeError:
        data, encoding = base64.b64encode(body).decode(), "BASE64"
    return {
        "observedContentType": "application/json", "mode": mode, "data": data, "encoding": encoding,
    }  # fmt: skip
