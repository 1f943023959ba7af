import datetime as dt

import pyarrow.parquet as pq
import pytest

from sashiko.base.files import sha256_tree, walk_files
from sashiko.base.parquet import write_table
from sashiko.base.scratch import scratch_database
from sashiko.errors import InputError
from sashiko_packs.monitoring import ledger
from sashiko_packs.monitoring.audited import count_held_out, measure_quality
from sashiko_packs.monitoring.capture.reading import read_captures
from sashiko_packs.monitoring.deletion import delete_rows
from sashiko_packs.monitoring.ledger import LEDGER_SCHEMA, add_rows, create_ledger_view, delete_keys
from sashiko_packs.monitoring.settings import MonitorSection
from sashiko_packs.monitoring.window import Window
from tests.packs.monitoring.captures import NOON, answer, one, record, request, write
from tests.packs.monitoring.label_stores import DAY, Stores, keys_of, week
from tests.packs.monitoring.steps.window_job import make_reference

KEYS = [f"secret-{number}" for number in range(6)]
NOW = week(0).end + DAY


@pytest.fixture
def stores(tmp_path):
    """Six answers of a week, all of them drawn and labelled."""
    stores = Stores(tmp_path / "stores")
    stores.answer(KEYS)
    stores.draw(0, rows=6)
    stores.label(KEYS, "yes", now=NOW)
    return stores


def _delete(stores, *keys, now=NOW):
    folders = {name: stores.folder(name) for name in ("ledger", "labels", "draws")}
    return delete_rows(keys, **folders, now=now, retention=DAY)


def test_no_file_has_the_key_and_the_others_are_judged_as_before(stores) -> None:
    before = stores.join(0, now=NOW)
    deleted = _delete(stores, KEYS[0], "nobody")
    assert (deleted.answers, deleted.labels, deleted.draws) == (1, 1, 1)
    kept = [path for name in ("ledger", "labels", "draws")
            for path in walk_files(stores.folder(name))]  # fmt: skip
    tables = [pq.read_table(path) for path in kept]
    columns = [table["key"].to_pylist() for table in tables if "key" in table.column_names]
    assert len(columns) > 3
    assert not [column for column in columns if KEYS[0] in column]
    assert KEYS[0].encode() not in b"".join(path.read_bytes() for path in kept)
    after = stores.join(0, now=NOW)
    assert after.periods == before.periods
    assert (after.periods[0].drawn, after.periods[0].right) == (6, 6)
    assert after.unknown == 0
    # Of the deleted row whether it was right, and nothing by which it could be told.
    (draw,) = stores.folder("draws").glob("2*.parquet")
    (row,) = [row for row in pq.read_table(draw).to_pylist() if row["key"] is None]
    others = {name: value for name, value in row.items() if name not in ("decision", "label")}
    assert (row["decision"], row["label"]) == ("yes", "yes")
    assert others == {
        "key": None, "probability": 1.0, "version": 7, "start": week(0).start,
        "end": week(0).end, "answers": 6,
    }  # fmt: skip


def test_one_deleted_row_of_a_hundred_leaves_the_verdict_as_it_was(tmp_path) -> None:
    stores = Stores(tmp_path / "stores")
    keys = [f"k{number:03d}" for number in range(100)]
    stores.answer(keys)
    stores.draw(0, rows=100)
    stores.label(keys[:80], "yes", now=NOW)
    stores.label(keys[80:], "no", now=NOW)
    held_out = count_held_out(make_reference())
    before = measure_quality(stores.join(0, now=NOW), held_out=held_out, settings=MonitorSection())
    _delete(stores, keys[0])
    after = measure_quality(stores.join(0, now=NOW), held_out=held_out, settings=MonitorSection())
    assert before.check.outcome == "ok"
    assert after.checks == before.checks
    assert after.since_deploy == before.since_deploy


def test_a_deleted_row_without_a_label_is_in_no_period_any_more(stores) -> None:
    stores.answer(["late"], number=1)
    stores.draw(1)
    _delete(stores, "late", now=week(1).end)
    assert [period.end for period in stores.join(1, now=week(1).end).periods] == [week(0).end]


