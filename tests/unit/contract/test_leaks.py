"""A column that tells the label apart alone fails the data gate, unless the contract says why."""

import datetime as dt
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sashiko.contract.leaks import column_auc, leak_checks
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Check
from tests.unit.contract.documents import contract_of, custom, document, stream_of, table_of

ROWS = 400
POSITIVE = np.arange(ROWS) % 10 == 0
_DICE = random.Random(3)  # noqa: S311 - rows, no secrets
_REASON = "the reader enters it before the loan"


def _where(positive: list[Any], negative: list[Any]) -> list[Any]:
    return [_DICE.choice(positive if label else negative) for label in POSITIVE]


LEAKS = {
    "text filled in afterwards": pa.array(_where(["sued", "paid late"], [None])),
    "text of its own, filled in afterwards": pa.array(
        [f"case {n}" if POSITIVE[n] else None for n in range(ROWS)]
    ),
    "value": pa.array(_where(["closed"], ["open", "new"])),
    "amount, 0.00 for the others": pa.array(
        [_DICE.uniform(1, 9e4) if label else 0.0 for label in POSITIVE]
    ),
    "amount of either sign, 0.00 for the others": pa.array(
        [_DICE.uniform(-9, 9) if label else 0.0 for label in POSITIVE]
    ),
    "larger numbers": pa.array([_DICE.uniform(0, 1) + 2 * label for label in POSITIVE]),
    "smaller numbers": pa.array([_DICE.uniform(0, 1) - 2 * label for label in POSITIVE]),
    "whole numbers, most of them missing": pa.array(
        [n if POSITIVE[n] else _DICE.choice([None, -5]) for n in range(ROWS)], pa.int64()
    ),
    "larger numbers, some of the others missing": pa.array(
        [1000.0 + n if POSITIVE[n] else _DICE.choice([None, float(n)]) for n in range(ROWS)]
    ),
    "date filled in afterwards": pa.array(_where([dt.date(2025, 3, 9)], [None]), pa.date32()),
    "later date": pa.array(
        [dt.date(2020, 1, 1) + dt.timedelta(days=n + 1000 * int(POSITIVE[n])) for n in range(ROWS)]
    ),
    "later time": pa.array(
        [dt.datetime(2020 + int(label), 1, 1, tzinfo=dt.UTC) for label in POSITIVE],
        pa.timestamp("us", tz="UTC"),
    ),
    "yes or no": pa.array(POSITIVE),
}
HARMLESS = {
    "key": pa.array([f"K{n}" for n in range(ROWS)]),
    "running number": pa.array(range(ROWS), pa.int64()),
    # Each text is there twice, with the same label, as in a file that was loaded twice.
    "repeated texts": pa.array([f"text {n // 20 * 10 + n % 10}" for n in range(ROWS)]),
    "categories": pa.array([_DICE.choice("abcdefgh") for _ in range(ROWS)]),
    "one value": pa.array(["a"] * ROWS),
    "no value": pa.array([None] * ROWS, pa.string()),
    "no number": pa.array([None] * ROWS, pa.float64()),
    "numbers": pa.array([_DICE.gauss(0, 1) for _ in range(ROWS)]),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_column_that_tells_the_label_apart_has_an_auc_near_one(name):
    assert column_auc(LEAKS[name], POSITIVE) > 0.99


@pytest.mark.parametrize("name", HARMLESS)
def test_a_column_that_says_nothing_of_the_label_has_an_auc_near_a_half(name):
    assert 0.5 <= column_auc(HARMLESS[name], POSITIVE) < 0.65


def _contract(folder: Path, **properties: Any) -> Contract:
    edited = document()
    custom(edited, "textColumns")["value"] = ["title", "price"]
    for name, value in properties.items():
        table_of(edited)["customProperties"].append({"property": name, "value": value})
    return contract_of(edited, folder)


def _checks(contract: Contract, *, positive: Any = POSITIVE, **columns: Any) -> dict[str, Check]:
    rows = len(positive)
    table = pa.table(
        {"title": ["a", "b"] * (rows // 2), "price": [1.0, 2.0, 3.0, 4.0] * (rows // 4)}
        | {"late": ["yes" if label else "no" for label in positive]}
        | columns
    )
    return {check.name: check for check in leak_checks(stream_of(table), contract)}


def test_a_leak_fails_by_the_name_of_its_column(tmp_path):
    prices = pa.array([0.0 if label else 3.5 for label in POSITIVE])
    checks = _checks(_contract(tmp_path), price=prices)
    assert [name for name, check in checks.items() if not check.passed] == [
        "price: AUC alone against the label"
    ]
    leak = checks["price: AUC alone against the label"]
    assert (leak.value, leak.threshold) == (1.0, 0.99)
    assert "remove `price` from `textColumns`" in leak.try_
    assert "acceptedLeaks: [{column: price, reason: ...}]" in leak.try_


def test_a_leak_passes_with_the_written_reason_of_the_contract(tmp_path):
    contract = _contract(tmp_path, acceptedLeaks=[{"column": "price", "reason": _REASON}])
    prices = pa.array([0.0 if label else 3.5 for label in POSITIVE])
    check = _checks(contract, price=prices)["price: AUC alone against the label"]
    assert (check.passed, check.value) == (True, 1.0)
    assert _REASON in check.reason


@pytest.mark.parametrize(
    ("accepted", "problem"),
    [
        ({"column": "price"}, "reason"),
        ({"column": "price", "reason": ""}, "reason"),
        ({"column": "pages", "reason": _REASON}, "`pages` is not one of the `textColumns`"),
    ],
)
def test_a_leak_is_not_accepted_without_a_reason_or_for_another_column(tmp_path, accepted, problem):
    with pytest.raises(InputError, match=r"acceptedLeaks|accepted_leaks") as error:
        _contract(tmp_path, acceptedLeaks=[accepted])
    assert problem in str(error.value)


def test_a_column_that_nearly_tells_the_label_apart_passes_with_a_question(tmp_path: Path) -> None:
    # Two of the forty positive rows look like the others.
    noisy = [9.0 if label and n >= 20 else n % 3 for n, label in enumerate(POSITIVE)]
    check = _checks(_contract(tmp_path), price=noisy)["price: AUC alone against the label"]
    assert check.value is not None
    assert 0.95 < check.value < 0.99
    assert check.passed
    assert check.reason == "is the column known when the model is asked?"


def test_few_rows_of_a_label_are_not_judged(tmp_path):
    few = np.arange(ROWS) < 9
    [check] = _checks(_contract(tmp_path), positive=few).values()
    assert (check.passed, check.judged) == (True, False)
    assert check.reason == "9 rows of the rarer label, 10 are needed"


def test_a_large_table_is_judged_on_an_even_sample(tmp_path):
    positive = np.arange(260_000) % 10 == 0
    prices = [0.0 if label else 3.5 for label in positive]
    checks = _checks(_contract(tmp_path), positive=positive, price=prices)
    assert not checks["price: AUC alone against the label"].passed
    assert checks["title: AUC alone against the label"].passed
