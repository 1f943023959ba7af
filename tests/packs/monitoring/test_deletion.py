"""Deleting keys: no store has them afterwards, and what is computed of the others is unchanged."""

import datetime as dt

import pyarrow.parquet as pq
import pytest

from sashiko.base.files import sha256_tree, walk_files
from sashiko.base.parquet import read_columns
from sashiko_packs.monitoring.audited import count_held_out, measure_quality
from sashiko_packs.monitoring.deletion import delete_rows
from sashiko_packs.monitoring.settings import MonitorSection
from tests.packs.monitoring.label_stores import DAY, Stores, keys_of, week
from tests.packs.monitoring.steps.monitor_job import make_reference
from tests.unit.contract.documents import ROWS

KEYS = [f"secret-{number}" for number in range(6)]
NOW = week(0).end + DAY


@pytest.fixture
def stores(tmp_path):
    """Six answers of a week, all of them drawn, labelled and with facets."""
    stores = Stores(tmp_path / "stores")
    stores.answer(KEYS)
    stores.draw(0, rows=6)
    facets = [facet.column for facet in stores.contract.facets]
    values = [str(ROWS[name][0]) for name in facets]
    lines = [",".join([key, "yes", *values]) for key in KEYS]
    header = ",".join(["loan_id", "late", *facets])
    stores.add(stores.file("\n".join([header, *lines, ""])), now=NOW)
    return stores


def _delete(stores, *keys, now=NOW):
    folders = {name: stores.folder(name) for name in ("ledger", "labels", "facets", "draws")}
    return delete_rows(keys, **folders, now=now, retention=DAY)


def test_no_file_has_the_key_and_the_others_are_judged_as_before(stores) -> None:
    before = stores.join(0, now=NOW)
    deleted = _delete(stores, KEYS[0], "nobody")
    assert (deleted.answers, deleted.labels, deleted.facets, deleted.draws) == (1, 1, 1, 1)
    kept = [path for name in ("ledger", "labels", "facets", "draws")
            for path in walk_files(stores.folder(name))]  # fmt: skip
    tables = [pq.read_table(path) for path in kept]
    columns = [table["key"].to_pylist() for table in tables if "key" in table.column_names]
    assert len(columns) > 4
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
    first = {name: sha256_tree(stores.folder(name)) for name in ("labels", "facets", "draws")}
    deleted = _delete(stores, KEYS[0], now=NOW + dt.timedelta(hours=1))
    assert not any(deleted.model_dump().values())
    assert first == {name: sha256_tree(stores.folder(name)) for name in first}


def test_a_window_that_is_read_again_brings_no_deleted_key_back(stores) -> None:
    _delete(stores, KEYS[0])
    stores.answer(KEYS)
    days = stores.folder("ledger").glob("????-??-??.parquet")
    answers = [key for day in days for key in read_columns(day, ["key"])["key"].to_pylist()]
    assert sorted(answers) == KEYS[1:]
