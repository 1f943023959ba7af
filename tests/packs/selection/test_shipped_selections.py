import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.packs.selection.converse_service import answered, serving

_PATIENCE_SECONDS = 7200  # a bound on a hang: the causal LM trains for minutes on a quiet machine
pytestmark = pytest.mark.slow


def select(file: Path, home: Path, *more: str) -> dict[str, Any]:
    """Runs `sashiko select` in the repository, with local state of its own."""
    command = [sys.executable, "-c", "from sashiko.cli import main; main()", "select", str(file)]
    attempt = subprocess.run(
        [*command, "--home", str(home), "--json", *more],
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE_SECONDS,
    )
    assert attempt.returncode in (0, 3), attempt.stderr  # one is chosen, or none
    record: dict[str, Any] = json.loads(attempt.stdout)
    assert (attempt.returncode == 0) == (record["chosen"] is not None)
    page = (home / "selections" / record["id"] / "report.html").read_text()
    for name in record["selection"]["candidates"]:
        assert name in page
    return record


def test_models_of_bedrock_are_replayed_and_recorded(tmp_path, monkeypatch) -> None:
    file = Path("selections/complaints-bedrock.yaml")
    replayed = select(file, tmp_path / "home")
    linear, *models = replayed["candidates"]
    assert linear["metrics"]["balanced_accuracy"]["value"] is not None
    assert {item["outcome"] for item in models} == {"not measured"}
    assert len(replayed["unjudged"]) == len(models)

    value = yaml.safe_load(file.read_text())
    value["bedrock"]["recording"] = str(tmp_path / "recording.jsonl")
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump(value))
    with serving(lambda text, _: answered("yes" if len(text) % 2 else "no")) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", service.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
        recorded = select(own, tmp_path / "home", "--record")
    assert len(service.bodies) == 24 * len(models)
    for item in recorded["candidates"][1:]:
        assert item["answers"]["valid"] == 24
        assert item["metrics"]["balanced_accuracy"]["value"] is not None


def test_models_of_this_machine_are_compared(tmp_path: Path) -> None:
    record = select(Path("selections/complaints.yaml"), tmp_path / "home")
    for item in record["candidates"]:
        assert item["metrics"]["balanced_accuracy"]["value"] > 0.5
        assert item["injection"]["overall"]["rows"] > 100
        assert item["latency"]["requests"] > 0
    assert record["chosen"] is not None
