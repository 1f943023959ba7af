"""The page as a reader gets it: what it says of each kind of run."""

import datetime as dt
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from sashiko.contract.model import SplitDates
from sashiko.errors import InputError
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.report import plots
from sashiko.run_report import write_report
from tests.unit.contract import documents
from tests.unit.contract.documents import custom, document
from tests.unit.run_report import runs
from tests.unit.run_report.folders import RUN_ID, RunFolder
from tests.unit.run_report.page import HOSTILE, page_of, pictures


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    return page_of(runs.failed(tmp_path_factory.mktemp("failed")))


@pytest.mark.parametrize(("status", "word", "green"), [
    ("PendingManualApproval", "Waits for your decision", False),
    ("Approved", "Approved", True),
    ("Rejected", "Rejected", False),
])  # fmt: skip
def test_the_headline_is_green_for_an_approved_version_alone(tmp_path, status, word, green):
    page = page_of(runs.registered(tmp_path, status=status))
    section = page.text("decision")
    assert section.startswith(word)
    assert ('class="outcome registered"' in page.html) == green
    if green:
        assert "sashiko model reject 3" in section
        assert not {words for words in ("model approve", "signature") if words in section}


def test_an_approved_version_with_an_unjudged_gate_is_under_no_green_headline(tmp_path):
    contract = document()
    custom(contract, "facets")["value"] = []
    folder = runs.unjudged(tmp_path, contract=contract, reason="no facets", status="Approved")
    page = page_of(folder)
    assert page.text("decision").startswith("Approved")
    assert "not judged: bias" in page.text("decision")
    assert 'class="outcome registered"' not in page.html


def test_the_page_shows_each_figure_of_the_run(registered):
    page = registered
    assert "All 4 gates passed, with 4 checks" in page.text("decision")
    assert "late-loans version 3" in page.text("decision")
    assert "1,234" in page.text("settings")
    assert runs.DIGEST in page.text("settings")
    assert "age string sensitive facet; for measuring bias" in page.text("data")
    assert "reader string pii personal data; no step reads it" in page.text("data")
    assert "56 rows exceed the recipe's limits" in page.text("data")
    assert "400 held-out rows, 160 positive" in page.text("quality")
    assert re.search(r"predicted yes no 203 \(84.6 %\) 37 \(15.4 %\) yes", page.text("quality"))
    metrics = page.text("metrics")
    assert "Disparate impact (DI) predicted positive, group ÷ others age=old 0.950" in metrics
    assert "0.950 [0.900, 1.000] 200 / 200 below 1 ✓ passed" in metrics
    assert "0.123 [0.100, 0.150] 200 / 200 above 0 – reported" in metrics
    assert "undefined: no row of the group has the positive label" in metrics
    assert "s3://bucket/runs" in page.text("lineage")
    assert "strength" in page.text("settings")
    assert [alt.split(" ")[0] for alt in pictures(page, "training")] == ["Learning"]
    assert [alt.split(" ")[0] for alt in pictures(page, "quality")] == ["Calibration:"]
    assert [alt.split(":")[0] for alt in pictures(page, "fairness")] == [
        "Disparate impact (DI)", "Calibration by age",
    ]  # fmt: skip

    row = "predicted positive, others minus group age=oldest 0.020 7 / 393 above 0 too few to judge"
    assert row in metrics


def test_calibration_slices_and_leads_are_described_in_words(registered):
    quality = registered.text("quality")
    assert "Perfectly calibrated scores would show an error of" in quality
    calibration = "Calibration: share that is positive, by score: this model from "
    assert pictures(registered, "quality")[0].startswith(calibration)
    assert "Slices (8) slice rows positive balanced accuracy minus all" in quality
    assert "branch = west 200 40.0 %" in quality
    assert "shelf = rare 20 40.0 % too few to judge" in quality
    assert "by chance: one such slice is a lead" in quality
    lead = r"AUC how often .*? [-\d.]+ \[[-\d.]+, [-\d.]+\]: (✓|=|\?|✕) [a-z, ]+"
    assert re.search(lead, quality.partition("linear: TF-IDF and logistic regression")[2])


