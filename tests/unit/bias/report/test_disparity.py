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
