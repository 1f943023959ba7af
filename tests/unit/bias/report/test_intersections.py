"""What the page says of combinations of facets' groups."""

from typing import Any

import pytest

from sashiko.bias.gates.estimates import BiasEstimate
from tests.unit.run_report import runs
from tests.unit.run_report.page import page_of

FACETS = ("age", "sex")


def measured(group: tuple[str, str], value: float | None, **more: Any) -> BiasEstimate:
    ends = {} if value is None else {"low": value - 0.1, "high": value + 0.1}
    common = {"stage": "post_training", "metric": "DI", "facet": FACETS, "group": group}
    sizes = {"n_disadvantaged": 120, "n_advantaged": 280}
    return BiasEstimate.model_validate(
        {**common, "value": value, "looks": 3, **ends, **sizes, **more}
    )


CROSSED = (
    measured(("young", "m"), 1.1, disadvantaged=False),
    measured(("old", "f"), 0.61, n_disadvantaged=101),
    measured(("old", "m"), 0.95),
    measured(("young", "f"), 0.12, low=None, high=None, n_disadvantaged=17),
    measured(("old", "f"), 0.031, metric="RD"),
    measured(("old", "f"), 0.21, stage="pre_training", metric="DPL"),
)
GATE = {"metric": "DI", "facet": ["sex", "age"], "minimum": 0.5, "reason": "half at least"}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return page_of(runs.registered(tmp_path_factory.mktemp("crossed"), crossed=CROSSED))


def test_the_worst_off_stands_first_and_who_cannot_be_judged_last(page):
    section = page.text("fairness")
    table = section[section.index("Intersections of facets") :]
    order = ["age=old & sex=f", "age=old & sex=m", "age=young & sex=m", "age=young & sex=f"]
    places = [table.index(name) for name in order]
    assert places == sorted(places)
    assert (
        "age=old & sex=f 0.610 [0.510, 0.710] 0.031 [-0.069, 0.131] 101 / 280 – reported" in section
    )
    assert "age=young & sex=f 0.120 17 / 280 too few to judge" in section


def test_it_says_over_how_many_looks_the_intervals_hold(page):
    section = page.text("fairness")
    assert "so that all of 3 looks hold at once" in section
    assert "1 of 4 have fewer than 100 rows: too few, never fair" in section
    assert "of that look alone, so that of twenty about one misses by chance" in section


def test_the_first_screen_names_the_worst_off_and_counts_who_is_too_few(page):
    section = page.text("decision")
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
