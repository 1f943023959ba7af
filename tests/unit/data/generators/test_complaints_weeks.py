import hashlib
import json
from functools import cache

import pandas as pd
import pyarrow as pa
import pytest

from sashiko.data.generators import complaints_texts as bank
from sashiko.data.generators.base import Order
from sashiko.data.generators.complaints import PERIOD_END, Complaints
from sashiko.errors import InputError
from sashiko.settings.shifts import Shift, ShiftPlan

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
    truth = Complaints().truth(Order(rows=ROWS, seed=3, plan=plan))
    frame = _table(plan).to_pandas()
    frame["truth"] = pa.Table.from_batches(truth)["truth"].to_pandas()
    frame = frame[ROWS:]
    frame["week"] = (frame.received_at - pd.Timestamp(PERIOD_END)).dt.days // 7 + 1
    frame["escalated"] = frame.escalate == "yes"
    frame["unheard"] = [any(phrase in text for phrase in UNHEARD) for text in frame.complaint_text]
    return frame


@pytest.mark.parametrize(
    ("drift", "digest"),
    [
        (False, "31ef9f37d6683c4da73594db089e91fde1bb9fef55b063ad0e9f1f4fa94ce009"),
        (True, "5b21d116973c5dee1efd4ffe81eddfad6e0b3f26f69c4d370d72d3531c862684"),
    ],
)
def test_without_a_plan_the_rows_are_those_of_before_there_were_plans(drift, digest):
    order = Order(rows=300, seed=3, drift=drift)
    rows = pa.Table.from_batches(Complaints().batches(order)).to_pylist()
    text = json.dumps(rows, default=str, sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest() == digest


def test_a_plan_adds_rows_and_changes_none():
    shifts = [Shift(kind=kind, size=0.2) for kind in ("covariate", "label", "phrases", "concept")]
    planned = _table(_plan(*shifts))
    assert planned.slice(0, ROWS).equals(_table(None))
    assert len(planned) == ROWS + 2 * WEEK_ROWS


def test_rows_of_the_weeks_do_not_depend_on_the_batch_size():
    plan = ShiftPlan(weeks=3, rows_per_week=50, shifts=(Shift(kind="phrases", size=0.5, week=2),))
    assert _table(plan).equals(_table(plan, batch_rows=7))


def test_weeks_follow_the_period_each_with_its_rows_and_keys_of_their_own():
    frame = _weeks()
    assert frame.week.value_counts().to_dict() == {1: WEEK_ROWS, 2: WEEK_ROWS}
    assert frame.received_at.is_monotonic_increasing
    assert frame.complaint_id.iloc[0] == f"C{ROWS + 1:08d}"
    assert frame.complaint_id.is_unique


def test_a_covariate_shift_moves_its_share_to_one_product_and_leaves_the_labels():
    frame = _weeks(Shift(kind="covariate", size=0.18, week=FIRST))
    last = list(bank.TOPICS)[-1]
    shares = frame.groupby("week")["product"].value_counts(normalize=True).unstack()
    assert shares.loc[1].to_numpy() == pytest.approx(1 / 6, abs=0.025)
    assert shares.loc[2, last] == pytest.approx(1 / 6 + 0.18, abs=0.025)
    assert abs(shares.loc[2] - 1 / 6).sum() / 2 == pytest.approx(0.18, abs=0.03)
    assert (frame.escalate == _weeks().escalate).all()


def test_a_label_shift_makes_its_share_severe_and_labels_and_truth_follow():
    quiet, shifted = (
        _weeks(*shifts)[WEEK_ROWS:] for shifts in ((), (Shift(kind="label", size=0.15, week=2),))
    )
    assert quiet.truth.mean() == pytest.approx(0.60, abs=0.03)
    assert shifted.truth.mean() == pytest.approx(1 - 0.4 * (1 - 0.15 / 0.75), abs=0.03)
    assert shifted.escalated.mean() > quiet.escalated.mean() + 0.05
    changed = shifted.escalate != quiet.escalate
    assert shifted.escalated[changed].mean() > 0.8


def test_new_phrases_are_in_their_share_and_in_no_row_before():
    frame = _weeks(Shift(kind="phrases", size=0.25, week=FIRST))
    assert frame.groupby("week").unheard.mean().tolist() == pytest.approx([0, 0.25], abs=0.03)
    assert set(frame.escalate[frame.unheard]) == {"yes", "no"}
    texts = _table(None)["complaint_text"].to_pylist()
    assert not any(phrase in text for phrase in UNHEARD for text in texts)


def test_a_concept_shift_reverses_labels_and_leaves_every_input():
    quiet, shifted = _weeks(), _weeks(Shift(kind="concept", size=0.12, week=FIRST))
    reversed_ = quiet.escalate != shifted.escalate
    assert reversed_.groupby(shifted.week).mean().tolist() == pytest.approx([0, 0.12], abs=0.02)
    assert (quiet.complaint_text == shifted.complaint_text).all()
    assert (quiet.truth == shifted.truth).all()


def test_a_bias_shift_changes_what_women_wrote_and_nobodys_label():
    quiet, shifted = _weeks(), _weeks(Shift(kind="bias", size=0.3, week=FIRST))
    changed = quiet.complaint_text != shifted.complaint_text
    assert (shifted.customer_gender[changed] == "female").all()
    women = (shifted.week == 2) & (shifted.customer_gender == "female") & (shifted.truth == 1)
    assert changed[women].mean() == pytest.approx(0.3, abs=0.03)
    assert (quiet.escalate == shifted.escalate).all()
    low = [any(phrase in text for phrase in bank.LOW) for text in shifted.complaint_text[changed]]
    assert all(low)


def test_a_gradual_shift_grows_evenly_and_stays():
    frame = _weeks(Shift(kind="phrases", size=0.4, week=2, grows_over=4), weeks=6)
    shares = frame.groupby("week").unheard.mean().tolist()
    assert shares == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.4], abs=0.03)


def test_the_planted_distributions_are_those_of_the_rows():
    shifts = Shift(kind="covariate", size=0.2, week=2), Shift(kind="phrases", size=0.1)
    frame = _weeks(*shifts)
    for week in Complaints().planted(Order(rows=ROWS, plan=_plan(*shifts))):
        rows = frame[frame.week == week["week"]]
        assert rows.received_at.min().date().isoformat() == week["starts"]
        assert len(rows) == week["rows"]
        shares = rows["product"].value_counts(normalize=True)
        assert shares.to_dict() == pytest.approx(week["product"], abs=0.025)
        assert rows.unheard.mean() == pytest.approx(week["unheard_phrases"], abs=0.025)


def test_a_plan_that_moves_more_rows_than_there_are_is_refused():
    plan = _plan(Shift(kind="label", size=0.5), Shift(kind="label", size=0.5))
    with pytest.raises(InputError, match="`label` add up to 1, and at most 0"):
        _table(plan)
