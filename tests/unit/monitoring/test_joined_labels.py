"""What the audit is given depends on labels and their times, never on when somebody looks."""

from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from sashiko.core.parquet import write_table
from sashiko.errors import InputError
from sashiko.monitoring.audited_quality import bet_periods
from sashiko.monitoring.capture.record import Window
from sashiko.monitoring.draws import draw_period
from sashiko.monitoring.joined_labels import DECISION_SCHEMA, DECISIONS_FILE
from sashiko.monitoring.labels import LABEL_SCHEMA
from sashiko.monitoring.quality import AuditedPeriod, write_labels
from tests.unit.monitoring.label_stores import DAY, LABEL_DAYS, Stores, keys_of, week

DEADLINE = week(0).end + LABEL_DAYS * DAY


@pytest.fixture
def stores(tmp_path):
    return Stores(tmp_path / "monitor")


def week_of(stores, number, *, rows=10, answers=20):
    """Answers of a week, and the keys of those that were drawn."""
    stores.answer([f"w{number}-{row:02d}" for row in range(answers)], number=number)
    return keys_of(stores.draw(number, rows=rows))


def counts(period):
    return period.right, period.wrong, period.state


def test_drawn_rows_are_right_where_label_and_decision_agree(stores) -> None:
    drawn = week_of(stores, 0)
    stores.label(drawn[:7], "yes", now=week(0).end)
    stores.label(drawn[7:], "no", now=week(0).end)
    (period,) = stores.join(0, now=week(0).end + DAY).periods
    assert (period.start, period.end) == (week(0).start, week(0).end)
    assert (period.answers, period.drawn) == (20, 10)
    assert counts(period) == (7, 3, "complete")


@pytest.mark.parametrize(("labels", "state"), [(0, "open"), (8, "open"), (9, "complete")])
def test_nine_in_ten_of_the_drawn_rows_make_a_period_complete(stores, labels, state) -> None:
    drawn = week_of(stores, 0)
    if labels:
        stores.label(drawn[:labels], "yes", now=week(0).end)
    (period,) = stores.join(0, now=week(0).end + DAY).periods
    assert counts(period) == (labels, 0, state)


def test_labels_of_other_rows_complete_no_period(stores) -> None:
    drawn = week_of(stores, 0)
    others = [f"w0-{row:02d}" for row in range(20) if f"w0-{row:02d}" not in drawn]
    stores.label(others, "yes", now=week(0).end)
    summary = stores.join(0, now=week(0).end + DAY)
    assert counts(summary.periods[0]) == (0, 0, "open")
    assert (summary.ordinary_right, summary.ordinary_wrong, summary.waiting) == (10, 0, 10)


def test_a_period_without_its_labels_in_time_is_left_out_for_good(stores) -> None:
    drawn = week_of(stores, 0)
    stores.label(drawn[:4], "yes", now=week(0).end)
    assert stores.join(0, now=DEADLINE - DAY).periods[0].state == "open"
    assert stores.join(0, now=DEADLINE).periods[0].state == "expired"
    stores.label(drawn[4:], "no", now=DEADLINE)
    late = stores.join(0, now=DEADLINE + DAY)
    assert counts(late.periods[0]) == (4, 0, "expired")
    assert late.late == 6


def test_a_label_of_the_last_second_is_in_time_whenever_it_is_joined(stores) -> None:
    drawn = week_of(stores, 0)
    stores.label(drawn, "yes", now=DEADLINE - DAY / 86_400)
    assert counts(stores.join(0, now=DEADLINE + 99 * DAY).periods[0]) == (10, 0, "complete")


def test_labels_after_a_period_was_complete_change_nothing_that_was_bet_on(stores) -> None:
    drawn = week_of(stores, 0)
    stores.label(drawn[:9], "yes", now=week(0).end)
    before = stores.join(0, now=week(0).end + DAY)
    stores.label(drawn[9:], "no", now=week(0).end + 2 * DAY)
    after = stores.join(0, now=week(0).end + 3 * DAY)
    assert after.periods == before.periods
    assert (before.late, after.late) == (0, 1)


def test_labels_that_had_not_arrived_are_not_known(stores) -> None:
    drawn = week_of(stores, 0)
    stores.label(drawn, "yes", now=week(0).end + 2 * DAY)
    stores.label(["nobody"], "yes", now=week(0).end + 2 * DAY)
    summary = stores.join(0, now=week(0).end + DAY)
    assert counts(summary.periods[0]) == (0, 0, "open")
    assert (summary.waiting, summary.unknown) == (20, 0)


def test_the_first_label_judges_and_others_are_counted(stores) -> None:
    drawn = week_of(stores, 0)
    stores.label(drawn, "yes", now=week(0).end)
    stores.label([*drawn[:3], "nobody"], "no", now=week(0).end + DAY)
    stores.label(["nobody"], "yes", now=week(0).end + DAY)
    summary = stores.join(0, now=week(0).end + 2 * DAY)
    assert counts(summary.periods[0]) == (10, 0, "complete")
    assert (summary.duplicated, summary.unknown) == (3, 1)


def test_a_label_counts_for_each_version_that_answered_its_key(stores) -> None:
    stores.answer(["a"], decision="yes")
    stores.answer(["a"], decision="no", version=8)
    stores.draw(0)
    stores.draw(0, version=8)
    stores.label(["a"], "yes", now=week(0).end)
    now = week(0).end + DAY
    assert counts(stores.join(0, now=now).periods[0]) == (1, 0, "complete")
    assert counts(stores.join(0, now=now, version=8).periods[0]) == (0, 1, "complete")
    assert stores.join(0, now=now, version=9).unknown == 0


