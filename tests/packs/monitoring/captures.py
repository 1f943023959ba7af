"""Captured folders for tests, written as SageMaker writes them."""

import base64
import datetime as dt
import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from sashiko_packs.monitoring.capture.record import CaptureSummary, LineProblem
from sashiko_packs.monitoring.window import Window

NOON = dt.datetime(2026, 3, 9, 12, tzinfo=dt.UTC)
COLUMNS = ("product", "complaint_text")
DAY = Window(NOON.replace(hour=0), NOON.replace(hour=0) + dt.timedelta(days=1))
_namespace = uuid.UUID(int=7)


def event(name: str) -> str:
    return str(uuid.uuid5(_namespace, name))


def request(
    inputs: Sequence[Any], ids: Sequence[str] | None = None, client: str | None = None
) -> str:
    """A request's body."""
    optional = {"ids": None if ids is None else list(ids), "client": client}
    named = {name: value for name, value in optional.items() if value is not None}
    return json.dumps({"inputs": list(inputs)} | named)


def answer(scores: Sequence[float], ids: Sequence[str] | None = None) -> str:
    """An answer's body; the label is `yes` from 0.5 on."""
    items = [{"label": "yes" if score >= 0.5 else "no", "score": score} for score in scores]
    if ids is not None:
        items = [{"id": id_, **item} for id_, item in zip(ids, items, strict=True)]
    return json.dumps(items)


def record(name, body, output, *, time=NOON, encoding="JSON") -> dict[str, Any]:
    """A record; a side that is None is left out."""
    sides = {"endpointInput": ("INPUT", body), "endpointOutput": ("OUTPUT", output)}
    return {
        "captureData": {
            side: {
                "observedContentType": "application/json",
                "mode": mode,
                "data": base64.b64encode(text.encode()).decode() if encoding == "BASE64" else text,
                "encoding": encoding.removeprefix("broken "),
            }
            for side, (mode, text) in sides.items()
            if text is not None
        },
        "eventMetadata": {
            "eventId": event(name),
            "inferenceTime": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        "eventVersion": "0",
    }


def one(name: str, *, score: float = 0.75, key: str | None = None, **changes: Any) -> Any:
    ids = [key or name]
    body = request([{"product": "Card", "complaint_text": f"text of {name}"}], ids)
    return record(name, body, answer([score], ids), **changes)


def write(folder, records, *, version=7, hour=NOON, file="00-00-000-a.jsonl") -> Path:
    """Writes a captured file; bytes are a line as it is, without its end."""
    prefix = folder if version is None else folder / f"version={version}"
    path = prefix / "desk/primary" / hour.strftime("%Y/%m/%d/%H") / file
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [item if isinstance(item, bytes) else json.dumps(item).encode() for item in records]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def adds_up(summary: CaptureSummary) -> bool:
    unanswered = sum(summary.count(kind) for kind in get_args(LineProblem))
    # Requests all of whose keys are repeated have no row; here a request has one row then.
    return summary.lines == unanswered + summary.requests + summary.count("repeated-key")
