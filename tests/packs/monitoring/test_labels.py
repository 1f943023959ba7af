import csv
import datetime as dt

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.errors import InputError
from sashiko.evaluation.metrics.quality import Confusion
from sashiko_packs.monitoring.labels import LABEL_SCHEMA, write_sheet
from sashiko_packs.monitoring.ledger import DRAW_SCHEMA, draw_period
from sashiko_packs.monitoring.steps.join_labels import DECISION_SCHEMA, DECISIONS_FILE
from sashiko_packs.monitoring.window import Window
from tests.packs.monitoring.label_stores import DAY, LABEL_DAYS, START, Stores, keys_of, week
from tests.unit.contract import documents

LATER = START + 30 * DAY
KEYS = [f"C{number:03d}" for number in range(60)]
FORMULAS = ["=1+1", "+1", "-1", "@x", "\t=1", "'=1", "''-1", "＝1", "'plain", "plain"]


@pytest.fixture
def stores(tmp_path):
    return Stores(tmp_path / "monitor")


def ingest(stores, edited=None, **rules) -> None:
    """Has the contract's files read and written by rules."""
    edited = edited or documents.document()
    properties = documents.table_of(edited)["customProperties"]
    properties.append({"property": "ingest", "value": rules})
    stores.use(edited)


def sheet_of(stores, draw):
    sheet = stores.root / "sheet.csv"
    write_sheet(draw.path, sheet, contract=stores.contract)
    return sheet


def test_drawn_rows_are_answers_of_the_period_and_carry_their_probability(stores) -> None:
    stores.answer(KEYS)
    stores.answer(["other week"], number=1)
    stores.answer(["other version"], version=6)
    draw = stores.draw(0, rows=15)
    assert (draw.drawn, draw.answers, draw.period) == (15, 60, week(0))
    table = pq.read_table(draw.path)
    assert table.schema == DRAW_SCHEMA
    assert keys_of(draw) == sorted(set(keys_of(draw)) & set(KEYS))
    rows = [tuple(row.values())[1:] for row in table.to_pylist()]
    assert set(rows) == {(0.25, 7, week(0).start, week(0).end, 60, None, None)}


def test_a_period_is_drawn_once_whatever_comes_late_or_is_damaged(stores) -> None:
    stores.answer(KEYS)
    draw = stores.draw(0)
    before = draw.path.read_bytes()
    stores.answer([f"late {key}" for key in KEYS])
    assert stores.draw(0) == draw
    assert draw.path.read_bytes() == before

    with pytest.raises(InputError, match=r"10 of the 60 answers of version 7 .* drawn already"):
        stores.draw(0, rows=20)
    assert draw.path.read_bytes() == before

    zone = dt.timezone(5 * dt.timedelta(hours=1))
    window = Window(week(0).start.astimezone(zone), week(0).end.astimezone(zone))
    again = draw_period(
        stores.folder("draws"), stores.folder("ledger"), version=7, window=window, rows=10
    )
    assert again == draw

    draw.path.write_bytes(draw.path.read_bytes()[:-9])
    with pytest.raises(InputError, match=draw.path.name):
        stores.draw(1)


def test_periods_follow_each_other_and_no_row_is_drawn_twice(stores) -> None:
    stores.answer(KEYS[:30])
    stores.answer(KEYS[30:], number=2)
    first, later = stores.draw(0, rows=30), stores.draw(2, rows=60)
    assert later.period == Window(week(0).end, week(2).end)
    assert sorted(keys_of(first) + keys_of(later)) == KEYS
    with pytest.raises(InputError, match="ends later"):
        stores.draw(1)


def test_a_key_that_is_answered_again_is_a_row_of_the_first_period_alone(stores) -> None:
    stores.answer(["a", "b"])
    stores.answer(["a", "c"], number=1)
    stores.draw(0)
    assert keys_of(stores.draw(1)) == ["c"]


def test_two_versions_of_one_period_have_their_own_draws(stores) -> None:
    stores.answer(["a", "b"])
    stores.answer(["a", "c"], version=8)
    one, other = stores.draw(0), stores.draw(0, version=8)
    assert keys_of(one) == ["a", "b"]
    assert keys_of(other) == ["a", "c"]


