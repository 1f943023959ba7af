"""The first screen: enough to approve the model, or to refuse it."""

import math
import re
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from sashiko.base.files import read_json, write_json
from sashiko.base.plugin_names import names
from sashiko.base.plugins import load
from sashiko.data.generators import Order
from sashiko.evaluation.gates.verdict import Check, decide, not_judged
from sashiko.report.evidence import read_evidence
from sashiko.report.gate_views import gate_views, verdicts
from sashiko.report.svg import allowed_range, range_bar
from sashiko.run_report.decision import outcome
from sashiko.run_report.headline import headline_figures, small_groups, summary
from tests.unit.run_report import runs
from tests.unit.run_report.folders import RUN_ID
from tests.unit.run_report.page import page_of


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    return page_of(runs.registered(tmp_path_factory.mktemp("registered")))


def test_it_names_the_use_the_data_the_figures_and_the_gates(registered):
    section = registered.text("decision")
    assert "meant for Not stated: key card.intended_uses of the recipe." in section
    assert "data library-loans, version 2.1.0, as of 0123456789ab, 1,234 rows, sha256 01" in section
    assert f"made by run {RUN_ID} of commit 4f1c2a9d4f1c, from tiny-encoder" in section
    assert "above a negative one 0.913 [0.887, 0.937] at least 0.7 ✓ passed" in section
    assert "group ÷ others 0.950 [0.900, 1.000] 0.8 to 1.25 ✓ passed" in section
    assert "up to 0.100 by chance 0.162 [0.119, 0.171] – reported" in section
    assert "deletion test how much further the score falls" in section
    assert "data-quality ✓ passed 1" in section
    assert "not shown to be good: Too few rows to judge: age=oldest" in section


def test_it_ends_with_both_commands_and_a_place_to_sign(registered):
    section = registered.text("decision")
    approve = 'sashiko model approve 3 --recipe loans --by "your name" --reason "why"'
    reject = 'sashiko model reject 3 --recipe loans --by "your name" --reason "why"'
    form = "Decision ☐ approve ☐ refuse reason name role date signature"
    assert section.endswith(f"{approve} {reject} {form}")


@pytest.mark.parametrize("ended", ["blocked", "failed"])
def test_nothing_is_there_to_sign_where_nothing_was_registered(tmp_path, ended):
    section = page_of(getattr(runs, ended)(tmp_path)).text("decision")
    assert "signature" not in section
    assert "sashiko model" not in section


def test_an_approved_version_can_only_be_rejected(tmp_path):
    folder = runs.registered(tmp_path)
    path = folder.parents[1] / "s3/bucket/runs" / RUN_ID / "Register/registration/registration.json"
    write_json(path, read_json(path) | {"status": "Approved", "new": False})
    section = page_of(folder).text("decision")
    assert "When it was registered its status was Approved." in section
    assert "sashiko model reject 3" in section
    assert "model approve" not in section
    assert "signature" not in section


def test_a_waived_check_names_who_answers_for_it_and_until_when(tmp_path):
    section = page_of(runs.waived(tmp_path)).text("decision")
    assert section.startswith("✕ REGISTERED, WAIVED The bias gate failed.")
    assert "Waived by Ada Lovelace until 2999-12-31: the desk reads every case" in section
    assert "bias ✕ failed, waived 1 of 1 failed, 1 waived" in section
    assert section.count("DI age=old") == 1
    assert "signature" in section


def test_verdicts_that_are_lost_are_never_reported_as_passed(tmp_path):
    folder = runs.registered(tmp_path)
    verdict = folder.parents[1] / "s3/bucket/runs" / RUN_ID / "JudgeBias/verdict/verdict.json"
    verdict.unlink()
    section = page_of(folder).text("decision")
    assert "1 of 4 verdicts are missing" in section
    assert "All" not in section
    assert "JudgeBias – not judged none" in section


