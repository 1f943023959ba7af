"""`sashiko runs diff`: what of two runs stands side by side, and what counts as a difference."""

import json
from pathlib import Path
from typing import Any

import pytest

from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.commands.run_evidence import Line, compare
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.report.evidence import Evidence, read_evidence
from tests.unit.run_report import runs

CROSSED = BiasEstimate(
    stage="post_training", metric="DI", facet=("age", "sex"), group=("old", "f"), value=0.9,
    low=0.8, high=1.0, looks=4, n_disadvantaged=100, n_advantaged=300,
)  # fmt: skip


def read(folder: Path) -> Evidence:
    return read_evidence(folder, folder.parents[1])


def lines(left: Path, right: Path) -> dict[str, dict[str, Line]]:
    """Part -> name -> line."""
    return {
        title: {line.name: line for line in lines}
        for title, lines in compare(read(left), read(right)).items()
    }


def differing(left: Path, right: Path) -> dict[str, list[str]]:
    """Part -> the names of what differs, without the parts where nothing does."""
    names_of = {
        title: [name for name, line in of.items() if line.differs]
        for title, of in lines(left, right).items()
    }
    return {title: names for title, names in names_of.items() if names}


@pytest.fixture
def registered(tmp_path):
    return runs.registered(tmp_path / "one")


def test_two_runs_alike_differ_in_nothing(tmp_path, registered):
    assert differing(registered, runs.registered(tmp_path / "two")) == {}
    lines_of = lines(registered, registered)
    assert list(lines_of) == [
        "run", "settings", "data", "metrics", "intersections", "gates", "checks",
    ]  # fmt: skip
    assert lines_of["data"]["Snapshot rows"].left == "1,234"
    assert lines_of["metrics"]["threshold"].left == "0.500"
    undefined = lines_of["metrics"]["RD age=old"].left
    assert undefined == "undefined: no row of the group has the positive label"


def test_a_model_that_is_blocked_differs_in_status_metric_gate_and_check(tmp_path, registered):
    other = runs.blocked(tmp_path / "two")
    assert differing(registered, other) == {
        "run": ["status"],
        "metrics": ["DI age=old"],
        "gates": ["bias"],
        "checks": ["bias: DI age=old"],
    }
    lines_of = lines(registered, other)
    impact = lines_of["metrics"]["DI age=old"]
    assert impact.left == Estimate(value=0.95, low=0.95 - 0.05, high=0.95 + 0.05)
    assert isinstance(impact.right, Estimate)
    assert impact.right.value == 0.43
    assert (lines_of["gates"]["bias"].left, lines_of["gates"]["bias"].right) == ("passed", "failed")
    check = lines_of["checks"]["bias: DI age=old"]
    assert (check.left, check.right) == ("passed at 0.95", "failed at 0.43")


def test_what_one_run_alone_has_stands_beside_nothing(tmp_path, registered):
    lines_of = lines(registered, runs.failed(tmp_path / "two"))
    assert lines_of["metrics"]["auc"].right is None
    assert lines_of["metrics"]["auc"].differs
    assert str(lines_of["gates"]["model-quality"].left) == "passed"
    (missing,) = [line for name, line in lines_of["gates"].items() if name == "Evaluate"]
    assert missing.left is None
    assert str(missing.right).startswith("no verdict: Evaluate was not reached: the run ended at")


def test_an_interval_over_other_looks_is_another_line(tmp_path):
    """A wider interval is no worse model."""
    one = runs.registered(tmp_path / "one", crossed=[CROSSED])
    two = runs.registered(
        tmp_path / "two", crossed=[CROSSED.model_copy(update={"looks": 5, "low": 0.7})]
    )
    intersections = lines(one, two)["intersections"]
    assert {
        name: (line.left is None, line.right is None) for name, line in intersections.items()
    } == {
        "DI age=old & sex=f, 4 looks": (False, True),
        "DI age=old & sex=f, 5 looks": (True, False),
    }
    assert "intersections" not in differing(one, one)


def test_a_changed_setting_is_named_by_its_key(tmp_path, registered):
    gate: dict[str, Any] = {"metric": "DI", "facet": "age", "reason": "four fifths"}
    other = runs.registered(tmp_path / "two", bias={"gates": [gate | {"minimum": 0.9}]})
    settings = lines(registered, other)["settings"]
    minimum = settings["bias.gates.0.minimum"]
    assert (minimum.left, minimum.right) == ("0.8", "0.9")
    assert settings["name"].left == settings["name"].right == "loans"


def test_other_rows_and_other_code_are_differences(tmp_path, registered):
    other = runs.registered(tmp_path / "two")
    (manifest,) = other.parents[1].rglob("Snapshot/manifest/manifest.json")
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(content | {"rows": 9, "sha256": "f" * 64}))
    source = other / "evidence/source.json"
    source.write_text(json.dumps(json.loads(source.read_text()) | {"dirty": True}))
    assert differing(registered, other) == {
        "run": ["commit"],
        "data": ["Snapshot rows", "Snapshot sha256"],
    }
    assert str(lines(registered, other)["run"]["commit"].right).endswith("-dirty")


def test_a_gate_that_was_switched_off_is_not_judged(tmp_path, registered):
    from sashiko.evaluation.gates.verdict import not_judged, write_verdict

    (file,) = registered.parents[1].rglob("JudgeBias/verdict/verdict.json")
    write_verdict(not_judged(gate="bias", reason="none is known"), file.parent)
    assert lines(registered, registered)["gates"]["bias"].left == "not judged"
