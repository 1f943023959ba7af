"""The verdict: its summary, and that an empty list of checks fails."""

import pytest

from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Check, decide, read_verdict

PASSED = Check(name="rows", value=10, threshold=5, comparison=">=", passed=True)
FAILED = Check(
    name="DI gender=female",
    value=0.43,
    low=0.38,
    high=0.48,
    threshold=(0.8, 1.25),
    comparison="in_range",
    passed=False,
    reason="outside the four-fifths rule",
    try_="raise reweighing.strength",
)


def test_one_failed_check_closes_the_gate_and_is_reported_in_full():
    verdict = decide(gate="bias", checks=[PASSED, FAILED], inputs={})
    assert not verdict.passed
    for part in ("DI gender=female", "0.43", "[0.38, 0.48]", "0.8 to 1.25", "Try: raise"):
        assert part in verdict.summary
    assert "rows" not in verdict.summary


def test_a_gate_without_checks_is_closed():
    assert not decide(gate="bias", checks=[], inputs={}).passed


def test_what_was_not_judged_is_named_and_not_counted_as_passed():
    latency = Check(name="latency", passed=True, judged=False)
    verdict = decide(gate="device", checks=[PASSED, latency], inputs={})
    assert verdict.passed
    assert verdict.summary == "device: 1 check passed; not judged: latency"


def test_a_file_that_is_no_verdict_is_refused(tmp_path):
    (tmp_path / "verdict.json").write_text('{"passed": true}')
    with pytest.raises(InputError, match="not a verdict"):
        read_verdict(tmp_path)


@pytest.mark.parametrize(
    ("low", "high", "threshold", "comparison", "spans"),
    [
        (0.79, 0.95, 0.8, ">=", True),
        (0.8, 0.95, 0.8, ">=", False),
        (-0.01, 0.05, -0.02, ">", False),
        (0.01, 0.12, 0.1, "<=", True),
        (0.01, 0.1, 0.1, "<=", False),
        (0.75, 1.1, (0.8, 1.25), "in_range", True),
        (0.9, 1.3, (0.8, 1.25), "in_range", True),
        (0.9, 1.1, (0.8, 1.25), "in_range", False),
        (None, None, 0.8, ">=", False),
        (0.1, 0.9, None, "none", False),
    ],
)
def test_an_interval_that_spans_the_bound_is_distinguished_from_one_that_does_not(
    low, high, threshold, comparison, spans
) -> None:
    check = Check(
        name="DI age=old", value=0.9, low=low, high=high, threshold=threshold,
        comparison=comparison, passed=True,
    )  # fmt: skip
    assert check.spans_bound is spans
    assert not check.model_copy(update={"passed": False}).spans_bound
    summary = decide(gate="bias", checks=[check], inputs={}).summary
    assert (
        "by the value alone, as the interval spans the bound: DI age=old = 0.9 [" in summary
    ) is (spans)


def test_a_summary_names_a_few_of_what_was_not_judged_and_counts_the_rest() -> None:
    unjudged = [Check(name=f"age={age}", passed=True, judged=False) for age in range(7)]
    judged = Check(name="DI age=old", value=0.9, passed=True)
    summary = decide(gate="bias", checks=[judged, *unjudged], inputs={}).summary
    listed = "age=0, age=1, age=2, age=3, age=4 and 2 more"
    assert summary == f"bias: 1 check passed; not judged: {listed}"
