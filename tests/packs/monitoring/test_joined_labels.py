import pyarrow.parquet as pq
import pytest

from sashiko.errors import InputError
from sashiko.evaluation.metrics.quality import Confusion
from sashiko_packs.monitoring.draws import draw_period
from sashiko_packs.monitoring.steps.join_labels import DECISION_SCHEMA, DECISIONS_FILE
from sashiko_packs.monitoring.window import Window
from tests.packs.monitoring.label_stores import DAY, LABEL_DAYS, Stores, keys_of, week

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


def test_labels_are_counted_by_decision(stores) -> None:
    """Four decided `yes` and six `no`; of each one is labelled the other way and one not at all."""
    stores.answer(["y1", "y2", "y3", "y4"])
    stores.answer(["n1", "n2", "n3", "n4", "n5", "n6"], decision="no")
    assert len(keys_of(stores.draw(0))) == 10
    stores.label(["y1", "y2", "n1"], "yes", now=week(0).end)
    stores.label(["y3", "n2", "n3", "n4", "n5"], "no", now=week(0).end)
    (period,) = stores.join(0, now=week(0).end + DAY).periods
    assert period.labelled == Confusion(
        true_positives=2, false_positives=1, false_negatives=1, true_negatives=4
    )
    assert (period.unlabelled_positive, period.unlabelled_negative) == (1, 1)


@pytest.mark.parametrize("labels", [0, 9, 10])
def test_a_period_is_closed_by_all_of_its_labels_or_at_its_deadline(stores, labels) -> None:
    """Nine in ten do not close it: the tenth may be the hard one."""
    drawn = week_of(stores, 0)
    if labels:
        stores.label(drawn[:labels], "yes", now=week(0).end)
    for now, state in ((DEADLINE - DAY, "open"), (DEADLINE, "overdue")):
        (period,) = stores.join(0, now=now).periods
        assert counts(period) == (labels, 0, "complete" if labels == 10 else state)
        assert (period.drawn, period.late) == (10, 0)
        closed = {"open": None, "overdue": DEADLINE, "complete": week(0).end}
        assert period.closed == closed[period.state]


def test_labels_of_other_rows_complete_no_period(stores) -> None:
    drawn = week_of(stores, 0)
    others = [f"w0-{row:02d}" for row in range(20) if f"w0-{row:02d}" not in drawn]
    stores.label(others, "yes", now=week(0).end)
    summary = stores.join(0, now=week(0).end + DAY)
    assert counts(summary.periods[0]) == (0, 0, "open")
    assert (summary.ordinary_right, summary.ordinary_wrong, summary.waiting) == (10, 0, 10)


def test_labels_that_come_after_the_deadline_count_and_are_named_as_late(stores) -> None:
    drawn = week_of(stores, 0)
    stores.label(drawn[:4], "yes", now=DEADLINE - DAY / 86_400)
    stores.label(drawn[4:], "no", now=DEADLINE + 14 * DAY)
    (before,) = stores.join(0, now=DEADLINE + DAY).periods
    assert (*counts(before), before.late) == (4, 0, "overdue", 0)
    (after,) = stores.join(0, now=DEADLINE + 14 * DAY).periods
    assert (*counts(after), after.late) == (4, 6, "complete", 6)
    assert after.closed == DEADLINE + 14 * DAY


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
    assert (summary.duplicated, summary.corrected, summary.unknown) == (3, 0, 1)


def test_a_corrected_label_counts_from_then_on_and_is_counted(stores) -> None:
    drawn = week_of(stores, 0)
    stores.label(drawn, "yes", now=week(0).end)
    stores.label(drawn[:2], "no", now=week(0).end + 2 * DAY, corrected_by="Ada")
    before, after = (stores.join(0, now=week(0).end + days * DAY) for days in (1, 2))
    assert (*counts(before.periods[0]), before.corrected) == (10, 0, "complete", 0)
    assert (*counts(after.periods[0]), after.corrected) == (8, 2, "complete", 2)
    assert after.duplicated == 0


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


def test_decisions_of_earlier_windows_follow_while_there_are_few(stores, monkeypatch) -> None:
    for number, keys in enumerate((["a", "b"], ["c"], ["d"])):
        stores.answer(keys, number=number)
    stores.join(2, now=week(2).end)
    table = pq.read_table(stores.root / DECISIONS_FILE).select(["key", "windows_ago"])
    assert table.to_pylist() == [
        {"key": key, "windows_ago": ago} for key, ago in (("a", 2), ("b", 2), ("c", 1), ("d", 0))
    ]
    monkeypatch.setattr("sashiko_packs.monitoring.steps.join_labels._MOST_EARLIER", 2)
    stores.join(2, now=week(2).end)
    assert pq.read_table(stores.root / DECISIONS_FILE)["key"].to_pylist() == ["c", "d"]


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
        ("a", True, time, None, 0),
        ("b", False, time, None, 0),
    ]


def test_without_answers_there_is_nothing_and_labels_are_of_nobody(stores) -> None:
    stores.label(["a", "b"], "yes", now=week(0).end)
    summary = stores.join(0, now=week(0).end)
    assert summary.periods == ()
    assert (summary.waiting, summary.unknown) == (0, 2)
    assert pq.read_metadata(stores.root / DECISIONS_FILE).num_rows == 0


def test_equal_stores_give_the_same_bytes(stores) -> None:
    drawn = week_of(stores, 0)
    stores.label(drawn, "no", now=week(0).end)
    files = []
    for _ in range(2):
        stores.join(0, now=week(0).end).write(stores.root)
        files.append(
            [(stores.root / name).read_bytes() for name in ("labels.json", DECISIONS_FILE)]
        )
    assert files[0] == files[1]


def test_a_store_that_was_not_staged_is_an_error(stores) -> None:
    (stores.folder("draws") / "none.parquet").unlink()
    with pytest.raises(InputError, match=r"none\.parquet does not exist"):
        stores.join(0, now=week(0).end)
