"""Writes the shipped recording, which no model answered, to try `sashiko select` offline.

    python -m tests.packs.selection.hand_made

The loopback service of the tests answers by a rule of its own. The recording is marked hand-made,
so that no figure of it is printed. Run it again after the prompt, the texts or the draw of the rows
of selections/complaints-bedrock.yaml have changed.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from sashiko.account.prices import read_prices
from sashiko.pipeline.project import HOME
from sashiko.settings.environment import load_settings
from sashiko_packs.selection.candidates import open_responder
from sashiko_packs.selection.file import load_selection, recording_path
from sashiko_packs.selection.run import run_selection
from tests.packs.selection.converse_service import answered, serving

FILE = Path("selections/complaints-bedrock.yaml")
_NOTE = "No model gave these answers: tests/packs/selection/hand_made.py wrote them."

_DAY = "2026-11-28T00:00:00Z"


def main() -> None:
    """Records against the loopback service, and keeps the answers."""
    selection, settings = load_selection(FILE), load_settings("local")
    prices = read_prices(settings)
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(lambda text, _: answered("yes" if len(text) % 2 else "no")) as service,
    ):
        os.environ |= {
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": service.url,
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "example",
        }
        path = Path(folder, "recording.jsonl")
        with open_responder(selection, path, prices, record=True, command=str(FILE)) as responder:
            run_selection(
                selection, settings, prices, responder=responder, home=HOME,
                command=f"select {FILE}",
            )  # fmt: skip
        lines = [json.loads(line) for line in path.read_text().splitlines()]
    header = {"kind": "converse-recording", "hand_made": True, "note": _NOTE}
    answers = sorted(
        (_without_figures(line) for line in lines if line.get("event") == "answer"),
        key=lambda line: line["key"],
    )
    target = recording_path(selection, FILE)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(
        "".join(json.dumps(line, sort_keys=True) + "\n" for line in (header, *answers))
    )


def _without_figures(line: dict[str, Any]) -> dict[str, Any]:
    nothing = {"input_tokens": 0, "output_tokens": 0, "latency_ms": 0}
    return line | {"at": _DAY, "response": line["response"] | nothing}


if __name__ == "__main__":
    main()
