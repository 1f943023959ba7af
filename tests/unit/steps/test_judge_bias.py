import copy
import json
from pathlib import Path
from typing import Any

import pytest

from sashiko.contract.bias_config import analysis_config
from sashiko.contract.model import load_contract
from sashiko.errors import InputError
from sashiko.files import sha256_tree
from sashiko.gates.verdict import Verdict, read_verdict
from sashiko.steps import bias, judge_bias
from tests.unit.steps.bias_folders import Job

FOUR_FIFTHS = {
    "metric": "DI",
    "facet": "age",
    "minimum": 0.8,
    "maximum": 1.25,
    "reason": "four fifths",
}
PRE = {
    "version": "1.0",
    "pre_training_bias_metrics": {
        "label": "late",
        "label_value_or_threshold": "yes",
        "facets": {
            "age": [
                {
                    "value_or_threshold": "old",
                    "metrics": [
                        {"name": "CI", "description": "Class Imbalance (CI)", "value": 0.25},
                        {"name": "DPL", "description": "DPL", "value": None, "error": "no rows"},
                    ],
                }
            ]
        },
    },
}


def rows(*, old: tuple[int, int], young: tuple[int, int], count: int = 200) -> str:
    """CSV rows; per group how many of `count` are right positives, and how many wrong ones."""
    lines = ["label,predicted_label,age"]
    for age, (right, wrong) in (("old", old), ("young", young)):
        lines += [f"1,1,{age}"] * right + [f"0,1,{age}"] * wrong
        lines += [f"1,0,{age}"] * 10 + [f"0,0,{age}"] * (count - right - wrong - 10)
    return "\n".join(lines) + "\n"


FAIR = rows(old=(80, 10), young=(85, 10))
UNFAIR = rows(old=(30, 10), young=(90, 10))


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    return Job(tmp_path / "judge", monkeypatch)


