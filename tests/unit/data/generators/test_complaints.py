import datetime as dt
import hashlib
import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from sashiko.contract.derive import arrow_schema
from sashiko.contract.load import load_contract
from sashiko.data.generators import complaints_texts as bank
from sashiko.data.generators.base import Order
from sashiko.data.generators.complaints import (
    NEW_PHRASES_FROM,
    PERIOD_END,
    Complaints,
    severities,
)
from sashiko.errors import InputError
from sashiko.settings.shifts import Shift, ShiftPlan

TOPICS = bank.TOPICS
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


def test_the_columns_are_the_contracts_and_the_default_rows_fill_its_splits():
    assert Complaints().schema.equals(arrow_schema(load_contract(CONTRACT), "all"))

    split = load_contract(CONTRACT).split
    assert dt.datetime.combine(split.test_from, dt.time(), tzinfo=dt.UTC) == NEW_PHRASES_FROM

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


def test_without_bias_gender_plays_no_part_and_texts_tell_the_one_on_file_alone():
    rates = _with_severity(bias=False).groupby(["severity", "customer_gender"]).escalated.mean()
    gaps = rates.unstack()
    assert (gaps.female - gaps.male).abs().max() < 0.03

    words = {"female": {"husband", "mother"}}
    words["male"] = {"wife", "father"}
    for gender, other in (("female", "male"), ("male", "female")):
        texts = _frame().complaint_text[_frame().customer_gender == gender]
        wrong = words[other] | set(bank.FIRST_NAMES[other])
        assert not texts.map(lambda text, wrong=wrong: bool(wrong & _words(text))).any()


def test_drift_moves_the_mix_of_products_and_nothing_else():
    steady, drifted = _frame(), _frame(drift=True)
    late = slice(15_000, None)
    first, last = next(iter(bank.TOPICS)), list(bank.TOPICS)[-1]
    assert (steady["product"][late] == last).mean() == pytest.approx(1 / 6, abs=0.02)
    assert (drifted["product"][late] == last).mean() > 0.27
    assert (drifted["product"][late] == first).mean() < 0.05
    others = [column for column in steady if column not in ("product", "complaint_text")]
    assert steady[others].equals(drifted[others])


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def test_texts_are_varied_and_short_enough_and_personal_data_belong_to_nobody():
    frame = _frame()
    assert frame.complaint_text.duplicated().mean() < 0.002
    texts = frame["product"] + ": " + frame.complaint_text
    pieces = texts.map(lambda text: len(re.findall(r"\w+|[^\w\s]", text)))
    # The encoder's tokenizer makes of the longest text that can arise 56 tokens, of 55 pieces.
    assert pieces.max() + 2 <= 58
    assert 25 <= pieces.median() + 2 <= 45

    assert frame.customer_email.str.endswith("@example.com").all()
    assert frame.customer_phone.str.fullmatch(r"\+44 7700 900\d{3}").all()
    assert frame.complaint_id.is_unique


ROWS, WEEK_ROWS, FIRST = 400, 3000, 2  # a shift begins in the second week
UNHEARD = {phrase for phrases in bank.UNHEARD for phrase in phrases}


def _plan(*shifts: Shift, weeks: int = 2) -> ShiftPlan:
    return ShiftPlan(weeks=weeks, rows_per_week=WEEK_ROWS, shifts=shifts)


def _table(plan: ShiftPlan | None, *, drift: bool = False, batch_rows: int = 65_536) -> pa.Table:
    order = Order(rows=ROWS, seed=3, drift=drift, plan=plan)
    return pa.Table.from_batches(Complaints().batches(order, batch_rows=batch_rows))


@cache
def _weeks(*shifts: Shift, weeks: int = 2) -> pd.DataFrame:
    """Returns the rows of the weeks, each with its number and what only the generator knows."""
    plan = _plan(*shifts, weeks=weeks)
    frame = _table(plan).to_pandas()
    order = Order(rows=ROWS, seed=3, plan=plan)
    frame["severe"] = severities(order, np.arange(len(frame), dtype=np.uint64)) > 0
    frame = frame[ROWS:]
    frame["week"] = (frame.received_at - pd.Timestamp(PERIOD_END)).dt.days // 7 + 1
    frame["escalated"] = frame.escalate == "yes"
    frame["unheard"] = [any(phrase in text for phrase in UNHEARD) for text in frame.complaint_text]
    return frame


