"""A selection compares every kind of candidate, those of Bedrock by a service on the loopback."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from tests.e2e.project import Attempt, Project
from tests.e2e.tiny import install_encoder, make_encoder
from tests.packs.selection.converse_service import answered, serving
from tests.packs.selection.selections import MODEL, TOKEN_PRICE, every_kind, selection_value

pytestmark = pytest.mark.slow


def test_a_selection_compares_every_kind_of_candidate_to_the_last_line(
    project: Project, run: Attempt, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A linear model, an encoder, the causal LM, its version; those of Bedrock on the loopback."""
    recipe = yaml.safe_load((project.root / "recipes/tiny.yaml").read_text())
    make_encoder(tmp_path / "encoder", pq.read_table(rows)["complaint_text"].to_pylist())
    recipe |= {"name": "encoder", "model": install_encoder(project, tmp_path / "encoder")}
    recipe["compile"]["sequence_lengths"] = [48]
    del recipe["prompt"], recipe["train"]["lora"]
    (project.root / "recipes/encoder.yaml").write_text(yaml.safe_dump(recipe))
    file, prices = tmp_path / "choice.yaml", tmp_path / "prices.yaml"
    file.write_text(yaml.safe_dump(every_kind("tiny", encoder="encoder")))
    prices.write_text(yaml.safe_dump({"region": "us-east-1", "tokens": {MODEL: TOKEN_PRICE}}))
    command = ("select", file, "--prices", prices, "--json")
    missing = project.sashiko(*command)
    assert missing.returncode == 1
    assert "--record` sends it to Bedrock" in missing.stderr
    assert "Train: running" not in missing.stderr

    with serving(lambda *_: answered("yes")) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", service.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
        recorded = project.sashiko(*command, "--record")
    assert recorded.returncode in (0, 3), recorded.stderr
    first = json.loads(recorded.stdout)
    by_name = {item["name"]: item for item in first["candidates"]}
    assert by_name["nova"]["metrics"]["balanced_accuracy"]["value"] == 0.5  # always the same answer
    assert (by_name["elsewhere"]["outcome"], by_name["elsewhere"]["metrics"]) == ("dropped", {})
    assert by_name["causal"]["metrics"] == by_name["version"]["metrics"]  # the same artifact
    assert all(
        item["injection"]["overall"]["rows"] > 0
        for item in first["candidates"]
        if item["kind"] in ("linear", "recipe", "version")
    )

    replayed = project.sashiko(*command)  # the service is gone
    assert "Train: running" not in replayed.stderr
    second = json.loads(replayed.stdout)
    for name, item in by_name.items():
        again = next(other for other in second["candidates"] if other["name"] == name)
        assert (item["metrics"], item["bias"]) == (again["metrics"], again["bias"])
    page = project.home / "selections" / second["id"] / "report.html"
    assert "against cost" in page.read_text()


_PATIENCE_SECONDS = 7200  # a bound on a hang: the causal LM trains for minutes on a quiet machine


def sashiko(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in the repository, with local state of its own."""
    command = [sys.executable, "-c", "from sashiko.cli import main; main()", *arguments]
    attempt = subprocess.run(
        [*command, "--home", str(home)], capture_output=True, text=True, check=False,
        timeout=_PATIENCE_SECONDS,
    )  # fmt: skip
    assert attempt.returncode in (0, 3), attempt.stderr  # one is chosen, or none
    return attempt


def select(file: Path, home: Path, *more: str) -> dict[str, Any]:
    attempt = sashiko(home, "select", str(file), "--json", *more)
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


@pytest.mark.parametrize(("data", "metric"), [("tickets", "macro_f1"), ("days", "rmse")])
def test_other_labels_have_the_figures_of_a_run(tmp_path: Path, data: str, metric: str) -> None:
    """The linear candidate of a linear recipe is its model, with the figures of a run."""
    recipe, home, file = f"{data}-linear", tmp_path / "home", tmp_path / "choice.yaml"
    gate = {"metric": metric, "minimum": 0, "reason": "any will do"}
    kinds = ("linear", "recipe")
    value = selection_value(
        rows={"recipe": recipe}, metric=metric,
        musts=selection_value()["musts"] | {"quality": [gate]},
        candidates={kind: {"kind": kind, "recipe": recipe} for kind in kinds},
    )  # fmt: skip
    file.write_text(yaml.safe_dump(value))
    linear, trained = select(file, home)["candidates"]
    sashiko(home, "run", "--recipe", recipe)
    (path,) = home.glob("s3/**/metrics/metrics.json")
    evaluated = json.loads(path.read_text())["candidate"]
    assert trained["metrics"].keys() == evaluated.keys()
    for name, figure in evaluated.items():
        assert trained["metrics"][name] == pytest.approx(figure)
    assert linear["metrics"] == trained["metrics"]
    (path,) = home.glob("s3/**/intervals/intervals.json")
    judged = [item for item in json.loads(path.read_text()) if item["stage"] == "post_training"]
    for item in trained["bias"]:
        assert item["value"] in [
            entry["value"] for entry in judged
            if (entry["metric"], entry["group"]) == (item["metric"], item["group"])
        ]  # fmt: skip

    swept = sashiko(home, "run", "--recipe", recipe, "--sweep", "--strengths", "0", "--json")
    assert len(json.loads(swept.stdout)["points"]) == 2
