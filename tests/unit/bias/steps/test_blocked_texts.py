"""What a guardrail blocks, by group."""

from pathlib import Path

import pyarrow as pa
import pytest

from sashiko.base.parquet import write_table
from sashiko.bias.steps.blocked_texts import (
    Blocker,
    blocking_checks,
    difference_interval,
    write_outcomes,
)
from sashiko.contract.load import load_contract
from sashiko.evaluation.gates.verdict import Check, describe
from sashiko.settings.recipe_bias import BiasSection
from tests.unit.bias.steps.bias_folders import facet_rows
from tests.unit.contract.documents import document, save


def judged(root: Path, *, old: tuple[int, int], young: tuple[int, int], needed: int = 100) -> Check:
    """The check of a test split with (blocked, rows) of the disadvantaged group and the others."""
    contract = load_contract(save(document(), root))
    groups = [("old", *old), ("young", *young)]
    ages = [name for name, _, rows in groups for _ in range(rows)]
    blocked = [int(place < count) for _, count, rows in groups for place in range(rows)]
    keys = [f"k{number}" for number in range(len(ages))]
    outcomes = root / "outcomes"
    outcomes.mkdir(exist_ok=True)
    blocker = Blocker(kind="guardrail", name="guardrail g1, version 3", advice="Loosen a filter.")
    columns = {"key": keys, "label": [0] * len(keys), "blocked": blocked}
    write_outcomes(pa.table(columns), blocker, outcomes)
    facets = root / "facets.parquet"
    write_table(facets, facet_rows(keys[::-1], ages[::-1], ["no"] * len(keys)))
    section = BiasSection(minimum_group_size=needed)
    (check,) = blocking_checks(
        contract, section, outcomes=outcomes, facets_file=facets, maximum=0.02
    )
    return check


def test_a_guardrail_that_blocks_one_group_fails_with_counts_and_interval(tmp_path: Path) -> None:
    check = judged(tmp_path, old=(30, 300), young=(20, 1000))
    assert not check.passed
    assert check.value == pytest.approx(0.08)
    assert 0.02 < float(check.low or 0) < 0.08 < float(check.high or 0)
    text = describe(check)
    assert "30 of 300 (10.0% [" in text
    assert "20 of 1,000 (2.0% [" in text
    assert "guardrail g1, version 3" in text
    assert not judged(tmp_path, old=(10, 1000), young=(30, 300)).passed


def test_of_one_that_blocks_nobody_and_of_too_small_a_group(tmp_path: Path) -> None:
    check = judged(tmp_path, old=(0, 300), young=(0, 1000))
    assert (check.passed, check.value) == (True, 0)
    assert check.spans_bound is False
    assert float(check.low or 0) < 0 < float(check.high or 0)
    check = judged(tmp_path, old=(90, 99), young=(0, 1000))
    assert (check.passed, check.judged, check.value) == (True, False, None)


@pytest.mark.parametrize(("old", "passed"), [((9, 300), False), ((1, 300), True)])
def test_fewer_than_ten_texts_are_no_number_and_decide_all_the_same(tmp_path, old, passed) -> None:
    check = judged(tmp_path, old=old, young=(0, 1000))
    assert (check.passed, check.value, check.low) == (passed, None, None)
    assert not any(number in check.reason for number in ("300", "9 of", "1 of"))


@pytest.mark.parametrize(
    ("one", "other", "ends"),
    [
        # Newcombe (1998), table II, method 10: 56/70 - 48/80, 9/10 - 3/10, 0/20 - 0/10.
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((0, 20), (0, 10), (-0.2775, 0.1611)),
    ],
)
def test_the_interval_of_a_difference_is_the_published_one(one, other, ends) -> None:
    assert difference_interval(one, other) == pytest.approx(ends, abs=1e-4)
