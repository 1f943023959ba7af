"""A facet is added: a line of the contract, and a gate in the recipe."""

import re
from pathlib import Path

import pyarrow as pa
import pytest

from sashiko.bias.clarify.contract_config import analysis_config
from sashiko.bias.steps import clarify_bias
from sashiko.contract.load import load_contract
from tests.e2e.changes.project import Project, assert_small
from tests.project_root import REPOSITORY
from tests.unit.bias.steps.bias_folders import Job

_SASHIKO = "from sashiko.cli import main; main()"
_PAGE = (REPOSITORY / "docs/change.md").read_text(encoding="utf-8").partition("## Add a facet")[2]
_FACET, _GATE = re.findall(r"```diff\n(.*?)```", _PAGE, re.DOTALL)[:2]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The project with another facet, as docs/change.md prints it."""
    copy = Project.copy(tmp_path / "project")
    copy.apply(_FACET)
    return copy


def _definition(project: Project, *options: str):
    return project.run("-c", _SASHIKO, "definition", "--recipe", "census", *options)


def test_the_facet_is_read_measured_and_gated(project: Project, tmp_path, monkeypatch):
    project.apply(_GATE)
    assert_small(project)
    checked = _definition(project, "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "no problem" in checked.stdout + checked.stderr

    contract = load_contract(project.root / "contracts" / "census.odcs.yaml")
    job = Job(tmp_path / "job", monkeypatch)
    job.section("analysis_config", analysis_config(contract, kind="pre"))
    rows = {column.name: ["x"] * 8 for column in contract.view_columns("facets")}
    rows |= {
        "loan": [">50K", "<=50K", "<=50K", "<=50K", ">50K", ">50K", "<=50K", "<=50K"],
        "marital_status": ["Divorced"] * 4 + ["Married-civ-spouse"] * 4,
        "gender": ["Female", "Male"] * 4,
        "ethnicity": ["White", "Black"] * 4,
    }
    job.parquet("data", pa.table(rows))
    job.run(clarify_bias)
    facets = job.json("analysis.json")["pre_training_bias_metrics"]["facets"]
    (group,) = facets["marital_status"]
    measured = {metric["name"]: metric["value"] for metric in group["metrics"]}
    assert measured["DPL"] == pytest.approx(2 / 4 - 1 / 4)


def test_a_gate_on_a_facet_that_the_contract_lacks_is_refused(tmp_path: Path) -> None:
    project = Project.copy(tmp_path / "project")
    project.apply(_GATE)
    refused = _definition(project)
    assert refused.returncode == 1
    assert "recipes/census.yaml: key `bias.gates`: marital_status is no facet of" in refused.stderr
