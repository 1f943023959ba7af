"""The verdict: what a blocked person reads, and that nothing checked is nothing passed."""

import pytest

from sashiko.errors import InputError
from sashiko.gates.verdict import Check, decide, read_verdict, write_verdict

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


def test_one_failed_check_closes_the_gate_and_is_said_in_full():
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


def test_a_verdict_survives_the_file(tmp_path):
    verdict = decide(gate="bias", checks=[PASSED, FAILED], inputs={"data": "0" * 64})
    write_verdict(verdict, tmp_path)
    assert read_verdict(tmp_path) == verdict


def test_a_file_that_is_no_verdict_is_refused(tmp_path):
    (tmp_path / "verdict.json").write_text('{"passed": true}')
    with pytest.raises(InputError, match="not a verdict"):
        read_verdict(tmp_path)
