"""Gates of the project's own, as docs/change.md adds them."""

import json
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from sashiko.base.files import sha256_file
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Check, Verdict, read_verdict, today, waive
from sashiko.settings.recipe_quality import Waiver
from tests.e2e.changes.project import Project, assert_small
from tests.e2e.serving.tiny_artifact import WORDS, build_artifact
from tests.project_root import REPOSITORY
from tests.unit.acme import forget
from tests.unit.steps import evaluate_job

PAGE = (REPOSITORY / "docs/change.md").read_text(encoding="utf-8").partition("## Add a gate")[2]
GATES, DIFF = re.findall(r"```(?:python|diff)\n(.*?)```", PAGE, re.S)[:2]
SIZE, FLIPS = "artifact size, MB", "flipped labels"

Judge = Callable[..., Verdict]


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Runs Evaluate on a small model with own gates and, optionally, a champion."""
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["evaluate"])
    package = tmp_path / "src/acme"
    package.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    forget(monkeypatch)

    def run(*own: tuple[str, dict[str, float]], code: str = GATES, champion: bool = False):
        (package / "gates.py").write_text(code)
        inputs = evaluate_job.lay_out(tmp_path)
        gates = [
            {"gate": f"acme.gates:{name}", "options": options, "reason": "why"}
            for name, options in own
        ]
        quality = {"gates": evaluate_job.GATES[:1], "own_gates": gates}
        (inputs / "config/quality.json").write_text(json.dumps(quality))
        if champion:
            archive = build_artifact(
                tmp_path / "champion", words=WORDS | {"awful": -3.0, "bad": -1.0}
            )
            record = {"version": 3, "sha256": sha256_file(archive), "threshold": 0.5}
            evaluate_job.champion(tmp_path, record, archive)
        evaluate_job.run_evaluate()
        return read_verdict(tmp_path / "processing/output/verdict")

    return run


def check_of(verdict: Verdict, name: str) -> Check:
    (check,) = [check for check in verdict.checks if check.name == name]
    return check


def test_an_artifact_over_the_bound_blocks_and_can_be_waived(judge: Judge, tmp_path: Path) -> None:
    size = build_artifact(tmp_path / "same").stat().st_size / 1e6
    verdict = judge(("artifact_size", {"maximum_mb": size / 2}))
    check = check_of(verdict, SIZE)
    assert (check.value, check.passed, check.reason) == (pytest.approx(size), False, "why")
    assert "smaller encoder" in check.try_
    assert not verdict.released
    assert SIZE in verdict.summary

    on = today()
    waiver = Waiver(
        check=SIZE, reason="the gateway is replaced", owner="Ada", expires=on + timedelta(days=1)
    )
    assert waive(verdict, [waiver], on=on).released


def test_one_below_the_bound_passes_without_advice(judge: Judge) -> None:
    check = check_of(judge(("artifact_size", {"maximum_mb": 100})), SIZE)
    assert (check.passed, check.try_) == (True, "")


@pytest.mark.parametrize(("champion", "outcome"), [(True, (False, True)), (False, (True, False))])
def test_labels_that_flip_against_the_champion_are_counted(judge, champion, outcome):
    check = check_of(judge(("flipped_labels", {"maximum": 0.05}), champion=champion), FLIPS)
    assert (check.passed, check.judged) == outcome
    # The champion calls `awful` negative, which a quarter of the rows say.
    assert check.value == (pytest.approx(0.25) if champion else None)


CHECKS = "from sashiko.evaluation.gates.verdict import Check\ndef gate(evidence):\n    return "


@pytest.mark.parametrize(("code", "message"), [
    (CHECKS + "[]", r"quality.own_gates.0.gate: acme.gates:gate must return one .*Check or"),
    (CHECKS + "[True]", "must return one .*Check or more; it returned .True."),
    (CHECKS + "[Check(name='auc', passed=True)]", "a second check `auc`: give it another"),
    ("gates = 1", "acme.gates:gate.*has no attribute 'gate'"),
])  # fmt: skip
def test_a_gate_that_judges_nothing_or_twice_is_an_error(judge: Judge, code: str, message: str):
    with pytest.raises(InputError, match=message):
        judge(("gate", {}), code=code)


def test_the_recipe_names_them_and_a_wrong_name_is_an_error_before_a_run(tmp_path: Path) -> None:
    project = Project.copy(tmp_path / "project")
    project.write("src/acme/gates.py", GATES)
    added = [line[1:] for line in DIFF.splitlines() if line.startswith("+")]
    project.edit(
        "recipes/complaints.yaml", there="quality:\n", put="\n".join(["quality:", *added, ""])
    )
    assert_small(project)
    command = ("-c", "from sashiko.cli import main; main()", "definition", "--check")
    built = project.run(*command)
    assert built.returncode == 0, built.stderr

    project.edit("recipes/complaints.yaml", there="gates:flipped_labels", put="gates:flips")
    refused = project.run(*command)
    assert refused.returncode == 1
    assert "recipes/complaints.yaml: key `quality.own_gates.1.gate`: acme.gates:flips" in (
        refused.stderr
    )