def test_the_worst_group_without_a_gate_is_named_and_too_small_ones_are_not(tmp_path):
    folder = runs.registered(tmp_path)
    path = folder.parents[1] / "s3/bucket/runs" / RUN_ID / "JudgeBias/intervals/intervals.json"
    rows = read_json(path)
    [gated] = [row for row in rows if row["metric"] == "DI"]
    for group, value, size in (("west", 0.7, 200), ("east", 0.9, 200), ("south", 0.1, 3)):
        rows.append(gated | {"facet": "branch", "group": group, "value": value,
                             "n_disadvantaged": size})  # fmt: skip
    write_json(path, rows)

    evidence = read_evidence(folder, folder.parents[1])
    *_, last, _ = headline_figures(evidence, verdicts(evidence)).rows
    assert last.cells[0].text == "DI branch=west"
    assert last.cells[0].meaning.endswith("the worst of 2 groups without a gate")
    assert small_groups(evidence) == ("age=oldest", "branch=south")


def test_an_auc_that_is_too_good_is_suspicious_and_not_passed(tmp_path, registered):
    page = page_of(runs.registered(tmp_path, apart=0.9))
    section = page.text("decision")
    assert "Suspicious: test AUC 1.000 of this model. This is too good to be true" in section
    assert "1.000 [1.000, 1.000] at least 0.7 ! suspicious" in section
    assert "at least 0.7 ✓ passed" not in section
    assert "model-quality ! suspicious 1" in section
    assert "; suspicious: auc." in section
    path = tmp_path / "home"
    [file] = path.rglob("registration.json")
    write_json(file, read_json(file) | {"status": "Approved"})
    [folder] = (path / "runs").iterdir()
    assert '<div class="outcome registered"' not in page_of(folder).html
    assert "uspicious" not in registered.text("decision")


def test_a_simpler_model_that_is_better_is_named(tmp_path):
    section = page_of(runs.registered(tmp_path, linear=2.0)).text("decision")
    assert "This model is worse on AUC and accuracy than linear: TF-IDF and logistic" in section


def _with_metrics(tmp_path, *figures):
    """A run with these metrics of the gated group: (metric, value) pairs."""
    folder = runs.registered(tmp_path)
    path = folder.parents[1] / "s3/bucket/runs" / RUN_ID / "JudgeBias/intervals/intervals.json"
    rows = read_json(path)
    [gated] = [row for row in rows if row["metric"] == "DI"]
    of_group = [gated | {"metric": metric, "value": value} for metric, value in figures]
    write_json(path, [row for row in rows if row["metric"] != "RD"] + of_group)
    evidence = read_evidence(folder, folder.parents[1])
    return headline_figures(evidence, verdicts(evidence)).rows


@pytest.mark.parametrize(("metric", "value", "side"), [
    ("AD", 0.0, "; equal for both"),
    ("AD", 0.0004, "; equal for both"),
    ("AD", 0.03, "; higher for the others"),
    ("RD", -0.085, "; higher for the group"),
    ("SD", 0.1, "; higher for the group"),
    ("DRR", -0.1, "; higher for the others"),
])  # fmt: skip
def test_a_difference_says_for_whom_the_rate_is_higher(tmp_path, metric, value, side):
    rows = _with_metrics(tmp_path, (metric, value))
    [figure] = [row for row in rows if row.cells[0].text == f"{metric} age=old"]
    assert side in figure.cells[0].meaning
    assert "worse off" not in figure.cells[0].meaning


def test_a_group_without_rows_in_the_test_split_stands_there_with_its_rows(tmp_path):
    none = Check(name="age=none", passed=True, judged=False, reason="0 rows in the test split")
    section = page_of(runs.registered(tmp_path, unjudged=(none,))).text("decision")
    assert "not shown to be good: bias, age=none: 0 rows in the test split" in section
    assert "not judged: age=none" in section


def test_an_interval_that_spans_its_bound_is_flagged(tmp_path, registered):
    section = page_of(runs.registered(tmp_path, impact=0.82)).text("decision")
    assert "DI age=old by the value alone, as the interval spans the bound" in section
    assert "Passed by the value alone: the 95 % interval spans the bound" in section
    assert "bias, DI age=old: 0.820 [0.770, 0.870], required 0.8 to 1.25" in section
    assert "0.820 [0.770, 0.870] 0.8 to 1.25 ! passed, interval spans the bound" in section
    assert "spans the bound" not in registered.text("decision")


