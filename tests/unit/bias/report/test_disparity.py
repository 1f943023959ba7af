"""What the page says of a gated group beside its gate: other disparities, calibration, weights."""

from typing import Any

import pytest

from sashiko.bias.gates.estimates import BiasEstimate
from tests.unit.run_report import runs
from tests.unit.run_report.page import page_of, pictures


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


def test_the_first_screen_shows_the_gated_groups_largest_other_differences(page):
    section = page.text("decision")
    assert "DAR age=old" in section
    assert "higher for the others; among the largest without a gate 0.430 [0.380, 0.480]" in section
    assert "DRR age=old" in section
    assert "; among the largest without a gate 0.310" in section
    assert "AD age=old" not in section, "two are shown"
    assert "DPPL age=old" not in section, "the same two shares as the gated DI"
    assert "AD age=oldest" not in section, "too few rows"


def test_all_metrics_of_a_gated_group_stand_in_one_picture_the_largest_disparity_first(page):
    [alt] = [alt for alt in pictures(page, "fairness") if alt.startswith("Bias metrics")]
    assert alt.startswith("Bias metrics of age=old,")
    order = [part.split(" ")[0] for part in alt.split(": ", 1)[1].split("; ")]
    assert order == ["TE", "DPPL", "DAR", "AD", "DI", "SD", "DRR"]


def test_calibration_is_shown_by_group(page):
    section = page.text("fairness")
    table = section[section.index("Calibration by group, on the test split") :]
    assert "age old 200 0.473 0.400 [0.335, 0.469] 0.178 0.138" in table
    assert any(alt.startswith("Calibration by age:") for alt in pictures(page, "fairness"))


def test_weights_made_of_a_facet_are_never_passed_over(page, tmp_path):
    assert "Training used no facet, and no weights made from one." in page.text("fairness")
    folder = runs.registered(tmp_path)
    recipe = folder / "evidence" / "recipe.yaml"
    text = recipe.read_text()
    assert "facets: []" in text
    assert "strength: 0.0" in text
    text = text.replace("facets: []", "facets: [age]").replace("strength: 0.0", "strength: 1.5")
    recipe.write_text(text)
    section = page_of(folder).text("fairness")
    assert (
        "a weight per row that is made of age and the label (reweighing, strength 1.5)" in section
    )
    assert "Training used no facet" not in section


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


def test_the_worst_off_stands_first_and_who_cannot_be_judged_last(crossed_page):
    section = crossed_page.text("fairness")
    table = section[section.index("Intersections of facets") :]
    order = ["age=old & sex=f", "age=old & sex=m", "age=young & sex=m", "age=young & sex=f"]
    places = [table.index(name) for name in order]
    assert places == sorted(places)
    assert (
        "age=old & sex=f 0.610 [0.510, 0.710] 0.031 [-0.069, 0.131] 101 / 280 – reported" in section
    )
    assert "age=young & sex=f 0.120 17 / 280 too few to judge" in section


def test_it_says_over_how_many_looks_the_intervals_hold(crossed_page):
    section = crossed_page.text("fairness")
    assert "so that all of 3 looks hold at once" in section
    assert "1 of 4 have fewer than 100 rows: too few, never fair" in section
    assert "of that look alone, so that of twenty about one misses by chance" in section


def test_the_first_screen_names_the_worst_off_and_counts_who_is_too_few(crossed_page):
    section = crossed_page.text("decision")
    assert "DI age=old & sex=f the worst of 3 intersections; 95 % hold over all at once" in section
    assert "Too few rows to judge: age=oldest, 1 of 4 intersections of facets" in section


def test_a_gated_intersection_stands_among_the_gated_with_its_bound(tmp_path):
    gates = [GATE, {"metric": "DI", "facet": "age", "minimum": 0.8, "reason": "four fifths"}]
    folder = runs.registered(tmp_path, bias={"gates": gates}, crossed=CROSSED)
    page = page_of(folder)
    section = page.text("fairness")
    gated = section[: section.index("Intersections of facets")]
    assert "DI age=old & sex=f predicted positive" in gated
    assert "101 / 280 at least 0.5 ✓ passed" in gated
    assert "age=young & sex=m" not in gated
    assert "age=young & sex=f 0.120 17 / 280 ✕ failed" in section[len(gated) :]


def test_one_facet_has_no_intersections(tmp_path):
    assert "Intersections" not in page_of(runs.registered(tmp_path)).text("fairness")