def test_a_blocked_run_names_check_number_interval_bounds_and_what_to_try(tmp_path):
    page = page_of(runs.blocked(tmp_path))
    decision = page.text("decision")
    failed = "One check of the bias gate failed. Nothing was registered."
    assert decision.startswith(f"Blocked by the bias gate {failed}")
    assert "Disparate impact (DI): age=old" in decision
    assert "0.430 95 % interval [0.380, 0.480] required 0.8 to 1.25" in decision
    assert "What to try next: put age in reweighing.facets" in decision
    assert "1 of 1 check failed" not in page.text("lineage")  # shown once, in the decision
    assert "ModelGate blocked" in page.text("lineage")
    assert "Register not reached" in page.text("lineage")


def test_a_failed_run_shows_the_reason_the_log_and_the_way_back(failed):
    decision = failed.text("decision")
    assert decision.startswith("Failed at step Train Nothing was registered. Out of rows.")
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
    assert "1,234" in page.text("settings")


def test_an_interrupted_run_is_no_judgement(tmp_path):
    run = runs.started(tmp_path)
    run.step("Prepare", "interrupted")
    page = page_of(run.write("interrupted"))
    assert "Interrupted The run was stopped before its end" in page.text("decision")
    assert "Prepare was interrupted" in page.text("data")
    page = page_of(run.write("running"))
    assert "the run had not ended, or it had been killed" in page.text("decision")


def test_a_run_whose_recipe_leaves_bias_unjudged_never_says_passed(tmp_path):
    reason = "the data name nobody"
    contract = document()
    custom(contract, "facets")["value"] = []
    page = page_of(runs.unjudged(tmp_path, contract=contract, reason=reason))
    notice = f"Bias not judged: {reason}"
    assert "All 2 gates passed, with 2 checks; not judged: bias. The" in page.text("decision")
    assert f"Disparate impact (DI) not judged {notice}" in page.text("decision")
    assert page.text("fairness") == f"Disaggregated results {notice}"
    assert f"Not judged: {notice}" in page.text("limitations")
    assert "none: bias is not judged" in page.text("data")
    assert "SnapshotFacets" not in page.text("settings")
    assert "bias" not in re.findall(r"([\w-]+) <span class=\"mark passed", page.html)


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


def test_a_folder_of_run_json_alone_is_reported_and_none_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"run\.json does not exist"):
        write_report(tmp_path, tmp_path)

    folder = RunFolder(tmp_path).write("failed", reason="no space left")
    (folder / "definition.json").unlink()
    page = page_of(folder)
    assert "No space left." in page.text("decision")
    assert "definition.json does not exist" in page.text("lineage")


def damage(root: Path, *files: str) -> None:
    for file in files:
        path = root / "home" / "s3" / "bucket" / "runs" / RUN_ID / file
        path.write_bytes(b'label,predicted_label,age\n{"a')


def test_damaged_records_are_named_and_the_rest_is_shown(tmp_path):
    folder = runs.registered(tmp_path)
    damage(
        tmp_path, "Snapshot/manifest/manifest.json", "Prepare/meta/split.json",
        "Evaluate/metrics/metrics.json", "Evaluate/verdict/verdict.json",
        "JudgeBias/intervals/intervals.json",
    )  # fmt: skip
    page = page_of(folder)
    assert "metrics.json is not readable JSON" in page.text("quality")
    assert "verdict.json is not readable JSON" in page.text("gates")
    assert "intervals.json is not readable JSON" in page.text("fairness")
    assert page.text("data").count("is not readable JSON") == 1
    assert "is not readable JSON" in page.text("settings")
    assert "facets 1,234" in page.text("settings")
    assert "DataGate passed" in page.text("lineage")


