import csv
import datetime as dt

import pyarrow.parquet as pq
import pytest

from sashiko.errors import InputError
from sashiko_packs.monitoring.draws import DRAW_SCHEMA, draw_period
from sashiko_packs.monitoring.labels import write_sheet
from sashiko_packs.monitoring.window import Window
from tests.packs.monitoring.label_stores import DAY, START, Stores, keys_of, week
from tests.unit.contract.documents import column_of, document, table_of

NOW = START + 30 * DAY
KEYS = [f"C{number:03d}" for number in range(60)]
FORMULAS = ["=1+1", "+1", "-1", "@x", "\t=1", "'=1", "''-1", "＝1", "'plain", "plain"]


@pytest.fixture
def stores(tmp_path):
    return Stores(tmp_path / "monitor")


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


def test_drawing_again_changes_nothing_even_if_answers_came_late(stores) -> None:
    stores.answer(KEYS)
    draw = stores.draw(0)
    before = draw.path.read_bytes()
    stores.answer([f"late {key}" for key in KEYS])
    assert stores.draw(0) == draw
    assert draw.path.read_bytes() == before


def test_another_number_of_rows_of_the_same_period_is_refused(stores) -> None:
    stores.answer(KEYS)
    path = stores.draw(0).path
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"10 of the 60 answers of version 7 .* drawn already"):
        stores.draw(0, rows=20)
    assert path.read_bytes() == before


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


def test_a_damaged_draw_is_named(stores) -> None:
    stores.answer(KEYS)
    draw = stores.draw(0)
    draw.path.write_bytes(draw.path.read_bytes()[:-9])
    with pytest.raises(InputError, match=draw.path.name):
        stores.draw(1)


def test_the_sheet_has_keys_to_look_up_and_an_empty_label(stores) -> None:
    stores.answer(KEYS)
    draw = stores.draw(0, rows=30)
    sheet = stores.root / "sheet.csv"
    write_sheet(draw.path, sheet, contract=stores.contract)
    assert sheet.stat().st_mode & 0o777 == 0o600
    with sheet.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert rows == [{"loan_id": key, "probability": "0.5", "late": ""} for key in keys_of(draw)]


def test_a_sheet_that_may_have_labels_is_never_replaced(stores) -> None:
    stores.answer(KEYS)
    draw = stores.draw(0)
    sheet = stores.root / "sheet.csv"
    write_sheet(draw.path, sheet, contract=stores.contract)
    write_sheet(draw.path, sheet, contract=stores.contract)
    sheet.write_text("loan_id,late\nC001,yes\n")
    with pytest.raises(InputError, match="may have labels"):
        write_sheet(draw.path, sheet, contract=stores.contract)
    assert "C001,yes" in sheet.read_text()


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_key_like_a_formula_is_harmless_in_the_sheet_and_comes_back(stores, delimiter) -> None:
    edited = document()
    rules = {"property": "ingest", "value": {"delimiter": delimiter}}
    table_of(edited)["customProperties"].append(rules)
    stores.use(edited)
    keys = [*FORMULAS, "with, comma", "with; semicolon", 'with "quote"', "with\nline"]
    stores.answer(keys)
    sheet = stores.root / "sheet.csv"
    write_sheet(stores.draw(0, rows=100).path, sheet, contract=stores.contract)
    with sheet.open(encoding="utf-8", newline="") as handle:
        header, *rows = list(csv.reader(handle, delimiter=delimiter))
    assert not [key for key, *_ in rows if key[0] in "=+-@\t\r\n＝"]
    with sheet.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, delimiter=delimiter)
        writer.writerows([header, *([key, p, "yes"] for key, p, _ in rows)])
    assert stores.add(sheet, now=NOW).added == len(keys)
    labels = pq.read_table(stores.folder("labels") / "labels.parquet")["key"].to_pylist()
    assert labels == sorted(keys)


def test_a_negative_number_as_a_key_stays_a_number(stores) -> None:
    edited = document()
    column_of(edited, "loan_id")["logicalType"] = "integer"
    stores.use(edited)
    stores.answer(["-5"])
    sheet = stores.root / "sheet.csv"
    write_sheet(stores.draw(0).path, sheet, contract=stores.contract)
    assert sheet.read_text().splitlines()[1] == "-5,1.0,"


def test_a_key_that_the_contracts_encoding_lacks_is_an_error(stores) -> None:
    edited = document()
    rules = {"property": "ingest", "value": {"encoding": "windows-1252"}}
    table_of(edited)["customProperties"].append(rules)
    stores.use(edited)
    stores.answer(["ключ"])
    sheet = stores.root / "sheet.csv"
    with pytest.raises(InputError, match="encoding: windows-1252"):
        write_sheet(stores.draw(0).path, sheet, contract=stores.contract)
    assert not sheet.exists()


def test_times_of_other_zones_are_the_same_period(stores) -> None:
    stores.answer(KEYS)
    zone = dt.timezone(5 * dt.timedelta(hours=1))
    window = Window(week(0).start.astimezone(zone), week(0).end.astimezone(zone))
    draw = stores.draw(0)
    again = draw_period(
        stores.folder("draws"), stores.folder("ledger"), version=7, window=window, rows=10
    )
    assert again == draw


def test_equal_answers_are_drawn_from_equally_in_any_order(stores, tmp_path) -> None:
    other = Stores(tmp_path / "other")
    stores.answer(KEYS)
    other.answer(KEYS[::-1])
    one, two = stores.draw(0), other.draw(0)
    assert one.path.name == two.path.name
    assert one.path.read_bytes() == two.path.read_bytes()
