import pytest

from sashiko.evaluation.gates.verdict import Check
from sashiko.report.words import check_view, duration, estimate, inline_code, number, required


@pytest.mark.parametrize(
    ("value", "text"),
    [(9000.0, "9,000"), (0.0, "0"), (0.4321, "0.432"), (-0.0001, "0.000"), (float("inf"), "inf")],
)
def test_a_number_is_short(value, text):
    assert number(value) == text


def test_a_metric_of_one_keeps_its_places_beside_its_interval():
    view = check_view(Check(name="auc", value=1.0, low=0.9, high=1.0, passed=True), gate="g")
    assert (view.value, view.interval) == ("1.000", "[0.900, 1.000]")
    assert estimate(1.0) == "1.000"


@pytest.mark.parametrize(
    ("comparison", "threshold", "text"),
    [
        (">=", 0.8, "at least 0.8"),
        ("in_range", (0.8, 1.25), "0.8 to 1.25"),
        ("none", None, ""),
        ("==", 0, "exactly 0"),
    ],
)
def test_a_bound_is_written_in_words(comparison, threshold, text):
    check = Check(name="x", value=1, comparison=comparison, threshold=threshold, passed=True)
    assert required(check) == text


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (Check(name="x", value=1, passed=True), "– reported"),
        (Check(name="x", value=1, passed=False), "✕ failed"),
        (Check(name="x", value=1, threshold=0, comparison=">", passed=True), "✓ passed"),
        (Check(name="no nulls", passed=True), "✓ passed"),
        (Check(name="no champion yet", passed=True, judged=False), "– not judged"),
    ],
)
def test_an_outcome_has_a_symbol_and_a_word(check, text):
    assert check_view(check, gate="g").mark.text == text


@pytest.mark.parametrize(
    ("name", "explained"),
    [("auc", True), ("DI age=old", True), ("auc lead over majority", False), ("no nulls", False)],
)
def test_only_a_metric_is_explained(name, explained):
    assert bool(check_view(Check(name=name, passed=True), gate="g").meaning) is explained


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.44, "0.4 s"), (37.6, "38 s"), (59.7, "1 min 0 s"), (125, "2 min 5 s")]
)
def test_a_duration_has_the_units_that_people_use(seconds, text):
    assert duration(seconds) == text


def test_backticks_become_code_and_nothing_else_becomes_markup():
    assert inline_code("set `a.b<c>` & <i>") == "set <code>a.b&lt;c&gt;</code> &amp; &lt;i&gt;"