def test_a_draw_of_before_is_rewritten_and_joined(stores) -> None:
    (draw,) = stores.folder("draws").glob("2*.parquet")
    table = pq.read_table(draw)
    pq.write_table(table.drop_columns(["decision", "label"]), draw)
    before = stores.join(0, now=NOW)
    _delete(stores, KEYS[0])
    assert stores.join(0, now=NOW).periods == before.periods


def test_a_draw_of_deleted_rows_alone_still_covers_its_period(stores) -> None:
    _delete(stores, *KEYS)
    again = stores.draw(0, rows=6)
    assert keys_of(again) == [None] * 6
    stores.answer(["later"], number=1)
    assert stores.draw(1, rows=6).period.start == week(0).end


def test_a_second_time_nothing_is_left_to_delete(stores) -> None:
    _delete(stores, KEYS[0])
    first = {name: sha256_tree(stores.folder(name)) for name in ("labels", "draws")}
    deleted = _delete(stores, KEYS[0], now=NOW + dt.timedelta(hours=1))
    assert not any(deleted.model_dump().values())
    assert first == {name: sha256_tree(stores.folder(name)) for name in first}


WEEK = Window(NOON - 3 * DAY, NOON + 4 * DAY)


@pytest.fixture
def capture(tmp_path):
    """`capture(*records, version=)` writes them as a version's capture, and returns their rows."""
    folder, out = tmp_path / "capture", tmp_path / "rows.parquet"
    options = {"columns": ("product", "complaint_text"), "has_texts": True}

    def captured(*records, version=7):
        for item in records:
            time = dt.datetime.fromisoformat(item["eventMetadata"]["inferenceTime"])
            name = f"00-{len(list(folder.rglob('*.jsonl'))):02}-000-a.jsonl"
            write(folder, [item], version=version, hour=time.replace(minute=0), file=name)
        read_captures(folder, out, window=WEEK, now=WEEK.end, **options)
        return out

    return captured


def content(folder):
    """What a reader of the ledger sees: (key, version) -> score."""
    with scratch_database("read") as connection:
        create_ledger_view(connection, folder)
        rows = connection.sql("SELECT key, version, score FROM ledger ORDER BY ALL").fetchall()
    return {(key, version): score for key, version, score in rows}


def test_a_day_holds_answers_and_nothing_of_the_requests(tmp_path, capture) -> None:
    rows = capture(one("b", score=0.25), one("a"), one("c", time=NOON + DAY))
    ledger = tmp_path / "ledger"
    assert add_rows(ledger, rows) == 3
    assert [path.name for path in sorted(ledger.iterdir())] == [
        "2026-03-09.parquet", "2026-03-10.parquet",
    ]  # fmt: skip
    table = pq.read_table(ledger / "2026-03-09.parquet")
    assert table.schema == LEDGER_SCHEMA
    assert table.to_pylist() == [
        {"key": "a", "version": 7, "score": 0.75, "decision": "yes", "time": NOON, "cluster": 1},
        {"key": "b", "version": 7, "score": 0.25, "decision": "no", "time": NOON, "cluster": 0},
    ]
    assert ledger.stat().st_mode & 0o777 == 0o700


def test_a_ledger_of_before_clusters_is_read_written_and_deleted_from(tmp_path, capture) -> None:
    ledger = tmp_path / "ledger"
    add_rows(ledger, capture(one("a"), one("b")))
    day = ledger / "2026-03-09.parquet"
    write_table(day, pq.read_table(day).drop_columns("cluster"))
    assert set(content(ledger)) == {("a", 7), ("b", 7)}
    assert delete_keys(ledger, ["b"], now=NOON, retention=DAY) == 1
    assert add_rows(ledger, capture(one("a"), one("c"))) == 1
    table = pq.read_table(day)
    assert table.schema == LEDGER_SCHEMA
    assert table["key"].to_pylist() == ["a", "c"]