def test_the_end_is_not_part_of_a_period(stores) -> None:
    stores.answer(["a"], time=week(0).start)
    stores.answer(["b"], time=week(0).end)
    assert keys_of(stores.draw(0)) == ["a"]
    assert keys_of(stores.draw(1)) == ["b"]


def test_a_period_without_answers_says_what_to_do(stores) -> None:
    with pytest.raises(InputError, match=r"version 7 from 20260302T000000Z.*`sashiko monitor`"):
        stores.draw(0)
    assert [path.name for path in stores.folder("draws").iterdir()] == ["none.parquet"]
    with pytest.raises(InputError, match="at least 1"):
        draw_period(
            stores.folder("draws"), stores.folder("ledger"), version=7, window=week(0), rows=0
        )


def test_a_draw_at_a_wrong_time_is_refused_and_takes_nothing(stores) -> None:
    """Weeks after the last answer, where one period of all that is left would be drawn."""
    for number in (0, 1, 2):
        stores.answer([f"{number}-{row}" for row in range(20)], number=number)
    stores.draw(0)
    with pytest.raises(InputError, match=r"whose last answer is of .*; for an earlier window give"):
        stores.draw(20)
    assert stores.draw(1).answers == 20


def test_the_sheet_has_keys_to_look_up_and_is_never_replaced_once_it_may_have_labels(
    stores,
) -> None:
    stores.answer(KEYS)
    draw = stores.draw(0, rows=30)
    sheet = sheet_of(stores, draw)
    assert sheet.stat().st_mode & 0o777 == 0o600
    with sheet.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert rows == [{"loan_id": key, "probability": "0.5", "late": ""} for key in keys_of(draw)]

    sheet = sheet_of(stores, draw)
    sheet.write_text("loan_id,late\nC001,yes\n")
    with pytest.raises(InputError, match="may have labels"):
        sheet_of(stores, draw)
    assert "C001,yes" in sheet.read_text()


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_key_like_a_formula_is_harmless_in_the_sheet_and_comes_back(stores, delimiter) -> None:
    ingest(stores, delimiter=delimiter)
    keys = [*FORMULAS, "with, comma", "with; semicolon", 'with "quote"', "with\nline"]
    stores.answer(keys)
    sheet = sheet_of(stores, stores.draw(0, rows=100))
    with sheet.open(encoding="utf-8", newline="") as handle:
        header, *rows = list(csv.reader(handle, delimiter=delimiter))
    assert not [key for key, *_ in rows if key[0] in "=+-@\t\r\n＝"]
    with sheet.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, delimiter=delimiter)
        writer.writerows([header, *([key, p, "yes"] for key, p, _ in rows)])
    assert stores.add(sheet, now=LATER).added == len(keys)
    labels = pq.read_table(stores.folder("labels") / "labels.parquet")["key"].to_pylist()
    assert labels == sorted(keys)


def test_a_negative_number_as_a_key_stays_a_number(stores) -> None:
    edited = documents.document()
    documents.column_of(edited, "loan_id")["logicalType"] = "integer"
    stores.use(edited)
    stores.answer(["-5"])
    assert sheet_of(stores, stores.draw(0)).read_text().splitlines()[1] == "-5,1.0,"


def test_a_key_that_the_contracts_encoding_lacks_is_an_error(stores) -> None:
    ingest(stores, encoding="windows-1252")
    stores.answer(["ключ"])
    draw = stores.draw(0)
    with pytest.raises(InputError, match="encoding: windows-1252"):
        sheet_of(stores, draw)
    assert not (stores.root / "sheet.csv").exists()


def test_equal_answers_are_drawn_from_equally_in_any_order(stores, tmp_path) -> None:
    other = Stores(tmp_path / "other")
    stores.answer(KEYS)
    other.answer(KEYS[::-1])
    one, two = stores.draw(0), other.draw(0)
    assert one.path.name == two.path.name
    assert one.path.read_bytes() == two.path.read_bytes()


NOW = dt.datetime(2026, 3, 10, 9, 30, 5, 250, tzinfo=dt.UTC)
RECEIVED = NOW.replace(microsecond=0)
HOUR = dt.timedelta(hours=1)


def stored(stores):
    table = pq.read_table(stores.folder("labels") / "labels.parquet")
    assert table.schema == LABEL_SCHEMA
    return [tuple(row.values())[:3] for row in table.to_pylist()]


