"""JudgeBias: its verdict on a model, and the interval of each metric."""

from itertools import product
from pathlib import Path

import pyarrow as pa
import pytest

from sashiko.base.files import sha256_file, sha256_tree
from sashiko.bias.clarify.contract_config import analysis_config
from sashiko.bias.metrics.clarify_metrics import stage_metrics
from sashiko.bias.steps import clarify_bias, judge_bias
from sashiko.bias.steps.blocked_texts import Blocker, write_outcomes
from sashiko.contract.load import load_contract
from sashiko.errors import InputError
from tests.unit.bias.steps.bias_folders import JOINED, Job, facet_rows
from tests.unit.bias.steps.judge_bias.judged_rows import FACETS, FAIR, FOUR_FIFTHS, UNFAIR, rows


def test_a_fair_model_passes_with_its_number_and_interval(job: Job, analyse, judge) -> None:
    verdict = judge(FAIR)
    (check,) = verdict.checks
    assert (verdict.gate, verdict.passed) == ("bias", True)
    assert check.name == "DI age=old"
    assert check.value == pytest.approx(90 / 95)
    assert check.low < check.value < check.high
    assert check.high - check.low < 0.5
    assert verdict.inputs["data"] == sha256_tree(job.folder("data"))
    assert set(verdict.inputs) == {
        *("pre-analysis", "post-analysis", "facets", "data"),
        *("facets-snapshot", "joined-facets-snapshot"),
    }
    counted = sha256_file(job.folder("facets") / "data.parquet")
    assert verdict.inputs["facets-snapshot"] == counted
    assert verdict.inputs["joined-facets-snapshot"] == JOINED


@pytest.mark.parametrize(("blocked", "passed"), [(0, True), (30, False)])
def test_a_fair_model_behind_a_guardrail_that_blocks_a_group_is_blocked(
    job: Job, judge, blocked: int, passed: bool
) -> None:
    """The outcomes are joined with the facets by key; 60 of the group's 300 rows are late."""
    keys = FACETS["loan_id"].to_pylist()
    late = [int(value == "yes") for value in FACETS["late"].to_pylist()]
    outcomes = [int(place < blocked) for place in range(len(keys))]
    table = pa.table({"key": keys[::-1], "label": late[::-1], "blocked": outcomes[::-1]})
    blocker = Blocker(kind="guardrail", name="g1, version 3", advice="Loosen a filter.")
    folder = job.folder("blocked")
    write_outcomes(table, blocker, folder)
    verdict = judge(FAIR, arguments=["--blocking-difference", "0.02"])
    assert verdict.passed is passed
    assert [check.name for check in verdict.checks] == ["DI age=old", "guardrail blocks age=old"]
    assert verdict.checks[1].value == pytest.approx(blocked / 300)
    assert verdict.inputs["blocked"] == sha256_tree(folder)


def test_an_unfair_model_is_blocked_with_number_interval_and_what_to_try(
    job: Job, analyse, judge
) -> None:
    verdict = judge(UNFAIR)
    assert not verdict.passed
    for part in ("DI age=old = 0.4 [0.", "required 0.8 to 1.25", "Try: ", "reweighing.strength"):
        assert part in verdict.summary


def test_a_model_that_says_no_to_all_is_blocked(job: Job, analyse, judge) -> None:
    nobody = rows(old=(0, 0), young=(0, 0))
    verdict = judge(nobody)
    assert not verdict.passed
    assert "no row is predicted positive" in verdict.checks[0].reason


def test_every_metric_of_both_analyses_is_in_the_intervals(job: Job, judge) -> None:
    judge(FAIR)
    rows_by_metric = {
        (row["stage"], row["metric"]): row for row in job.json("intervals/intervals.json")
    }
    assert set(rows_by_metric) == {
        (stage, name)
        for stage in ("pre_training", "post_training")
        for name in stage_metrics(stage)
    }
    folder = job.root / "processing" / "output" / "intervals"
    for name in ("pre", "post"):
        stored = (folder / f"{name}-training-analysis.json").read_bytes()
        assert stored == (job.folder(f"{name}-analysis") / "analysis.json").read_bytes()
    of_predictions, of_labels = (
        rows_by_metric["post_training", "RD"],
        rows_by_metric["pre_training", "DPL"],
    )
    assert (of_predictions["n_disadvantaged"], of_predictions["n_advantaged"]) == (200, 200)
    assert (of_labels["n_disadvantaged"], of_labels["n_advantaged"]) == (300, 500)
    assert of_labels["value"] == pytest.approx(150 / 500 - 60 / 300)
    for row in rows_by_metric.values():
        if row["metric"] in ("CDDL", "CDDPL"):
            assert "no group variable" in row["error"]
        else:
            assert row["low"] < row["high"]


def test_a_gate_on_no_facet_of_the_contract_is_refused(job: Job, analyse, judge) -> None:
    gate = FOUR_FIFTHS | {"facet": "shoe_size"}
    with pytest.raises(InputError, match=r"bias\.gates\.1\.facet: `shoe_size` .* age"):
        judge(FAIR, gates=[FOUR_FIFTHS, gate])


def test_without_a_gate_nothing_was_judged_and_nothing_passes(job: Job, analyse, judge) -> None:
    assert not judge(FAIR, gates=[]).passed


def test_a_group_variable_gives_the_conditional_disparities(tmp_path: Path, monkeypatch) -> None:
    # the strata of STRATA in the metrics' tests: 100 rows of north, 50 of south
    rows = [
        (label, predicted, age, branch)
        for branch, counts in (
            ("north", (25, 5, 5, 25, 24, 6, 4, 6)),
            ("south", (8, 2, 6, 4, 15, 5, 5, 5)),
        )
        for (age, label, predicted), count in zip(
            product(("young", "old"), (0, 1), (0, 1)), counts, strict=True
        )
        for _ in range(count)
    ]
    csv = "label,predicted_label,age,group_variable\n"
    csv += "".join(f"{','.join(map(str, row))}\n" for row in rows)
    labels, _, ages, branches = (list(column) for column in zip(*rows, strict=True))
    late = ["yes" if label else "no" for label in labels]
    facets = facet_rows([f"L{index}" for index in range(150)], ages, late)
    facets = facets.append_column("branch", [branches])

    last = Job(tmp_path / "judge", monkeypatch)
    last.grouped_contract()
    last.section("reweighing", {})
    last.section("evaluate", {})
    contract = load_contract(last.folder("config") / "contract.odcs.yaml")
    for kind in ("pre", "post"):
        step = Job(tmp_path / kind, monkeypatch)
        step.section("analysis_config", analysis_config(contract, kind=kind))
        step.parquet("data", facets) if kind == "pre" else step.text("data", csv)
        step.run(clarify_bias)
        last.text(
            f"{kind}-analysis", step.output("analysis.json").read_text(), file="analysis.json"
        )
    last.section("bias", {"gates": [FOUR_FIFTHS], "minimum_group_size": 70})
    last.parquet("facets", facets)
    last.text("data", csv)
    last.run(judge_bias)
    rows_by_metric = {row["metric"]: row for row in last.json("intervals/intervals.json")}
    assert rows_by_metric["CDDL"]["value"] == pytest.approx((100 * 0.25 + 50 / 6) / 150)
    for name in ("CDDL", "CDDPL"):
        assert (
            rows_by_metric[name]["low"]
            < rows_by_metric[name]["value"]
            < rows_by_metric[name]["high"]
        )
