import math
import re

import pytest

from sashiko.evaluation.gates.verdict import Check
from sashiko.report.svg import allowed_range, range_bar


@pytest.mark.parametrize(
    ("comparison", "threshold", "allowed"),
    [
        ("in_range", (0.8, 1.25), (0.8, 1.25)),
        (">=", 0.8, (0.8, math.inf)),
        ("<", 3, (-math.inf, 3)),
        ("none", None, None),
        ("==", 0, None),
    ],
)
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
