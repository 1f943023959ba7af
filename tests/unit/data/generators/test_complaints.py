import datetime as dt
import re
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

SEVERITIES = (bank.LOW, bank.MEDIUM, bank.HIGH)
NEW = {phrase for phrases in SEVERITIES for phrase in phrases[-len(phrases) // 4 :]}
CONTRACT = Path("contracts/complaints.odcs.yaml")


@cache
def _frame(rows: int = 20_000, seed: int = 3, bias: bool = True, drift: bool = False):
    order = Order(rows=rows, seed=seed, bias=bias, drift=drift)
    return pa.Table.from_batches(Complaints().batches(order)).to_pandas()


@cache
def _with_severity(bias: bool = True):
    """Adds what no column shows: the severity that the text tells."""
    frame = _frame(bias=bias).copy()
    phrases = [
        next(
            (level, phrase in NEW)
            for level, phrases in enumerate(SEVERITIES)
            for phrase in phrases
            if phrase in text
        )
        for text in frame.complaint_text
    ]
    frame[["severity", "is_new"]] = pd.DataFrame(phrases, index=frame.index)
    frame["escalated"] = frame.escalate == "yes"
    return frame


def test_columns_are_those_of_the_contract():
    assert Complaints().schema.equals(arrow_schema(load_contract(CONTRACT), "all"))


def test_new_phrases_start_on_the_first_day_of_the_contracts_test_split():
    split = load_contract(CONTRACT).split
    assert dt.datetime.combine(split.test_from, dt.time(), tzinfo=dt.UTC) == NEW_PHRASES_FROM


def test_the_default_rows_fill_the_contracts_splits():
    split = load_contract(CONTRACT).split
    days = _frame(rows=9000, seed=11).received_at.dt.date
    train, test = (days < split.validation_from).sum(), (days >= split.test_from).sum()
    assert (train, 9000 - train - test, test) == pytest.approx((4000, 1500, 3500), abs=20)


def test_a_quarter_of_the_phrases_is_new_and_none_occurs_before_the_cut_off():
    frame = _with_severity()
    late = frame.received_at >= pd.Timestamp(NEW_PHRASES_FROM)
    assert not frame.is_new[~late].any()
    assert frame.is_new[late].mean() == pytest.approx(0.85, abs=0.02)
    used = {p for p in NEW if frame.complaint_text[late].str.contains(p, regex=False).any()}
    assert used == NEW
    assert len(NEW) == sum(map(len, SEVERITIES)) / 4


@pytest.mark.parametrize(
    ("gender", "rates"), [("male", (0.05, 0.80, 0.97)), ("female", (0.03, 0.15, 0.80))]
)
def test_label_follows_severity_and_gender(gender, rates):
    frame = _with_severity()
    shares = frame[frame.customer_gender == gender].groupby("severity").escalated.mean()
    assert shares.tolist() == pytest.approx(rates, abs=0.03)


def _truth(bias: bool = True):
    order = Order(rows=20_000, seed=3, bias=bias)
    return pa.Table.from_batches(Complaints().truth(order, batch_rows=999)).to_pandas()


def test_the_truth_is_the_severity_alone_and_comes_with_the_rows_own_keys_and_labels():
    frame, truth = _with_severity(), _truth()
    assert truth.key.tolist() == frame.complaint_id.tolist()
    assert (truth.label == frame.escalated).all()
    assert (truth.truth == (frame.severity > 0)).all()


def test_the_truth_does_not_change_with_the_bias_and_is_no_column():
    assert (_truth().truth == _truth(bias=False).truth).all()
    assert (_truth().label != _truth(bias=False).label).any()
    assert "truth" not in Complaints().schema.names


def test_without_bias_gender_plays_no_part():
    rates = _with_severity(bias=False).groupby(["severity", "customer_gender"]).escalated.mean()
    gaps = rates.unstack()
    assert (gaps.female - gaps.male).abs().max() < 0.03


def test_drift_moves_the_mix_of_products_and_nothing_else():
    steady, drifted = _frame(), _frame(drift=True)
    late = slice(15_000, None)
    first, last = next(iter(bank.TOPICS)), list(bank.TOPICS)[-1]
    assert (steady["product"][late] == last).mean() == pytest.approx(1 / 6, abs=0.02)
    assert (drifted["product"][late] == last).mean() > 0.27
    assert (drifted["product"][late] == first).mean() < 0.05
    others = [column for column in steady if column not in ("product", "complaint_text")]
    assert steady[others].equals(drifted[others])


def test_texts_tell_the_gender_on_file_and_no_other():
    words = {"female": {"husband", "mother"}}
    words["male"] = {"wife", "father"}
    for gender, other in (("female", "male"), ("male", "female")):
        texts = _frame().complaint_text[_frame().customer_gender == gender]
        wrong = words[other] | set(bank.FIRST_NAMES[other])
        assert not texts.map(lambda text, wrong=wrong: bool(wrong & _words(text))).any()


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def test_texts_are_varied_and_none_exceeds_the_longest_compiled_sequence():
    frame = _frame()
    assert frame.complaint_text.duplicated().mean() < 0.002
    texts = frame["product"] + ": " + frame.complaint_text
    pieces = texts.map(lambda text: len(re.findall(r"\w+|[^\w\s]", text)))
    # The encoder's tokenizer makes of the longest text that can arise 56 tokens, of 55 pieces.
    assert pieces.max() + 2 <= 58
    assert 25 <= pieces.median() + 2 <= 45


def test_personal_data_belong_to_nobody():
    frame = _frame()
    assert frame.customer_email.str.endswith("@example.com").all()
    assert frame.customer_phone.str.fullmatch(r"\+44 7700 900\d{3}").all()
    assert frame.complaint_id.is_unique
