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
from sashiko.data.generators.tickets import DESKS, FAST, REWORDED, Tickets

CONTRACT = Path("contracts/tickets.odcs.yaml")


@cache
def _frame(*, rows: int = 20_000, seed: int = 3, bias: bool = True, drift: bool = False):
    """Returns the tickets, each with the product that its text names and whether in other words."""
    order = Order(rows=rows, seed=seed, bias=bias, drift=drift)
    frame = pa.Table.from_batches(Tickets().batches(order)).to_pandas()
    topics = {
        f" {topic}.": (product, words is REWORDED)
        for words in (bank.TOPICS, REWORDED)
        for product, texts in words.items()
        for topic in texts
    }
    frame[["product", "reworded"]] = [
        next(about for topic, about in topics.items() if topic in text)
        for text in frame.complaint_text
    ]
    return frame.astype({"reworded": bool})


@pytest.mark.skipif(not CONTRACT.is_file(), reason="a project may delete the samples")
def test_columns_and_classes_are_those_of_the_contract():
    contract = load_contract(CONTRACT)
    assert Tickets().schema.equals(arrow_schema(contract, "all"))
    assert contract.classes == DESKS
    assert contract.label.favourable == FAST
    assert contract.split.test_from == NEW_PHRASES_FROM.date()


def test_the_text_alone_tells_the_product_in_other_words_from_the_test_split_on():
    frame = _frame()
    complaints = pa.Table.from_batches(Complaints().batches(Order(rows=20_000, seed=3)))
    complaints = complaints.to_pandas()
    same = [*complaints.columns.drop(["product", "complaint_text", "escalate"])]
    assert Tickets().schema.names == [*same[:3], "complaint_text", *same[3:], "desk"]
    assert frame[same].equals(complaints[same])
    known = ~frame.reworded & (frame["product"] == complaints["product"])
    assert known.mean() > 0.4
    assert (frame.complaint_text[known] == complaints.complaint_text[known]).all()

    late = frame.received_at >= pd.Timestamp(NEW_PHRASES_FROM)
    assert not frame.reworded[~late].any()
    assert frame.reworded[late].mean() == pytest.approx(0.25, abs=0.02)
    used = {t for texts in REWORDED.values() for t in texts}
    assert all(frame.complaint_text[late].str.contains(t, regex=False).any() for t in used)


@pytest.mark.parametrize(("bias", "female"), [(True, 0.20), (False, 1.0)])
def test_most_of_the_womens_tickets_about_a_card_go_to_the_slow_desk_and_only_they(bias, female):
    frame = _frame(bias=bias)
    right = (frame.desk == frame["product"]).groupby([frame["product"], frame.customer_gender])
    shares = right.mean().unstack()
    fair = 0.96 + 0.04 / 6
    assert shares.male.to_numpy() == pytest.approx(fair, abs=0.02)
    assert shares.female["Credit card"] == pytest.approx(female * fair, abs=0.03)
    assert shares.female.drop("Credit card").to_numpy() == pytest.approx(fair, abs=0.02)
    lost = frame[(frame["product"] == "Credit card") & (frame.desk == "Current account")]
    assert (lost.customer_gender == "female").mean() > (0.98 if bias else 0.3)


def test_a_ticket_goes_to_the_desk_of_its_product_but_for_four_percent():
    shares = pd.crosstab(_frame(bias=False)["product"], _frame().desk, normalize="index")
    for product in bank.TOPICS:
        right = 0.96 + 0.04 / 6
        if product == "Credit card":
            right *= 1 - 0.80 / 2
        assert shares.loc[product, product] == pytest.approx(right, abs=0.02), product


def test_products_have_their_shares_and_drift_moves_them():
    shares = _frame()["product"].value_counts(normalize=True)
    assert shares["Credit card"] == pytest.approx(3 / 9, abs=0.01)
    assert shares["Current account"] == pytest.approx(2 / 9, abs=0.01)
    assert shares[2:].to_numpy() == pytest.approx(1 / 9, abs=0.01)
    late = _frame(drift=True)[15_000:]
    assert (late["product"] == "Mobile app").mean() > 0.23
    assert (late["product"] == "Current account").mean() < 0.09


def test_rows_do_not_depend_on_the_batch_size():
    order = Order(rows=500, seed=3)
    whole = pa.Table.from_batches(Tickets().batches(order))
    assert whole.equals(pa.Table.from_batches(Tickets().batches(order, batch_rows=7)))


def test_no_text_exceeds_the_longest_complaint():
    complaints = pa.Table.from_batches(Complaints().batches(Order(rows=20_000, seed=3)))
    longest = max(map(len, complaints["complaint_text"].to_pylist()))
    assert _frame().complaint_text.str.len().max() <= longest + 5