@pytest.mark.parametrize(("drift", "digest"), [
    (False, "31ef9f37d6683c4da73594db089e91fde1bb9fef55b063ad0e9f1f4fa94ce009"),
    (True, "5b21d116973c5dee1efd4ffe81eddfad6e0b3f26f69c4d370d72d3531c862684"),
])  # fmt: skip
def test_without_a_plan_the_rows_are_those_of_before_there_were_plans(drift, digest):
    order = Order(rows=300, seed=3, drift=drift)
    rows = pa.Table.from_batches(Complaints().batches(order)).to_pylist()
    text = json.dumps(rows, default=str, sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest() == digest


def test_a_plan_adds_rows_changes_none_and_depends_on_no_batch_size():
    shifts = [Shift(kind=kind, size=0.2) for kind in ("covariate", "label", "phrases", "concept")]
    planned = _table(_plan(*shifts))
    assert planned.slice(0, ROWS).equals(_table(None))
    assert len(planned) == ROWS + 2 * WEEK_ROWS
    plan = ShiftPlan(weeks=3, rows_per_week=50, shifts=(Shift(kind="phrases", size=0.5, week=2),))
    assert _table(plan).equals(_table(plan, batch_rows=7))


def test_a_plan_of_too_many_rows_is_refused_and_weeks_have_rows_and_keys_of_their_own():
    frame = _weeks()
    assert frame.week.value_counts().to_dict() == {1: WEEK_ROWS, 2: WEEK_ROWS}
    assert frame.received_at.is_monotonic_increasing
    assert frame.complaint_id.iloc[0] == f"C{ROWS + 1:08d}"
    assert frame.complaint_id.is_unique
    plan = _plan(Shift(kind="label", size=0.5), Shift(kind="label", size=0.5))
    with pytest.raises(InputError, match="`label` add up to 1, and at most 0"):
        _table(plan)


def test_a_shift_moves_its_share_of_one_thing_and_leaves_the_rest():
    frame = _weeks(Shift(kind="covariate", size=0.18, week=FIRST))
    last = list(bank.TOPICS)[-1]
    shares = frame.groupby("week")["product"].value_counts(normalize=True).unstack()
    assert shares.loc[1].to_numpy() == pytest.approx(1 / 6, abs=0.025)
    assert shares.loc[2, last] == pytest.approx(1 / 6 + 0.18, abs=0.025)
    assert abs(shares.loc[2] - 1 / 6).sum() / 2 == pytest.approx(0.18, abs=0.03)
    assert (frame.escalate == _weeks().escalate).all()

    quiet, shifted = (
        _weeks(*shifts)[WEEK_ROWS:] for shifts in ((), (Shift(kind="label", size=0.15, week=2),))
    )
    assert quiet.severe.mean() == pytest.approx(0.60, abs=0.03)
    assert shifted.severe.mean() == pytest.approx(1 - 0.4 * (1 - 0.15 / 0.75), abs=0.03)
    assert shifted.escalated.mean() > quiet.escalated.mean() + 0.05
    changed = shifted.escalate != quiet.escalate
    assert shifted.escalated[changed].mean() > 0.8

    quiet, shifted = _weeks(), _weeks(Shift(kind="concept", size=0.12, week=FIRST))
    reversed_ = quiet.escalate != shifted.escalate
    assert reversed_.groupby(shifted.week).mean().tolist() == pytest.approx([0, 0.12], abs=0.02)
    assert (quiet.complaint_text == shifted.complaint_text).all()
    assert (quiet.severe == shifted.severe).all()

    quiet, shifted = _weeks(), _weeks(Shift(kind="bias", size=0.3, week=FIRST))
    changed = quiet.complaint_text != shifted.complaint_text
    assert (shifted.customer_gender[changed] == "female").all()
    women = (shifted.week == 2) & (shifted.customer_gender == "female") & shifted.severe
    assert changed[women].mean() == pytest.approx(0.3, abs=0.03)
    assert (quiet.escalate == shifted.escalate).all()
    low = [any(phrase in text for phrase in bank.LOW) for text in shifted.complaint_text[changed]]
    assert all(low)


def test_new_phrases_are_in_their_share_grow_evenly_and_are_in_no_row_before():
    frame = _weeks(Shift(kind="phrases", size=0.25, week=FIRST))
    assert frame.groupby("week").unheard.mean().tolist() == pytest.approx([0, 0.25], abs=0.03)
    assert set(frame.escalate[frame.unheard]) == {"yes", "no"}
    texts = _table(None)["complaint_text"].to_pylist()
    assert not any(phrase in text for phrase in UNHEARD for text in texts)
    frame = _weeks(Shift(kind="phrases", size=0.4, week=2, grows_over=4), weeks=6)
    shares = frame.groupby("week").unheard.mean().tolist()
    assert shares == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.4], abs=0.03)


def test_a_planned_week_has_the_mix_of_products_and_the_rows_that_the_plan_says():
    shifts = Shift(kind="covariate", size=0.2, week=2), Shift(kind="phrases", size=0.1)
    frame = _weeks(*shifts)
    last = list(TOPICS)[-1]
    quiet, shifted = (frame[frame.week == week] for week in (1, 2))
    for rows, share in ((quiet, 1 / len(TOPICS)), (shifted, 1 / len(TOPICS) + 0.2)):
        assert len(rows) == WEEK_ROWS
        assert (rows["product"] == last).mean() == pytest.approx(share, abs=0.025)
        assert rows.unheard.mean() == pytest.approx(0.1, abs=0.025)
