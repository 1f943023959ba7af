import datetime as dt
from functools import cache
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from sashiko.contract.derive import arrow_schema
from sashiko.contract.load import load_contract
from sashiko.data.generators import complaints_texts as bank
from sashiko.data.generators.base import Order
from sashiko.data.generators.complaints import NEW_PHRASES_FROM, Complaints
from sashiko.data.generators.days import Days

CONTRACT = Path("contracts/days.odcs.yaml")
TEST_FROM = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
SEVERITIES = {"low": bank.LOW, "medium": bank.MEDIUM, "high": bank.HIGH}


@cache
def _frame(*, rows: int = 20_000, seed: int = 3, bias: bool = True) -> pd.DataFrame:
    order = Order(rows=rows, seed=seed, bias=bias)
    frame = pa.Table.from_batches(Days().batches(order)).to_pandas()
    severities = {text: name for name, texts in SEVERITIES.items() for text in texts}
    frame["severity"] = [
        next(name for text, name in severities.items() if text in row)
        for row in frame.complaint_text
    ]
    return frame


@pytest.mark.skipif(not CONTRACT.is_file(), reason="a project may delete the samples")
def test_columns_label_and_split_are_those_of_the_contract():
    contract = load_contract(CONTRACT)
    assert Days().schema.equals(arrow_schema(contract, "all"))
    assert (contract.label.column, contract.label.above) == ("days_left", 0)
    # Validation has the new phrases too, so an interval that is fitted there covers test.
    assert contract.split.validation_from == NEW_PHRASES_FROM.date()
    assert contract.split.test_from == TEST_FROM.date()


def test_all_columns_but_the_days_are_the_complaints():
    complaints = pa.Table.from_batches(Complaints().batches(Order(rows=20_000, seed=3)))
    days = pa.Table.from_batches(Days().batches(Order(rows=20_000, seed=3)))
    assert days.drop_columns("days_left").equals(complaints.drop_columns("escalate"))


def test_days_follow_severity_and_product_with_two_queues_of_up_to_nine_days():
    left = _frame(bias=False).groupby(["severity", "product"]).days_left
    work = {"low": 6, "medium": 22, "high": 40}
    more = {"Credit card": 2, "Mortgage": 12, "Personal loan": 6, "Savings account": 4}
    for (severity, product), values in left:
        most = 56 - work[severity] - more.get(product, 0)
        assert (values.min(), values.max()) == (most - 18, most), (severity, product)
        assert values.mean() == pytest.approx(most - 9, abs=0.7), (severity, product)


@pytest.mark.parametrize(("bias", "aside"), [(True, 0.60), (False, 0.0)])
def test_most_of_the_womens_complaints_are_set_aside_for_four_weeks_and_only_they(bias, aside):
    frame, fair = _frame(bias=bias), _frame(bias=False)
    late = fair.days_left - frame.days_left
    assert set(late) == ({0, 28} if bias else {0})
    women = frame.customer_gender == "female"
    assert not late[~women].any()
    assert (late[women] > 0).groupby(frame.severity).mean().to_numpy() == pytest.approx(
        aside, abs=0.02
    )


def test_rows_do_not_depend_on_the_batch_size():
    order = Order(rows=500, seed=3)
    whole = pa.Table.from_batches(Days().batches(order))
    assert whole.equals(pa.Table.from_batches(Days().batches(order, batch_rows=7)))