def test_no_store_is_empty_as_a_folder_and_none_can_be_read_by_others(stores) -> None:
    for name in ("ledger", "labels", "draws"):
        files = list(stores.folder(name).glob("*.parquet"))
        assert [pq.read_metadata(file).num_rows for file in files] == [0]
        assert stores.folder(name).stat().st_mode & 0o777 == 0o700


def test_a_store_that_exists_is_left_as_it_is(stores) -> None:
    stores.label(["a"], "yes", now=NOW)
    stores.use(documents.document())
    assert stored(stores) == [("a", "yes", RECEIVED)]


def test_rows_without_a_label_are_not_labelled_yet(stores) -> None:
    sheet = "loan_id,probability,late\na,0.5,yes\nb,0.5,\nc,0.5,  \n,,\n"
    added = stores.add(stores.file(sheet), now=NOW)
    assert (added.rows, added.added, added.unlabelled) == (4, 1, 3)
    assert [key for key, *_ in stored(stores)] == ["a"]


def test_the_first_label_counts_and_a_later_one_is_kept_to_be_counted(stores) -> None:
    stores.label(["a", "b"], "yes", now=NOW)
    added = stores.label(["a", "c"], "no", now=NOW + HOUR)
    assert (added.added, added.known, added.duplicated) == (1, 0, 1)
    assert stored(stores)[:2] == [("a", "yes", RECEIVED), ("a", "no", RECEIVED + HOUR)]
    again = stores.label(["a", "c"], "no", now=NOW + 2 * HOUR)
    assert (again.added, again.known, again.duplicated) == (0, 1, 1)
    assert len(stored(stores)) == 4


def test_a_correction_counts_and_keeps_the_old_label_with_who_replaced_it_when(stores) -> None:
    stores.label(["a", "b"], "yes", now=NOW)
    before = stored(stores)
    added = stores.label(["a", "b", "c"], "no", now=NOW + HOUR, corrected_by="Ada")
    assert (added.added, added.corrected, added.duplicated) == (1, 2, 0)
    rows = pq.read_table(stores.folder("labels") / "labels.parquet").to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("a", "yes", RECEIVED, None, None),
        ("a", "no", RECEIVED + HOUR, "yes", "Ada"),
        ("b", "yes", RECEIVED, None, None),
        ("b", "no", RECEIVED + HOUR, "yes", "Ada"),
        ("c", "no", RECEIVED + HOUR, None, None),  # a first label corrects nothing
    ]
    assert set(before) <= set(stored(stores))
    # What counts now is known already, and the label that it replaced contradicts it.
    again = stores.label(["a"], "no", now=NOW + 2 * HOUR, corrected_by="Ada")
    assert (again.known, again.corrected) == (1, 0)
    assert stores.label(["a"], "yes", now=NOW + 2 * HOUR).duplicated == 1
    assert len(stored(stores)) == 5


def test_a_correction_can_be_corrected_back(stores) -> None:
    stores.label(["a"], "yes", now=NOW)
    for label in ("no", "yes"):
        assert stores.label(["a"], label, now=NOW, corrected_by="Ada").corrected == 1
    assert [label for _, label, _ in stored(stores)] == ["yes", "no", "yes"]
    assert stores.label(["a"], "yes", now=NOW).known == 1


def test_a_store_of_before_corrections_is_read_and_added_to(stores) -> None:
    rows = {"key": ["a"], "label": ["yes"], "time": [RECEIVED]}
    old = pa.schema([LABEL_SCHEMA.field(name) for name in rows])
    pq.write_table(pa.table(rows, old), stores.folder("labels") / "labels.parquet")
    added = stores.label(["a", "b"], "no", now=NOW + HOUR, corrected_by="Ada")
    assert (added.corrected, added.added) == (1, 1)
    assert [(key, label) for key, label, _ in stored(stores)] == [
        ("a", "yes"), ("a", "no"), ("b", "no")
    ]  # fmt: skip


@pytest.mark.parametrize("later", [dt.timedelta(), -HOUR])
def test_the_first_label_stays_the_first_whatever_the_clock_says(stores, later) -> None:
    stores.label(["a"], "yes", now=NOW)
    stores.label(["a"], "no", now=NOW + later)
    assert [label for _, label, _ in stored(stores)] == ["yes", "no"]