def test_a_row_without_a_key_is_no_answer_to_anybody(tmp_path, capture) -> None:
    rows = capture(record("x", request(["a"]), answer([0.5])))
    assert add_rows(tmp_path / "ledger", rows) == 0
    assert content(tmp_path / "ledger") == {}


def test_a_window_that_is_read_again_changes_no_byte_and_late_rows_join(tmp_path, capture) -> None:
    ledger = tmp_path / "ledger"
    rows = capture(one("a"), one("b"))
    add_rows(ledger, rows)
    before = (ledger / "2026-03-09.parquet").read_bytes()
    assert add_rows(ledger, rows) == 0
    assert (ledger / "2026-03-09.parquet").read_bytes() == before
    assert add_rows(ledger, capture(one("late"))) == 1
    assert set(content(ledger)) == {("a", 7), ("b", 7), ("late", 7)}


def test_a_capture_that_is_gone_takes_nothing_away(tmp_path, capture) -> None:
    ledger = tmp_path / "ledger"
    add_rows(ledger, capture(one("a")))
    for path in (tmp_path / "capture").rglob("*.jsonl"):
        path.unlink()
    assert add_rows(ledger, capture(one("b"))) == 1
    assert set(content(ledger)) == {("a", 7), ("b", 7)}


def test_the_first_answer_of_each_version_counts_over_all_days(tmp_path, capture) -> None:
    ledger = tmp_path / "ledger"
    add_rows(ledger, capture(one("x", key="a", score=0.2, time=NOON + DAY)))
    add_rows(ledger, capture(one("y", key="a", score=0.1), version=6))
    for path in (tmp_path / "capture").rglob("*.jsonl"):
        path.unlink()
    add_rows(ledger, capture(one("z", key="a", score=0.3)))
    assert content(ledger) == {("a", 6): 0.1, ("a", 7): 0.3}


def test_a_deleted_key_is_gone_and_stays_so_while_the_capture_has_it(tmp_path, capture) -> None:
    ledger = tmp_path / "ledger"
    rows = capture(one("a"), one("b"), one("x", key="a", time=NOON + DAY), one("c"))
    add_rows(ledger, rows)
    options = {"now": NOON + 2 * DAY, "retention": 14 * DAY}
    assert delete_keys(ledger, ["a", "nobody"], **options) == 1
    assert add_rows(ledger, rows) == 0
    assert set(content(ledger)) == {("b", 7), ("c", 7)}
    kept = b"".join(path.read_bytes() for path in ledger.iterdir())
    assert b"nobody" not in kept
    assert delete_keys(ledger, ["a"], **options) == 0


def test_a_deletion_that_is_killed_half_way_stays_out_of_a_window_that_is_read_again(
    tmp_path, capture, monkeypatch
) -> None:
    """Killed after the first of two days: its rows must not come back before the next try."""
    folder = tmp_path / "ledger"
    rows = capture(one("a"), one("x", key="a", time=NOON + DAY), one("b", time=NOON + DAY))
    later = capture(one("y", key="a", time=NOON + DAY), version=6)
    add_rows(folder, rows)
    add_rows(folder, later)
    write, written = ledger._write, []

    def killed(connection, path):
        if written:
            raise KeyboardInterrupt
        written.append(path)
        write(connection, path)

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "_write", killed)
        with pytest.raises(KeyboardInterrupt):
            delete_keys(folder, ["a"], now=NOON + 2 * DAY, retention=14 * DAY)
    assert len(written) == 1
    assert add_rows(folder, rows) == 0
    delete_keys(folder, ["a"], now=NOON + 2 * DAY, retention=14 * DAY)
    assert {key for key, _ in content(folder)} == {"b"}


def test_a_damaged_day_is_named_and_left_as_it_is(tmp_path, capture) -> None:
    ledger = tmp_path / "ledger"
    add_rows(ledger, capture(one("a")))
    path = ledger / "2026-03-09.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    damaged = path.read_bytes()
    with pytest.raises(InputError, match=r"2026-03-09.parquet"):
        add_rows(ledger, capture(one("b")))
    assert path.read_bytes() == damaged