def test_of_a_replayed_row_the_first_answer_is_judged(stores) -> None:
    stores.answer(["a"], decision="yes")
    stores.answer(["a"], decision="no", number=1)
    stores.draw(0)
    stores.label(["a"], "yes", now=week(1).end)
    summary = stores.join(1, now=week(1).end + DAY)
    assert [counts(period) for period in summary.periods] == [(1, 0, "complete")]
    assert (summary.ordinary_right, summary.ordinary_wrong, summary.waiting) == (0, 0, 0)


def test_a_deleted_answer_is_in_no_period_any_more(stores) -> None:
    drawn = week_of(stores, 0)
    stores.label(drawn, "yes", now=week(0).end)
    stores.delete(drawn[0], now=week(0).end)
    (period,) = stores.join(0, now=week(0).end + DAY).periods
    assert (period.drawn, *counts(period)) == (9, 9, 0, "complete")


def test_periods_after_the_window_are_left_out_and_earlier_ones_are_not(stores) -> None:
    for number in range(3):
        week_of(stores, number)
    ends = [period.end for period in stores.join(1, now=week(2).end).periods]
    assert ends == [week(0).end, week(1).end]


def test_a_row_that_was_drawn_is_never_an_ordinary_one(stores) -> None:
    stores.answer(["a"])
    both = Window(week(0).start, week(1).end)
    draw_period(stores.folder("draws"), stores.folder("ledger"), version=7, window=both, rows=10)
    stores.label(["a"], "yes", now=week(0).end)
    assert stores.join(0, now=week(1).end).ordinary_right == 0


def test_decisions_are_the_windows_answers_without_anything_else(stores) -> None:
    stores.answer(["b"], decision="no")
    stores.answer(["a"])
    stores.answer(["later"], number=1)
    stores.answer(["other"], version=6)
    stores.join(0, now=week(0).end)
    table = pq.read_table(stores.root / DECISIONS_FILE)
    assert table.schema == DECISION_SCHEMA
    time = week(0).start + DAY
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("a", True, time),
        ("b", False, time),
    ]


def test_without_answers_there_is_nothing_and_labels_are_of_nobody(stores) -> None:
    stores.label(["a", "b"], "yes", now=week(0).end)
    summary = stores.join(0, now=week(0).end)
    assert summary.periods == ()
    assert (summary.waiting, summary.late, summary.unknown) == (0, 0, 2)
    assert pq.read_metadata(stores.root / DECISIONS_FILE).num_rows == 0


def test_equal_stores_give_the_same_bytes(stores) -> None:
    drawn = week_of(stores, 0)
    stores.label(drawn, "no", now=week(0).end)
    files = []
    for _ in range(2):
        write_labels(stores.join(0, now=week(0).end), stores.root)
        files.append(
            [(stores.root / name).read_bytes() for name in ("labels.json", DECISIONS_FILE)]
        )
    assert files[0] == files[1]


def test_a_store_that_was_not_staged_is_an_error(stores) -> None:
    (stores.folder("draws") / "none.parquet").unlink()
    with pytest.raises(InputError, match=r"none\.parquet does not exist"):
        stores.join(0, now=week(0).end)


def test_no_period_after_an_open_one_is_bet_on() -> None:
    def period(number, state):
        return AuditedPeriod(
            start=week(number).start,
            end=week(number).end,
            answers=9,
            drawn=9,
            right=number,
            wrong=0,
            state=state,
            closed=None if state == "open" else week(number).end,
        )

    states = ["complete", "expired", "complete", "open", "complete"]
    periods = [period(number, state) for number, state in enumerate(states)]
    assert [item.right for item in bet_periods(periods)] == [0, 2]


WEEKS, ROWS = 3, 11
# Of a period: days after its end at which most labels arrive, and how much later each one does.
ARRIVALS = st.tuples(
    st.sampled_from([-3, 2, 12, 22]),
    st.lists(
        st.tuples(st.sampled_from(["yes", "no"]), st.sampled_from([0, 0, 0, 0, 0, 7, 30])),
        min_size=ROWS,
        max_size=ROWS,
    ),
)


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    stores = Stores(tmp_path_factory.mktemp("looks"))
    drawn = [week_of(stores, number, rows=ROWS, answers=ROWS) for number in range(WEEKS)]
    return stores, drawn


# An example takes half a second, so a failing one is not made smaller.
@settings(max_examples=12, deadline=None, phases=[Phase.reuse, Phase.generate])
@given(arrivals=st.lists(ARRIVALS, min_size=WEEKS, max_size=WEEKS))
def test_a_later_look_only_appends_to_what_was_bet_on(audited, arrivals) -> None:
    stores, drawn = audited
    rows = [
        {"key": key, "label": label, "time": week(number).end + (most + more) * DAY}
        for number, (most, labels) in enumerate(arrivals)
        for key, (label, more) in zip(drawn[number], labels, strict=True)
    ]
    labels = pa.Table.from_pylist(rows, LABEL_SCHEMA)
    write_table(stores.folder("labels") / "labels.parquet", labels)
    looks = [
        list(bet_periods(stores.join(WEEKS - 1, now=week(0).end + day * DAY).periods))
        for day in (16, 24, 31, 60)
    ]
    for before, after in pairwise(looks):
        assert after[: len(before)] == before
