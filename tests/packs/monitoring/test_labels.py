import datetime as dt

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.errors import InputError
from sashiko_packs.monitoring.labels import LABEL_SCHEMA
from tests.packs.monitoring.label_stores import Stores
from tests.unit.contract.documents import (
    column_of,
    contract_of,
    custom,
    document,
    grouped,
    table_of,
    two_facets,
)

NOW = dt.datetime(2026, 3, 10, 9, 30, 5, 250, tzinfo=dt.UTC)
RECEIVED = NOW.replace(microsecond=0)
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def stores(tmp_path):
    return Stores(tmp_path / "monitor")


def stored(stores):
    table = pq.read_table(stores.folder("labels") / "labels.parquet")
    assert table.schema == LABEL_SCHEMA
    return [tuple(row.values())[:3] for row in table.to_pylist()]


def facets(stores):
    rows = pq.read_table(stores.folder("facets") / "facets.parquet").to_pylist()
    return {row.pop("key"): tuple(row.values()) for row in rows}


def test_no_store_is_empty_as_a_folder_and_none_can_be_read_by_others(stores) -> None:
    for name in ("ledger", "labels", "draws", "facets"):
        files = list(stores.folder(name).glob("*.parquet"))
        assert [pq.read_metadata(file).num_rows for file in files] == [0]
        assert stores.folder(name).stat().st_mode & 0o777 == 0o700


def test_a_store_that_exists_is_left_as_it_is(stores) -> None:
    stores.label(["a"], "yes", now=NOW)
    stores.use(document())
    assert stored(stores) == [("a", "yes", RECEIVED)]


def test_labels_are_kept_with_the_time_at_which_they_came(stores) -> None:
    added = stores.add(stores.file("loan_id,late\nb,yes\na,no\n"), now=NOW)
    assert (added.rows, added.added, added.facets) == (2, 2, None)
    assert stored(stores) == [("a", "no", RECEIVED), ("b", "yes", RECEIVED)]


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
        ("loan_id,late\na,yes\nb,maybe\n", "neither `yes` nor `no`: 'maybe' in row 2"),
        ("loan_id,late\na,yes\nb,yes\na,no\n", "rows 1 and 3 have the same `loan_id`"),
        ("loan_id,late\na,yes\n,no\n", "1 labels have no `loan_id`, the first in row 2"),
        ("loan_id;late\na;yes\n", "delimiter"),
    ],
    ids=["empty", "no rows", "no label", "no key", "value", "two labels", "keyless", "delimiter"],
)
def test_a_wrong_file_is_refused_by_name_and_nothing_is_stored(stores, text, message) -> None:
    with pytest.raises(InputError, match=r"labels\.csv") as caught:
        stores.add(stores.file(text), now=NOW)
    assert message in str(caught.value)
    assert stored(stores) == []


def test_a_key_that_is_a_rows_place_must_be_in_the_file(stores) -> None:
    edited = document()
    column_of(edited, "loan_id")["logicalType"] = "integer"
    rules = {"property": "ingest", "value": {"row_number": "loan_id"}}
    table_of(edited)["customProperties"].append(rules)
    stores.use(edited)
    with pytest.raises(InputError, match="column `loan_id` is missing"):
        stores.add(stores.file("late\nyes\nno\n"), now=NOW)
    assert stores.add(stores.file("loan_id,late\n17,yes\n"), now=NOW).added == 1
    assert stored(stores) == [("17", "yes", RECEIVED)]


def test_files_are_read_by_the_contracts_rules(stores) -> None:
    edited = document()
    column_of(edited, "late")["physicalName"] = "Too late?"
    rules = {"delimiter": ";", "encoding": "windows-1252", "trim": True, "null_values": ["", "?"]}
    table_of(edited)["customProperties"].append({"property": "ingest", "value": rules})
    stores.use(edited)
    path = stores.root / "labels.csv"
    path.write_bytes("loan_id;Too late?\nÄ1; yes\nb;?\n".encode("cp1252"))
    assert stores.add(path, now=NOW).unlabelled == 1
    assert stored(stores) == [("Ä1", "yes", RECEIVED)]


def test_parquet_is_read_too(stores) -> None:
    path = stores.root / "labels.parquet"
    pq.write_table(pa.table({"loan_id": ["a", "b"], "late": ["yes", None]}), path)
    assert stores.add(path, now=NOW).added == 1


def test_facets_go_to_their_own_store_and_the_last_ones_count(stores) -> None:
    text = "loan_id,late,age\na,yes,old\nb,,young\nc,no,\n"
    assert stores.add(stores.file(text), now=NOW).facets == 2
    assert facets(stores) == {"a": ("old",), "b": ("young",)}
    stores.add(stores.file("loan_id,late,age\nb,yes,old\nd,no,young\n"), now=NOW)
    assert facets(stores) == {"a": ("old",), "b": ("old",), "d": ("young",)}
    labels = (stores.folder("labels") / "labels.parquet").read_bytes()
    assert b"old" not in labels


def test_a_group_variable_is_stored_with_the_facets_if_it_is_given(tmp_path) -> None:
    stores = Stores(tmp_path / "grouped")
    stores.contract = contract_of(grouped(), stores.root)
    stores.add(stores.file("loan_id,late,age,branch\na,yes,old,north\n"), now=NOW)
    stores.add(stores.file("loan_id,late,age\nb,yes,old\n"), now=NOW)
    assert facets(stores) == {"a": ("old", "north"), "b": ("old", None)}
    assert stores.add(stores.file("loan_id,late,branch\nc,yes,north\n"), now=NOW).facets is None


def test_a_facet_that_joined_the_contract_later_is_unknown_of_older_rows(stores) -> None:
    stores.add(stores.file("loan_id,late,age\na,yes,old\n"), now=NOW)
    stores.contract = contract_of(two_facets(), stores.root)
    stores.add(stores.file("loan_id,late,age,sex\nb,yes,old,f\n"), now=NOW)
    assert facets(stores) == {"a": ("old", None), "b": ("old", "f")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("loan_id,late,age\na,yes,old\n", "facet `sex`"),
        ("loan_id,late,age,sex\na,yes,old,f\nb,no,ancient,m\n", "the first in row 2"),
        ("loan_id,late,age,sex\na,yes,old,f\na,yes,old,m\n", "different values of `sex`"),
    ],
    ids=["one of two", "value", "two groups"],
)
def test_wrong_facets_are_refused_without_their_values(stores, text, message) -> None:
    stores.contract = contract_of(two_facets(), stores.root)
    with pytest.raises(InputError, match=r"labels\.csv") as caught:
        stores.add(stores.file(text), now=NOW)
    assert message in str(caught.value)
    assert "ancient" not in str(caught.value)
    assert stored(stores) == []


def test_a_contract_without_facets_needs_none(stores) -> None:
    edited = document()
    custom(edited, "facets")["value"] = []
    stores.contract = contract_of(edited, stores.root)
    assert stores.add(stores.file("loan_id,late,age\na,yes,old\n"), now=NOW).facets is None


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