def test_damaged_data_costs_its_own_picture_only(tmp_path):
    folder = runs.registered(tmp_path)
    damage(tmp_path, "SnapshotFacets/data/data.parquet", "BiasInput/data/data.csv")
    page = page_of(folder)
    assert len(pictures(page, "quality")) == 1
    assert "data.csv is not what BiasInput writes" in page.text("fairness")
    assert "data.parquet is not a whole Parquet file" in page.text("fairness")
    assert [alt[:9] for alt in pictures(page, "fairness")] == ["Disparate"]

    damage(tmp_path, "Evaluate/predictions/predictions.parquet")
    page = page_of(folder)
    assert len(pictures(page, "quality")) == 1
    assert page.text("fairness").count("predictions.parquet is not a whole Parquet file") == 1


def test_a_store_that_was_cleaned_is_reported_and_not_taken_for_a_failure(tmp_path):
    folder = runs.registered(tmp_path)
    (tmp_path / "home" / "s3").rename(tmp_path / "home" / "elsewhere")
    page = page_of(folder)
    assert "Waits for your decision" in page.text("decision")
    assert "is no longer in the local store" in page.text("quality")


def test_texts_from_the_data_are_never_markup(tmp_path):
    contract = runs.contract_with(
        name=HOSTILE, description={"purpose": HOSTILE, "limitations": HOSTILE}
    )
    run = runs.started(tmp_path, contract=contract)
    runs.prepared(run)
    runs.judged(run, labels=("no", HOSTILE))
    run.step("ModelGate", "blocked", reason=HOSTILE)
    page = page_of(run.write("blocked", reason=HOSTILE))
    assert "script" not in {tag for tag, _ in page.tags}
    assert "<script" not in page.html
    assert "49" not in page.text("decision")
    assert HOSTILE in page.text("decision")
    assert HOSTILE in page.text("data")


def test_a_log_that_lies_elsewhere_is_not_shown(tmp_path):
    (tmp_path / "secret").write_text("error: the secret\n")
    run = runs.started(tmp_path)
    run.step("Snapshot", "failed", reason="broke", log="../../secret")
    page = page_of(run.write("failed", reason="step Snapshot failed: broke"))
    assert "the secret" not in page.html


def test_no_text_and_no_key_of_a_row_is_in_the_file_unless_it_is_asked_for(tmp_path):
    folder = runs.registered(tmp_path)
    neighbour = "the neighbour of number nine"
    store = folder.parents[1] / "s3/bucket/runs" / RUN_ID / "Explain/texts"
    for file in store.iterdir():
        file.write_text(file.read_text().replace("The book is  here.", f"The book is {neighbour}."))
    page = page_of(folder)
    keys = pq.read_table(next(folder.parents[1].rglob("predictions.parquet")))["key"].to_pylist()
    assert not [key for key in (*keys, "L7", neighbour, "The book") if key in page.html]
    assert f"sashiko runs report {RUN_ID} --with-rows" in page.text("explanations")
    assert page_of(folder).html == page.html
    shown = page_of(folder, with_rows=True)
    assert "Row L7: predicted yes, is no" in shown.text("explanations")


def test_the_page_needs_nothing_else(registered):
    page = registered
    assert len(page.html) < 2_000_000
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            value = attributes.get(name) or ""
            assert value == "" or value.startswith("#") or value == "data:,"
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"@import|url\((?!#)", page.html)
    assert {"script", "iframe", "object", "embed"}.isdisjoint(tag for tag, _ in page.tags)


CLASSES = ("Kredit, Darlehen", "Konto", 'Karte "Gold"', HOSTILE, "Überweisung")


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    started = {"metric": "worst_class_recall", "evaluate": {"abstain": {"below": 0.6}}}
    return page_of(runs.registered(folder, bias=started, labels=CLASSES))