@pytest.mark.parametrize(("comparison", "threshold", "allowed"), [
    ("in_range", (0.8, 1.25), (0.8, 1.25)),
    (">=", 0.8, (0.8, math.inf)),
    ("<", 3, (-math.inf, 3)),
    ("none", None, None),
    ("==", 0, None),
])  # fmt: skip
def test_the_allowed_range_follows_from_the_comparison(comparison, threshold, allowed):
    check = Check(name="x", value=1, comparison=comparison, threshold=threshold, passed=True)
    assert allowed_range(check) == allowed


def place(bar, pattern):
    return float(re.search(pattern, bar)[1])


def test_a_failed_number_is_a_cross_left_of_the_range():
    bar = range_bar(
        Check(name="DI", value=0.4, low=0.35, high=0.45, threshold=(0.8, 1.25),
              comparison="in_range", passed=False)
    )  # fmt: skip
    left = place(bar, r'class="allowed" x="([\d.]+)"')
    assert place(bar, r'class="value crossed" d="M([\d.]+)') < left
    assert "circle" not in bar


def test_an_open_range_reaches_the_edge_and_has_one_bound():
    bar = range_bar(Check(name="auc", value=0.9, threshold=0.8, comparison=">=", passed=True))
    assert bar.count('class="bound"') == 1
    width = place(bar, r'class="allowed" .*?width="([\d.]+)"')
    assert place(bar, r'class="allowed" x="([\d.]+)"') + width == pytest.approx(172)


def test_there_is_no_bar_without_a_number_or_a_bound():
    assert range_bar(Check(name="x", threshold=1, comparison=">", passed=False)) is None
    assert range_bar(Check(name="x", value=1, passed=True)) is None


def test_equal_numbers_are_drawn_too():
    bar = range_bar(Check(name="x", value=0, threshold=0, comparison=">=", passed=True))
    assert "nan" not in bar


def test_a_device_that_was_not_checked_is_never_reported_as_passed(tmp_path):
    folder = runs.registered(tmp_path)
    evidence = read_evidence(folder, folder.parents[1])
    off = not_judged(gate="device", reason="it was switched off")
    results = verdicts(evidence) | {"DeviceCheck": off}

    view = gate_views(results)[-1]
    assert (view.name, view.mark, view.checks) == ("device", None, ())
    assert view.absent == "Not judged: it was switched off."
    assert "device, every check: it was switched off" in summary(evidence, results).unjudged
    headline = outcome(evidence, results).headline
    assert headline.startswith("All 4 gates passed, with 4 checks; not judged: device.")


def test_latency_that_was_not_judged_is_never_reported_as_passed(tmp_path):
    folder = runs.registered(tmp_path)
    evidence = read_evidence(folder, folder.parents[1])
    checks = [
        Check(name="agreement", value=1, threshold=0.99, comparison=">=", passed=True),
        Check(name="latency", passed=True, reason="not the device", judged=False),
    ]
    results = verdicts(evidence) | {"DeviceCheck": decide(gate="device", checks=checks, inputs={})}

    view = gate_views(results)[-1]
    marks = {check.name: check.mark.text for check in view.checks}
    assert marks == {"agreement": "✓ passed", "latency": "– not judged"}
    headline = outcome(evidence, results).headline
    assert headline.startswith("All 5 gates passed, with 5 checks; not judged: latency.")
    assert "device, latency: not the device" in summary(evidence, results).unjudged


OTHER = "20260103-030405-beef"
SPLITS = {name: {"uri": f"s3://bucket/{name}", "sha256": name} for name in ("train", "validation")}


@pytest.fixture
def mitigated(tmp_path):
    """A run that reweighed, and its folder."""
    folder = runs.registered(tmp_path)
    change(folder, strength=1.5, test="test-1")
    return folder


def change(folder, *, strength, test, epochs=1):
    path = folder / "evidence" / "recipe.yaml"
    recipe = yaml.safe_load(path.read_text())
    recipe["reweighing"] = {"facets": ["age"], "strength": strength}
    recipe["train"]["epochs"] = epochs
    path.write_text(yaml.safe_dump(recipe))
    run = read_json(folder / "run.json")
    [evaluated] = [step for step in run["steps"] if step["name"] == "Evaluate"]
    evaluated["inputs"] = SPLITS | {"test": {"uri": "s3://bucket/test", "sha256": test}}
    write_json(folder / "run.json", run)