def test_the_same_file_twice_changes_no_byte(stores) -> None:
    path = stores.file("loan_id,late\nb,yes\na,no\na,no\n")
    stores.add(path, now=NOW)
    before = (stores.folder("labels") / "labels.parquet").read_bytes()
    again = stores.add(path, now=NOW + HOUR)
    assert (again.added, again.known, again.duplicated) == (0, 2, 0)
    assert (stores.folder("labels") / "labels.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("loan_id,late\n", "no rows"),
        ("loan_id,verdict\na,yes\n", "column `late` is missing"),
        ("loan,late\na,yes\n", "column `loan_id` is missing"),
        ("loan_id,late\na,yes\nb,maybe\n", "none of `no`, `yes`: 'maybe' in row 2"),
        ("loan_id,late\na,yes\nb,yes\na,no\n", "rows 1 and 3 have the same `loan_id`"),
        ("loan_id,late\na,yes\n,no\n", "1 labels have no `loan_id`, the first in row 2"),
        ("loan_id;late\na;yes\n", "delimiter"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_nothing_is_stored(stores, text, message) -> None:
    with pytest.raises(InputError, match=r"labels\.csv") as caught:
        stores.add(stores.file(text), now=NOW)
    assert message in str(caught.value)
    assert stored(stores) == []


def test_a_key_that_is_a_rows_place_must_be_in_the_file(stores) -> None:
    edited = documents.document()
    documents.column_of(edited, "loan_id")["logicalType"] = "integer"
    ingest(stores, edited, row_number="loan_id")
    with pytest.raises(InputError, match="column `loan_id` is missing"):
        stores.add(stores.file("late\nyes\nno\n"), now=NOW)
    assert stores.add(stores.file("loan_id,late\n17,yes\n"), now=NOW).added == 1
    assert stored(stores) == [("17", "yes", RECEIVED)]


def test_files_are_read_by_the_contracts_rules(stores) -> None:
    edited = documents.document()
    documents.column_of(edited, "late")["physicalName"] = "Too late?"
    rules = {"delimiter": ";", "encoding": "windows-1252", "trim": True, "null_values": ["", "?"]}
    ingest(stores, edited, **rules)
    path = stores.root / "labels.csv"
    path.write_bytes("loan_id;Too late?\nÄ1; yes\nb;?\n".encode("cp1252"))
    assert stores.add(path, now=NOW).unlabelled == 1
    assert stored(stores) == [("Ä1", "yes", RECEIVED)]


def test_parquet_is_read_too(stores) -> None:
    path = stores.root / "labels.parquet"
    pq.write_table(pa.table({"loan_id": ["a", "b"], "late": ["yes", None]}), path)
    assert stores.add(path, now=NOW).added == 1


def test_a_missing_or_damaged_store_is_named_and_left_as_it_is(stores) -> None:
    path = stores.folder("labels") / "labels.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    damaged = path.read_bytes()
    with pytest.raises(InputError, match=r"labels/labels\.parquet is not a whole Parquet file"):
        stores.label(["a"], "yes", now=NOW)
    assert path.read_bytes() == damaged
    path.unlink()
    with pytest.raises(InputError, match=r"labels/labels\.parquet does not exist"):
        stores.label(["a"], "yes", now=NOW)


DEADLINE = week(0).end + LABEL_DAYS * DAY


def week_of(stores, number, *, rows=10, answers=20):
    stores.answer([f"w{number}-{row:02d}" for row in range(answers)], number=number)
    return keys_of(stores.draw(number, rows=rows))


def counts(period):
    return period.right, period.wrong, period.state


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
    assert (period.start, period.end) == (week(0).start, week(0).end)
    assert (period.answers, period.drawn) == (10, 10)


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
    assert (summary.known, summary.waiting) == (10, 10)


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
    assert summary.waiting == 0


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
    (one, before), (other, after) = (
        (stores.join(0, now=week(0).end), (stores.root / DECISIONS_FILE).read_bytes())
        for _ in range(2)
    )
    assert (one, before) == (other, after)


def test_a_store_that_was_not_staged_is_an_error(stores) -> None:
    (stores.folder("draws") / "none.parquet").unlink()
    with pytest.raises(InputError, match=r"none\.parquet does not exist"):
        stores.join(0, now=week(0).end)