def test_a_report_of_several_classes_shows_each_class_and_what_is_confused(classes):
    text, shown = classes.text("quality"), " ".join(pictures(classes, "quality"))
    for name in CLASSES:
        assert name in text
    assert re.search(r"Recall by class: Konto 0\.\d\d, interval", shown)
    assert ", too few rows to judge." in shown
    assert re.search(r"Confusion matrix: Kredit, Darlehen \d+ of \d+ found", shown)
    assert "share that is right, by score" in shown
    assert 'labelled predicted rows of the label\'s rows Konto Karte "Gold"' in text
    assert "slice rows favourable" in text
    decision = "the class with the highest score if it is at least 0.600, else no answer"
    assert f"{decision} (81.2 % of the answers on validation are right)" in text
    assert re.search(r"recall precision F1 answered .*Konto no \d+ \d+( [\d.]+ \[.*?\]){2}", text)
    assert "Area under the risk-coverage curve: 0." in text
    assert re.search(r"Right answers by coverage: [\d.]+ \[.*?\] of 5%, .* of 100%; 0\.\d+", shown)
    first = classes.text("decision")
    assert "Share of the" in first
    assert "1 of 5 classes have fewer than 30 test rows." in first
    assert "recall of Überweisung: 20 test rows of this class, fewer than 30" in first


@pytest.fixture(scope="module")
def number(tmp_path_factory):
    folder = tmp_path_factory.mktemp("number")
    started = {"metric": "r2", "contract": documents.number(above=5)}
    return page_of(runs.registered(folder, bias=started, number=True))


def test_a_report_of_a_number_shows_errors_by_slice_and_the_interval(number):
    """Odd rows, the branch west, are predicted 2 too high."""
    text, shown = number.text("quality"), " ".join(pictures(number, "quality"))
    assert "price: a number; above 5 is favourable" in number.text("data")
    assert re.search(r"Observed against predicted values of 400 rows, from -\d", shown)
    assert re.search(r"Mean error by slice: branch = west [12]\.\d+; ", shown)
    assert re.search(
        r"Coverage of the interval: 0\.9\d+ \[0\.\d+, 0\.\d+\] of all rows, aim 0\.9;", shown
    )
    assert "above 5 is favourable: the contract's bound; the same for everybody" in text
    assert "±6.500 around each predicted value, fitted on validation to hold 90 % of rows" in text
    assert "mean 10.000, standard deviation 8.000 in train; mean 9.707 in test" in text
    assert "0.005 is in standard deviations of the label: 0.04" in text
    assert "Outcomes at the contract's bound" in text
    assert "slice rows favourable mean absolute error minus all" in text
    assert "threshold" not in text
    assert "alibration" not in text + shown
    first = number.text("decision")
    assert "Mean absolute error" in first
    assert "Share of rows within ±6.500 of the prediction; aim: 90 %." in first
    assert re.search(r"linear: 0\.\d+; this one is better", first)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("values", "shown"), [
    ([3.0, 3.0, 3.0, 3.0], "darkest cell: 4 rows; outside: 0"),
    ([*range(1000), 1e9], " rows; outside: 1<"),
])  # fmt: skip
def test_a_picture_of_values_has_room_for_most_of_them_and_says_what_it_leaves_out(values, shown):
    numbers = np.array(values, dtype=np.float64)
    drawn = plots.observed_and_predicted(numbers, numbers, half_width=1.0, bound=0.0)
    assert shown in drawn
    exact = Estimate(value=0.0, low=0.0, high=0.0)
    assert "branch = east" in plots.mean_errors([("branch = east", exact)])


def test_a_picture_of_very_many_classes_has_no_counts_and_the_worst_classes_only(tmp_path):
    labels = tuple(f"class {number:02}" for number in range(40))
    page = page_of(runs.registered(tmp_path, bias={"metric": "macro_f1"}, labels=labels))
    text = page.text("quality")
    assert "The 10 classes with the highest recall are left out." in text
    assert "the class with the highest score; the same for everybody" in text
    assert "threshold" not in text
