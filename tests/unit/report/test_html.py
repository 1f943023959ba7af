"""The page as a reader gets it: what it says of each kind of run."""

import datetime as dt
import re

import pytest

from sashiko.contract.model import SplitDates
from sashiko.core.files import read_json, write_json
from tests.unit.contract.documents import custom, document
from tests.unit.report import runs
from tests.unit.report.folders import RUN_ID
from tests.unit.report.page import page_of, pictures


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    return page_of(runs.failed(tmp_path_factory.mktemp("failed")))


def test_a_registered_run_says_what_was_registered_and_how_to_approve_it(registered):
    decision = registered.text("decision")
    assert decision.startswith("WAITS FOR YOUR DECISION")
    assert "late-loans version 3" in decision
    assert "All 4 gates passed, with 4 checks" in decision
    assert "sashiko model approve 3 --recipe loans" in decision


@pytest.mark.parametrize(
    ("status", "word", "green"),
    [
        ("PendingManualApproval", "WAITS FOR YOUR DECISION", False),
        ("Approved", "REGISTERED, APPROVED", True),
        ("Rejected", "REGISTERED, REJECTED", False),
    ],
)
def test_the_headline_is_green_for_an_approved_version_alone(tmp_path, status, word, green):
    page = page_of(runs.registered(tmp_path, status=status))
    assert page.text("decision").startswith(word)
    assert ('class="outcome registered"' in page.html) == green


def test_an_approved_version_with_an_unjudged_gate_is_under_no_green_headline(tmp_path):
    contract = document()
    custom(contract, "facets")["value"] = []
    folder = runs.unjudged(tmp_path, contract=contract, reason="no facets", status="Approved")
    page = page_of(folder)
    assert page.text("decision").startswith("REGISTERED, APPROVED")
    assert "not judged: bias" in page.text("decision")
    assert 'class="outcome registered"' not in page.html


def test_the_page_shows_each_figure_of_the_run(registered):
    page = registered
    assert "1,234" in page.text("data")
    assert runs.DIGEST in page.text("data")
    assert "age string sensitive facet; for measuring bias" in page.text("data")
    assert "reader string pii personal data; no step reads it" in page.text("data")
    assert "56 rows are over the recipe's limits" in page.text("data")
    assert "400 held-out rows, 160 positive" in page.text("quality")
    fairness = page.text("fairness")
    assert "DI age=old predicted positive, group ÷ others" in fairness
    assert "0.950 [0.900, 1.000] 200 / 200 0.8 to 1.25 ✓ passed" in fairness
    assert fairness.index("Gated bias metrics") < fairness.index("not gated (")
    assert "0.123 [0.100, 0.150] 200 / 200 above 0 – reported" in fairness
    assert "undefined: no row of the group has the positive label" in page.text("fairness")
    assert "s3://bucket/runs" in page.text("lineage")
    assert "strength" in page.text("settings")
    assert [alt.split(" ")[0] for alt in pictures(page, "quality")] == [
        "Comparison:", "Calibration:", "Scores", "Confusion", "Learning",
    ]  # fmt: skip
    assert [alt.split(" ")[0] for alt in pictures(page, "fairness")] == [
        "DI:", "Bias", "Calibration", "Scores",
    ]  # fmt: skip


def test_a_group_of_few_rows_reads_as_too_few_to_judge(registered):
    row = "DPPL age=oldest predicted positive, others minus group 0.020 7 / 393 above 0 too few to"
    assert f"{row} judge" in registered.text("fairness")


def test_calibration_slices_and_leads_are_described_in_words(registered):
    quality = registered.text("quality")
    assert "Perfectly calibrated scores would show an error of" in quality
    assert "share of positives by mean score of 15 bins" in pictures(registered, "quality")[1]
    assert "Worst slices slice rows positive balanced accuracy" in quality
    assert "branch = west 200 40.0 %" in quality
    assert "shelf = rare 20 40.0 % too few to judge" in quality
    assert "by chance alone" in quality
    lead = r"( [-\d.]+ \[[-\d.]+, [-\d.]+\] (✓|=|\?|✕) [a-z, ]+){4}"
    leads = quality.partition("other model AUC accuracy")[2]
    assert re.search(f"linear: TF-IDF and logistic regression{lead}", leads)


def test_a_blocked_run_names_check_number_interval_bounds_and_what_to_try(tmp_path):
    page = page_of(runs.blocked(tmp_path))
    decision = page.text("decision")
    assert "BLOCKED One check of the bias gate failed. Nothing was registered." in decision
    assert "DI age=old" in decision
    assert "0.430 95 % interval [0.380, 0.480] required 0.8 to 1.25" in decision
    assert "What to try next: put age in reweighing.facets" in decision
    assert "1 of 1 check failed" not in page.text("lineage")  # shown once, in the decision
    assert "ModelGate blocked" in pictures(page, "lineage")[0]
    assert "Register not reached" in pictures(page, "lineage")[0]


def test_a_failed_run_shows_the_reason_the_log_and_the_way_back(failed):
    decision = failed.text("decision")
    assert "step Train failed. Out of rows." in decision
    assert "step 39/40 error: out of rows" in decision
    assert "step 20/40" not in decision
    assert "sashiko run --recipe loans --set train.epochs=2 --from Train" in decision


def test_what_was_not_reached_says_why_and_draws_nothing(failed):
    page = failed
    why = "Evaluate was not reached: the run ended at Train (failed)."
    assert why in page.text("quality")
    assert why in page.text("gates")
    assert "JudgeBias was not reached" in page.text("fairness")
    assert not pictures(page, "quality") + pictures(page, "fairness")
    assert "1,234" in page.text("data")