def another_run(folder, **changes):
    """A copy of a run, with a model that errs less."""
    other = folder.parent / OTHER
    shutil.copytree(folder, other)
    store = folder.parents[1] / "s3/bucket/runs"
    shutil.copytree(store / RUN_ID, store / OTHER)
    run = (other / "run.json").read_text().replace(RUN_ID, OTHER)
    (other / "run.json").write_text(run)
    change(other, **changes)
    path = store / OTHER / "Evaluate/predictions/predictions.parquet"
    table = pq.read_table(path)
    better = np.where(table["label"].to_numpy() == 1, 0.9, 0.1)
    better[:20] = 0.5
    pq.write_table(table.set_column(3, "score", pa.array(better)), path)
    return other


def test_the_newest_run_without_reweighing_says_the_price_on_the_same_rows(mitigated):
    other = another_run(mitigated, strength=0, test="test-1")
    section = page_of(mitigated).text("decision")
    assert f"price of reweighing, AUC 0.913 without (run {OTHER}), 0.913 with it" in section
    start = section.index("price of reweighing, AUC")
    # The interval is that of the difference, of the rows' scores in both runs.
    assert (
        "on the same rows -0.0" in section[start : section.index("price of reweighing, accuracy")]
    )
    assert "price of reweighing" not in page_of(other).text("decision")


@pytest.mark.parametrize("changes", [
    {"strength": 0, "test": "of other data"},
    {"strength": 0, "test": "test-1", "epochs": 2},
    {"strength": 1, "test": "test-1"},
], ids=["other data", "other settings", "reweighed too"])  # fmt: skip
def test_a_run_that_differs_in_more_than_the_weights_is_no_measure(mitigated, changes):
    another_run(mitigated, **changes)
    section = page_of(mitigated).text("decision")
    command = "sashiko run --recipe loans --set train.epochs=2 --set reweighing.strength=0"
    assert (
        f"price of reweighing no run of the same data and settings without it: run {command}"
        f" , then sashiko runs report {RUN_ID} not known" in section
    )


ORDER = Order(rows=600, seed=5)


@pytest.fixture(params=names("generators"))
def made(request, tmp_path):
    """A run on a generator's rows, whose model is right by the truth in all but ten of 400.

    Yields its folder, its predictions, and how many of the labels are the truth.
    """
    truth = pa.Table.from_batches(load("generators", request.param, key="k").truth(ORDER)).slice(
        200
    )
    folder = runs.registered(tmp_path)
    path = folder / "evidence" / "recipe.yaml"
    recipe = yaml.safe_load(path.read_text())
    recipe["data"]["sources"] = [
        {"kind": "generator", "generator": request.param, "rows": ORDER.rows, "seed": ORDER.seed}
    ]
    path.write_text(yaml.safe_dump(recipe))
    predicted = truth["truth"].to_numpy().copy()
    predicted[:10] = 1 - predicted[:10]
    predictions = folder.parents[1] / "s3/bucket/runs" / RUN_ID / "Evaluate/predictions"
    table = pa.table({
        "key": truth["key"],
        "split": ["test"] * len(truth), "label": truth["label"],
        "score": predicted.astype(float), "predicted": predicted,
    })  # fmt: skip
    pq.write_table(table, predictions / "predictions.parquet")
    agreed = (truth["label"].to_numpy() == truth["truth"].to_numpy()).mean()
    return folder, predictions / "predictions.parquet", agreed


def test_predictions_and_labels_are_held_against_the_generators_truth(made):
    folder, _, agreed = made
    section = page_of(folder).text("quality")
    assert "accuracy by the truth 97.5 % [9" in section
    assert f"agree with it on {100 * agreed:.1f} %" in section
    assert agreed < 1


def test_rows_with_other_labels_are_not_the_generators(made):
    folder, predictions, _ = made
    table = pq.read_table(predictions)
    labels = table["label"].to_numpy().copy()
    labels[7] = 1 - labels[7]
    pq.write_table(table.set_column(2, "label", pa.array(labels)), predictions)
    assert "accuracy by the truth" not in page_of(folder).html
