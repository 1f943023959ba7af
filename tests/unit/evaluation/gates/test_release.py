"""Waivers: they release a failed gate visibly and expire."""

import json
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from sashiko.evaluation.gates.verdict import (
    RELEASE_FILE,
    Check,
    Verdict,
    decide,
    read_verdict,
    waive,
    write_release,
    write_verdict,
)
from sashiko.settings.waiver import Waiver

DAY = date(2027, 3, 31)
FAILED = Check(
    name="DI customer_gender=female", value=0.7, threshold=0.8, comparison=">=", passed=False,
    reason="the four-fifths rule", **{"try": "more rows"},
)  # fmt: skip
PASSED = Check(name="auc", value=0.9, threshold=0.8, comparison=">=", passed=True)
WAIVER = Waiver(
    check=FAILED.name, reason="the desk reads every case", owner="Ada Lovelace", expires=DAY
)


def verdict(*checks: Check) -> Verdict:
    return decide(gate="bias", checks=checks, inputs={"data": "d" * 64})


def released(folder: Path, *verdicts: Verdict) -> bool:
    write_release(verdicts, folder)
    return bool(json.loads((folder / RELEASE_FILE).read_text())["released"])


def test_a_waived_check_lets_the_run_go_on_and_the_verdict_stays_failed(tmp_path: Path) -> None:
    waived = waive(verdict(FAILED, PASSED), [WAIVER], on=DAY)
    assert not waived.passed
    assert released(tmp_path, waived)
    assert "1 of 2 checks failed" in waived.summary
    assert f"WAIVED by Ada Lovelace until {DAY}: the desk reads every case" in waived.summary
    write_verdict(waived, tmp_path)
    assert read_verdict(tmp_path) == waived


def test_a_waiver_blocks_from_the_day_after_it_expires(tmp_path: Path) -> None:
    over = waive(verdict(FAILED), [WAIVER], on=date(2027, 4, 1))
    assert not released(tmp_path, over)
    assert "the waiver of Ada Lovelace expired on 2027-03-31" in over.summary
    assert "WAIVED" not in over.summary


def test_a_waiver_of_one_check_waives_no_other(tmp_path: Path) -> None:
    other = FAILED.model_copy(update={"name": "DI age_band=60+"})
    waived = waive(verdict(FAILED, other), [WAIVER], on=DAY)
    assert not released(tmp_path, waived)
    assert not released(tmp_path, waive(verdict(FAILED), [WAIVER], on=DAY), verdict(other))


def test_a_waiver_that_is_spelt_otherwise_is_named_beside_the_failed_check() -> None:
    near = WAIVER.model_copy(update={"check": FAILED.name.replace("=", " = ")})
    result = waive(verdict(FAILED), [near], on=DAY)
    assert not result.released
    assert f"the waiver of `{near.check}` is of another check" in result.summary


def test_a_check_that_passed_needs_no_waiver() -> None:
    passed = verdict(PASSED)
    result = waive(passed, [WAIVER.model_copy(update={"check": "auc"})], on=DAY)
    assert result == passed
    assert "waiver" not in result.model_dump(mode="json")["checks"][0]


@pytest.mark.parametrize("missing", ["check", "reason", "owner", "expires"])
def test_a_waiver_says_what_why_who_and_until_when(missing: str) -> None:
    value = {key: item for key, item in WAIVER.model_dump().items() if key != missing}
    with pytest.raises(ValidationError, match=missing):
        Waiver.model_validate(value)