def test_an_interrupted_run_is_no_judgement(tmp_path):
    run = runs.started(tmp_path)
    run.step("Prepare", "interrupted")
    page = page_of(run.write("interrupted"))
    assert "INTERRUPTED The run was stopped before its end" in page.text("decision")
    assert "Prepare was interrupted" in page.text("data")
    page = page_of(run.write("running"))
    assert "the run had not ended, or it had been killed" in page.text("decision")


def test_a_linear_baseline_that_wins_is_named_first(tmp_path, registered):
    page = page_of(runs.registered(tmp_path, linear=3.0))
    worse = "This model is worse on AUC and accuracy than linear: TF-IDF and logistic regression."
    assert page.text("quality").startswith(f"Quality {worse}")
    assert "This model is worse" not in registered.text("quality")


def test_a_reweighed_baseline_is_named_so_and_the_other_one_is_context(tmp_path):
    folder = runs.registered(tmp_path, linear=3.0)
    path = folder.parents[1] / "s3/bucket/runs" / RUN_ID / "Evaluate/metrics/metrics.json"
    metrics = read_json(path)
    linear = metrics["others"]["tfidf_logistic_regression"]
    metrics["others"]["tfidf_logistic_regression_unmitigated"] = linear
    write_json(path, metrics)
    section = page_of(folder).text("quality")
    assert "than linear: TF-IDF and logistic regression, reweighed as this model is." in section
    assert "linear, not reweighed: for context, no gate compares with it" in section


def test_seen_and_unseen_text_stand_beside_the_linear_baseline(tmp_path, registered):
    folder = runs.registered(tmp_path)
    path = folder.parents[1] / "s3/bucket/runs" / RUN_ID / "Evaluate/metrics/metrics.json"
    auc = {"value": 0.864, "low": 0.85, "high": 0.88}
    few = {"seen": True, "rows": 12, "positives": 3, "candidate": {}, "linear": {}, "lead": {}}
    models = {
        name: {"auc": auc | {"value": value}}
        for name, value in {"candidate": 0.864, "linear": 0.667, "lead": 0.197}.items()
    }
    new = few | {"seen": False, "rows": 388, "positives": 97} | models
    write_json(path, read_json(path) | {"seen_text": [few, new]})
    section = page_of(folder).text("quality")
    assert "seen: all words in train 12 25.0 % too few to judge" in section
    assert "unseen: some words are new 388 25.0 % 0.864 [0.850, 0.880] 0.667" in section
    assert "Seen and unseen text" not in registered.html


def test_what_prompt_injections_turned_stands_where_it_was_measured(tmp_path, registered):
    folder = runs.registered(tmp_path)
    path = folder.parents[1] / "s3/bucket/runs" / RUN_ID / "Evaluate/metrics/metrics.json"
    rate = {"value": 0.25, "low": 0.1, "high": 0.5}
    above = {"value": 0.125, "low": -0.05, "high": 0.3}
    count = {"rows": 16, "flips": 4, "control_flips": 2, "rate": rate, "above_control": above}
    figures = {"injections": 46, "sha256": "0" * 64, "refused": 2, "cut_off": 7, "overall": count}
    figures |= {"from_positive": count, "from_negative": count, "by_kind": {"role": count}}
    write_json(path, read_json(path) | {"injection": figures})
    section = page_of(folder).text("quality")
    assert "Prompt injections, 46 texts" in section
    assert "kind: role 16 4 2 0.125 [-0.050, 0.300]" in section
    assert "2 more were refused" in section
    assert "7 more were cut off" in section
    assert "Prompt injections" not in registered.html


def test_without_a_bias_gate_the_page_says_not_judged(tmp_path, registered):
    page = page_of(runs.blocked(tmp_path, gates=[]))
    notice = "not shown to be good: Bias not judged: the recipe has no bias gate"
    assert notice in page.text("decision")
    assert "Bias not judged" not in registered.html


def test_a_run_whose_recipe_leaves_bias_unjudged_never_says_passed(tmp_path):
    reason = "the data name nobody"
    contract = document()
    custom(contract, "facets")["value"] = []
    page = page_of(runs.unjudged(tmp_path, contract=contract, reason=reason))
    notice = f"Bias not judged: {reason}"
    assert "All 2 gates passed, with 2 checks; not judged: bias. The" in page.text("decision")
    assert page.text("decision").count(notice) == 1
    assert page.html.count(notice) == 2  # first screen, fairness
    assert page.text("fairness") == f"Fairness {notice}"
    assert "none: bias is not judged" in page.text("data")
    assert "SnapshotFacets" not in page.text("data")
    assert "bias" not in re.findall(r"<h3>([\w-]+) <span class=\"mark passed", page.html)


def test_a_split_that_moves_is_shown_with_the_dates_that_came_out(tmp_path):
    contract = document()
    split = {"kind": "time", "column": "lent_at", "validation_days": 30, "test_days": 60}
    custom(contract, "split")["value"] = split
    run = runs.started(tmp_path, contract=contract)
    words = "by time (lent_at): the 60 days up to the newest row are for testing, the 30 before"
    assert words in page_of(run.write("failed", reason="Prepare failed")).text("data")
    first, last = dt.date(2025, 10, 2), dt.date(2025, 11, 1)
    runs.prepared(run, dates=SplitDates(column="lent_at", validation_from=first, test_from=last))
    page = page_of(run.write("failed", reason="step Train failed"))
    assert f"validation: validation from {first}, test from {last}" in page.text("data")