@pytest.fixture
def analyse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs PostBias on a CSV, as the pipeline does, and returns its analysis.json."""

    def run(csv: str) -> Any:
        post = Job(tmp_path / "post", monkeypatch)
        post.contract()
        contract = load_contract(post.folder("config") / "contract.odcs.yaml")
        post.section("analysis_config", analysis_config(contract, kind="post"))
        post.text("data", csv)
        post.run(bias)
        return post.json("analysis.json")

    return run


def judge(
    job: Job, csv: str, post: Any, *, pre: Any = PRE, gates: list[Any] | None = None
) -> Verdict:
    job.contract()
    job.section("bias", {"gates": [FOUR_FIFTHS] if gates is None else gates})
    job.text("pre-analysis", json.dumps(pre), file="analysis.json")
    job.text("post-analysis", json.dumps(post), file="analysis.json")
    job.text("data", csv)
    job.run(judge_bias)
    return read_verdict(job.output("verdict"))


def test_a_fair_model_passes_with_its_number_and_interval(job: Job, analyse) -> None:
    verdict = judge(job, FAIR, analyse(FAIR))
    (check,) = verdict.checks
    assert (verdict.gate, verdict.passed) == ("bias", True)
    assert check.name == "DI age=old"
    assert check.value == pytest.approx(90 / 95)
    assert check.low < check.value < check.high
    assert check.high - check.low < 0.5
    assert verdict.inputs["data"] == sha256_tree(job.folder("data"))
    assert set(verdict.inputs) == {"pre-analysis", "post-analysis", "data"}


def test_an_unfair_model_is_blocked_with_number_interval_and_what_to_try(job, analyse) -> None:
    verdict = judge(job, UNFAIR, analyse(UNFAIR))
    assert not verdict.passed
    for part in ("DI age=old = 0.4 [0.", "required 0.8 to 1.25", "Try: ", "reweighing.strength"):
        assert part in verdict.summary


def test_a_model_that_says_no_to_all_is_blocked(job: Job, analyse) -> None:
    nobody = rows(old=(0, 0), young=(0, 0))
    verdict = judge(job, nobody, analyse(nobody))
    assert not verdict.passed
    assert "no row is predicted positive" in verdict.checks[0].reason


def test_every_metric_of_both_analyses_is_in_the_intervals(job: Job, analyse) -> None:
    judge(job, FAIR, analyse(FAIR))
    found = {(row["stage"], row["metric"]): row for row in job.json("intervals/intervals.json")}
    assert set(found) == {
        ("pre_training", "CI"),
        ("pre_training", "DPL"),
        *(("post_training", name) for name in ("AD", "DI", "DPPL", "RD")),
    }
    folder = job.root / "processing" / "output" / "intervals"
    for name in ("pre", "post"):
        kept = (folder / f"{name}-training-analysis.json").read_bytes()
        assert kept == (job.folder(f"{name}-analysis") / "analysis.json").read_bytes()
    of_predictions = found["post_training", "RD"]
    assert (of_predictions["n_disadvantaged"], of_predictions["n_advantaged"]) == (200, 200)
    assert of_predictions["low"] < of_predictions["value"] < of_predictions["high"]
    assert found["pre_training", "CI"]["value"] == 0.25
    assert found["pre_training", "DPL"]["error"] == "no rows"


def test_clarifys_own_output_is_judged_alike(job: Job, analyse) -> None:
    # Clarify writes an error beside a null, infinities as words, and keys and metrics of its own
    nobody = rows(old=(30, 0), young=(0, 0))
    ours = analyse(nobody)
    theirs = copy.deepcopy(ours)
    stage = theirs["post_training_bias_metrics"]
    metrics = stage["facets"]["age"][0]["metrics"]
    next(item for item in metrics if item["name"] == "DI").update(value="Infinity", error=None)
    metrics.append({"name": "FT", "description": "Flip Test (FT)", "value": -0.5})
    stage["label_headers"] = ["late"]
    theirs["explanations"] = {}
    verdict = judge(job, nobody, theirs)
    assert verdict.checks == judge(job, nobody, ours).checks
    assert "no row of the advantaged group is predicted positive" in verdict.checks[0].reason
    judge(job, nobody, theirs)
    (extra,) = [row for row in job.json("intervals/intervals.json") if row["metric"] == "FT"]
    assert (extra["value"], extra["low"]) == (-0.5, None)


def test_an_analysis_of_other_data_is_refused(job: Job, analyse) -> None:
    with pytest.raises(InputError, match=r"says .* age=old is .* but the data give"):
        judge(job, UNFAIR, analyse(FAIR))
    assert not job.output("verdict").exists() or not list(job.output("verdict").iterdir())


def test_an_analysis_of_another_group_than_the_contracts_is_refused(job: Job, analyse) -> None:
    post = analyse(FAIR)
    post["post_training_bias_metrics"]["facets"]["age"][0]["value_or_threshold"] = "young"
    with pytest.raises(InputError, match="age=young, which is no disadvantaged group"):
        judge(job, FAIR, post)


def test_a_gate_on_no_facet_of_the_contract_is_refused(job: Job, analyse) -> None:
    gate = FOUR_FIFTHS | {"facet": "shoe_size"}
    with pytest.raises(InputError, match=r"bias\.gates\.1\.facet: `shoe_size` .* age"):
        judge(job, FAIR, analyse(FAIR), gates=[FOUR_FIFTHS, gate])


def test_without_a_gate_nothing_was_judged_and_nothing_passes(job: Job, analyse) -> None:
    assert not judge(job, FAIR, analyse(FAIR), gates=[]).passed


def test_swapped_analyses_are_named(job: Job, analyse) -> None:
    with pytest.raises(InputError, match=r"PreBias.*pre_training_bias_metrics"):
        judge(job, FAIR, PRE, pre=analyse(FAIR))


def test_equal_input_gives_equal_bytes(job: Job, analyse) -> None:
    post = analyse(UNFAIR)
    written = []
    for _ in range(2):
        judge(job, UNFAIR, post)
        files = ("verdict/verdict.json", "intervals/intervals.json")
        written.append([job.output(file).read_bytes() for file in files])
    assert written[0] == written[1]
