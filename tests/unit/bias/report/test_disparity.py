"""What the page says of a gated group beside its gate: other disparities, calibration, weights."""

import json
import re
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from sashiko.base.parquet import write_table
from sashiko.bias.gates.estimates import BiasEstimate, write_estimates
from sashiko.bias.metrics.number_bias import NUMBER_METRICS
from sashiko.bias.report.fairness import fairness_section, gap_words, mitigation
from sashiko.report.evidence import read_evidence
from sashiko.run_report.lineage import data_section
from tests.unit.contract import documents
from tests.unit.run_report import runs
from tests.unit.run_report.page import page_of, pictures

pytestmark = pytest.mark.usefixtures("drawn")


def measured(metric: str, value: float, **more: Any) -> BiasEstimate:
    base: dict[str, Any] = {
        "stage": "post_training",
        "facet": "age",
        "group": "old",
        "n_disadvantaged": 200,
        "n_advantaged": 200,
    }
    ends = {"low": value - 0.05, "high": value + 0.05}
    return BiasEstimate.model_validate(base | ends | more | {"metric": metric, "value": value})


OTHERS = (
    measured("AD", 0.245),
    measured("DAR", 0.43),
    measured("DRR", 0.31),
    measured("SD", -0.02),
    measured("DPPL", 0.9),
    measured("TE", 7.0),
    measured("AD", 0.99, group="oldest", n_disadvantaged=7, low=None, high=None),
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return page_of(runs.registered(tmp_path_factory.mktemp("others"), crossed=OTHERS))


def test_the_first_screen_says_the_largest_harm_judged_or_not_and_the_largest_gap_without_gate(
    page,
):
    section = page.text("decision")
    largest = "Rows of age=young are predicted yes 90.0 points more often than rows of age=old."
    assert f"The largest difference between groups: {largest}" in section
    assert "Difference in positive proportions in predicted labels (DPPL): 0.900" in section
    assert "a gate judges it. A prediction of yes is right 43.0 points more often" in section
    assert "for rows of age=young than for rows of age=old. Difference in acceptance" in section
    assert "oldest are" not in section, "too few rows"

    tile = "Largest gap that no gate judges 0.430 95 % interval [0.380, 0.480] Difference in"
    assert tile in section, "DPPL is larger, and the same two shares as the gated DI"


@pytest.mark.parametrize(("metric", "value", "sentence"), [
    ("AD", 0.245, "Men are predicted right 24.5 points more often than women"),
    ("AD", -0.245, "Women are predicted right 24.5 points more often than men"),
    ("RD", -0.085, "Of those labelled yes, women are found 8.5 points more often than men"),
    ("SD", 0.1, "Of those labelled no, women are recognised 10.0 points more often than men"),
    ("DRR", -0.1, "A prediction of no is right 10.0 points more often for men than for women"),
])  # fmt: skip
def test_a_difference_says_for_whom_the_rate_is_higher(tmp_path, metric, value, sentence):
    folder = runs.registered(tmp_path)
    rows = next(folder.parents[1].rglob("data.csv"))
    rows.write_text(rows.read_text().replace("old", "female").replace("young", "male"))
    evidence = read_evidence(folder, folder.parents[1])
    assert gap_words(measured(metric, value, group="female"), evidence) == sentence


def test_each_rate_of_each_group_stands_in_a_table(page):
    shown = page.text("fairness")
    assert "predicted right (AD) positives found: recall (RD)" in shown
    assert re.search(r"age old 200 40.0 % [\d.]+ % [\d.]+ %", shown)


def test_the_calibration_of_each_group_is_drawn(page):
    assert any(alt.startswith("Calibration by age:") for alt in pictures(page, "fairness"))


def test_weights_made_of_a_facet_are_never_passed_over(page, tmp_path):
    assert "Training used no facet, and no weights made from one." in page.text("training")
    folder = runs.registered(tmp_path)
    recipe = folder / "evidence" / "recipe.yaml"
    text = recipe.read_text()
    assert "facets: []" in text
    assert "strength: 0.0" in text
    text = text.replace("facets: []", "facets: [age]").replace("strength: 0.0", "strength: 1.5")
    recipe.write_text(text)
    section = page_of(folder).text("training")
    assert "one weight per row, made from age and the label (reweighing, strength 1.5)" in section
    assert "Training used no facet" not in section


def test_the_page_says_how_many_rows_the_weighted_ones_are_worth(tmp_path, monkeypatch):
    folder = runs.registered(tmp_path)
    recipe = folder / "evidence" / "recipe.yaml"
    text = recipe.read_text().replace("facets: []", "facets: [age]")
    recipe.write_text(text.replace("strength: 0.0", "strength: 1"))
    rows = pa.table({"key": ["a", "b", "c"], "weight": [2.0, 0.5, 0.5]})
    write_table(tmp_path / "weights.parquet", rows)
    evidence = read_evidence(folder, folder.parents[1])
    monkeypatch.setattr(type(evidence), "output", lambda *_: tmp_path / "weights.parquet")
    # The square of the sum, 9, divided by the sum of the squares, 4.5.
    assert mitigation(evidence).endswith("The 3 weighted rows are worth 2 of equal weight.")


def test_of_three_classes_the_groups_are_compared_by_the_favourable_ones_and_by_each(tmp_path):
    document = documents.document()
    names = ("lost", "soon, perhaps", "yes")
    documents.column_of(document, "late")["enum"] = [{"value": name} for name in names]
    value = {"column": "late", "favourable": ["yes", "soon, perhaps"]}
    documents.custom(document, "label")["value"] = value
    folder = runs.registered(tmp_path)
    rows = next(folder.parents[1].rglob("data.csv"))
    lines = ["label,predicted_label,age", *['"soon, perhaps",yes,old'] * 60, *["lost,yes,old"] * 40]
    rows.write_text("\n".join([*lines, *["yes,yes,young"] * 30, *["lost,lost,young"] * 70]) + "\n")
    by_class = [
        measured(metric, value, outcome=name, looks=3)
        for name, recall in (("lost", 0.1), ("soon, perhaps", -0.4))
        for metric, value in (("DI", 1.5), ("RD", recall))
    ]
    intervals = next(folder.parents[1].rglob("intervals.json")).parent
    write_estimates(by_class, intervals, file="classes.json")
    file = next(folder.parents[1].rglob("split.json"))
    meta = json.loads(file.read_text())
    meta |= {"labels": ["lost", "soon, perhaps", "yes"], "first_favourable": 1}
    for split in meta["splits"].values():
        split["class_rows"] = [7, 5, split["rows"] - 12]
    file.write_text(json.dumps(meta))
    contract = documents.contract_of(document, tmp_path)
    evidence = replace(read_evidence(folder, folder.parents[1]), contract=contract)
    splits, classes, _ = data_section(evidence).tables
    assert splits.columns[2] == "labelled soon, perhaps or yes"
    assert [cell.text for cell in classes.rows[0].cells] == ["lost", "7", "7", "7"]
    section = fairness_section(evidence)
    assert "Positive is a favourable class: soon, perhaps or yes." in section.statements[1]
    tables = {table.title: table for table in section.tables}
    groups = [[cell.text for cell in row.cells] for row in section.tables[0].rows]
    # Of old 60 % are labelled favourable, all are predicted so; of young 30 % and 30 %.
    assert [line[1:6] for line in groups] == [
        ["old", "100", "60.0 %", "100.0 %", "60.0 %"],
        ["young", "100", "30.0 %", "30.0 %", "100.0 %"],
    ]
    by_class = tables["Each class against all others"]
    shown = [[cell.text for cell in row.cells[:2]] for row in by_class.rows]
    assert shown == [["soon, perhaps", "age=old"], ["lost", "age=old"]]
    assert "over all of 3 looks at once" in by_class.note


FACETS = ("age", "sex")


def crossed(group: tuple[str, str], value: float | None, **more: Any) -> BiasEstimate:
    ends = {} if value is None else {"low": value - 0.1, "high": value + 0.1}
    common = {"stage": "post_training", "metric": "DI", "facet": FACETS, "group": group}
    sizes = {"n_disadvantaged": 120, "n_advantaged": 280}
    return BiasEstimate.model_validate(
        {**common, "value": value, "looks": 3, **ends, **sizes, **more}
    )


CROSSED = (
    crossed(("young", "m"), 1.1, disadvantaged=False),
    crossed(("old", "f"), 0.61, n_disadvantaged=101),
    crossed(("old", "m"), 0.95),
    crossed(("young", "f"), 0.12, low=None, high=None, n_disadvantaged=17),
    crossed(("old", "f"), 0.031, metric="RD"),
    crossed(("old", "f"), 0.21, stage="pre_training", metric="DPL"),
)
GATE = {"metric": "DI", "facet": ["sex", "age"], "minimum": 0.5, "reason": "half at least"}


@pytest.fixture(scope="module")
def crossed_page(tmp_path_factory):
    return page_of(runs.registered(tmp_path_factory.mktemp("crossed"), crossed=CROSSED))


def test_the_worst_off_stands_first_who_cannot_be_judged_last_and_all_looks_hold_at_once(
    crossed_page,
):
    section = crossed_page.text("fairness")
    table = section[section.index("Intersections of facets") :]
    order = ["age=old & sex=f", "age=old & sex=m", "age=young & sex=m", "age=young & sex=f"]
    places = [table.index(name) for name in order]
    assert places == sorted(places)
    assert (
        "age=old & sex=f 0.610 [0.510, 0.710] 0.031 [-0.069, 0.131] 101 / 280 – reported" in section
    )
    assert "age=young & sex=f 0.120 17 / 280 too few to judge" in section

    assert "so that all of 3 looks hold at once" in section
    assert "1 of 4 have fewer than 100 rows: too few to judge" in section
    assert "covers a single look: of twenty, about one misses by chance" in section


def test_the_first_screen_counts_the_intersections_that_are_too_few(crossed_page):
    section = crossed_page.text("decision")
    assert "Too few rows to judge: age=oldest, 1 of 4 intersections of facets" in section


def test_a_gated_intersection_stands_among_the_checks_with_its_bound(tmp_path):
    gates = [GATE, {"metric": "DI", "facet": "age", "minimum": 0.8, "reason": "four fifths"}]
    folder = runs.registered(tmp_path, bias={"gates": gates}, crossed=CROSSED)
    page = page_of(folder)
    checks = page.text("gates")
    assert "Disparate impact (DI): age=old & sex=f predicted positive" in checks
    assert "0.610 [0.510, 0.710] at least 0.5 ✓ passed" in checks
    assert "age=young & sex=m" not in checks
    assert "age=young & sex=f 0.120 17 / 280 ✕ failed" in page.text("fairness")


def test_one_facet_has_no_intersections(tmp_path):
    assert "Intersections" not in page_of(runs.registered(tmp_path)).text("fairness")


NUMBERS = tuple(
    measured(name, value, group=group, disadvantaged=group == "old", looks=2)
    for group, values in (("young", (-3.5, 0.25, 0.5, 1.5, 0.93)), ("old", (3.5, 0.25, -2, 4, 0.8)))
    for name, value in zip(NUMBER_METRICS, values, strict=True)
)
COVERED = {"metric": "interval_coverage", "facet": "age", "minimum": 0.85, "reason": "told 0.9"}


def test_of_a_number_groups_are_compared_by_errors_and_by_the_whole_distribution(tmp_path):
    gates = [COVERED, {"metric": "DI", "facet": "age", "minimum": 0.8, "reason": "four fifths"}]
    bias = {"contract": documents.number(above=5), "metric": "r2", "gates": gates}
    page = page_of(runs.registered(tmp_path, bias=bias, number=True, crossed=NUMBERS))
    section = page.text("fairness")
    assert "Positive is a value above 5, observed or predicted." in section
    table = section[section.index("Predicted numbers by group group Difference of mean") :]
    old = "age=old 3.500 [3.450, 3.550] 0.250 [0.200, 0.300] -2.000 [-2.050, -1.950] 4.000"
    young = "age=young -3.500 [-3.550, -3.450] 0.250 [0.200, 0.300] 0.500 [0.450, 0.550] 1.500"
    assert 0 < table.index(old) < table.index(young), "the largest errors come first"
    assert "The largest errors come first: those of age=old." in table
    assert "intervals hold over all of 2 looks at once" in table
    drawn = pictures(page, "fairness")
    assert any(
        alt.startswith("Interval coverage of the group: age=old 0.80, interval 0.75 to 0.85, outs")
        for alt in drawn
    )
    assert not any("Calibration" in alt for alt in drawn)
    assert re.search(
        r"Interval coverage of the group: age=old .* 0.800 \[0.750, 0.850\] at least 0.85 ✕ failed",
        page.text("gates"),
    )
