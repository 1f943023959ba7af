"""A linear model, from the recipe of an encoder by one option to a registered version."""

import csv
import json
from collections.abc import Callable

import pyarrow.parquet as pq
import pytest

from sashiko.serving.container.text import assemble
from tests.e2e.project import GROUP, RUN, Attempt, Project, write_csv

OPTION = ("--set", "model.family=linear")
pytestmark = pytest.mark.slow  # tests/e2e/serving/test_linear.py compiles and serves one each time


@pytest.fixture(scope="module")
def project(new_project: Callable[[], Project]) -> Project:
    return new_project()


@pytest.fixture(scope="module")
def registered(project: Project) -> Attempt:
    return project.sashiko(*RUN, *OPTION)


def test_it_registers_a_version_and_no_weights_are_needed(project, registered) -> None:
    assert registered.returncode == 0, registered.stderr
    assert f"{GROUP} version 1, PendingManualApproval" in registered.stdout
    assert "weights of" not in registered.stderr
    [version] = json.loads(project.sashiko("model", "list", "--recipe", "tiny", "--json").stdout)
    gates = {key: value for key, value in version["tags"].items() if key.startswith("gate.")}
    assert set(gates.values()) == {"passed"}
    evaluation = json.loads((project.output("Evaluate", "metrics") / "metrics.json").read_text())
    assert evaluation["others"].keys() == {"majority"}
    assert evaluation["candidate"]["auc"]["value"] > 0.6
    reference = json.loads((project.output("Evaluate", "metrics") / "reference.json").read_text())
    rows = pq.read_table(project.output("Prepare", "test") / "data.parquet")
    row, text = (rows[name][0].as_py() for name in ("row", "text"))
    assert assemble(reference["template"], json.loads(row), "") == text  # monitoring's text too
    page = (project.home / "runs" / project.runs()[-1] / "report.html").read_text()
    assert "logistic regression on the columns of the text" in page


def test_its_explanations_are_exact(project: Project, registered: Attempt) -> None:
    folder = project.output("Explain", "explanations")
    explanations = json.loads((folder / "explanations.json").read_text())
    assert explanations["method"] == "coefficients"
    assert explanations["convergence"]["largest"] < 1e-9
    assert explanations["largest_difference"] < 1e-6
    assert explanations["columns"][0]["name"] == "complaint_text"


def test_the_approved_version_scores_a_file_as_it_was_judged(project, registered) -> None:
    reason = ("--reason", "as good as the encoder")
    approved = project.sashiko("model", "approve", "1", "--recipe", "tiny", *reason)
    assert approved.returncode == 0, approved.stderr
    table = pq.read_table(project.output("Evaluate", "predictions") / "predictions.parquet")
    judged = {row["key"]: row for row in table.to_pylist() if row["split"] == "test"}
    rows = [row for row in pq.read_table(project.root / "rows.parquet").to_pylist()
            if row["complaint_id"] in judged]  # fmt: skip
    file = write_csv(project.root / "later.csv", rows)
    scored = project.sashiko("predict", file, "--recipe", "tiny")
    assert scored.returncode == 0, scored.stderr
    scores = [float(answer["score"]) for answer in csv.DictReader(scored.stdout.splitlines())]
    assert len(scores) > 100
    assert scores == pytest.approx([judged[row["complaint_id"]]["score"] for row in rows])


def test_the_encoder_after_it_is_compared_with_it(project: Project, registered: Attempt) -> None:
    """The champion reads rows, the candidate sentences of the same columns and splits."""
    judged = project.output("Prepare", "test") / "data.parquet"
    keys = pq.read_table(judged)["key"].to_pylist()
    linear = json.loads((project.output("Evaluate", "metrics") / "metrics.json").read_text())
    encoder = project.sashiko(*RUN)
    assert encoder.returncode == 0, encoder.stderr
    judged = project.output("Prepare", "test") / "data.parquet"
    assert pq.read_table(judged)["key"].to_pylist() == keys
    metrics = json.loads((project.output("Evaluate", "metrics") / "metrics.json").read_text())
    assert metrics["others"]["champion"]["auc"]["value"] == pytest.approx(
        linear["candidate"]["auc"]["value"]
    )
