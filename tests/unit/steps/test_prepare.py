import datetime as dt
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.base.files import sha256_file, sha256_tree, write_json
from sashiko.contract.manifest import Snapshots, read_snapshots, write_snapshots
from sashiko.data.splits import SPLITS
from sashiko.errors import InputError
from sashiko.serving.container.text import normalise
from sashiko.steps import prepare
from tests.unit.contract.documents import custom, document, save

Run = Callable[..., Path]
_DAYS = [dt.datetime(2025, 1, 1, 12, tzinfo=dt.UTC) + dt.timedelta(days=i) for i in range(30)]
_BY_TIME = {
    "kind": "time",
    "column": "lent_at",
    "validation_from": dt.date(2025, 1, 11),
    "test_from": dt.date(2025, 1, 21),
}


def _rows(count: int = 300, **changes: list[Any]) -> pa.Table:
    columns: dict[str, Any] = {
        "loan_id": [f"k{i:03}" for i in range(count)],
        "lent_at": pa.array([_DAYS[i % 30] for i in range(count)], pa.timestamp("us", tz="UTC")),
        "pages": list(range(count)),
        "price": [i / 4 for i in range(count)],
        "title": [f"Book {i}" for i in range(count)],
        "late": ["yes" if i % 3 else "no" for i in range(count)],
    }
    return pa.table(columns | changes)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the step on rows, a split, a template and a limit; returns the folder of its outputs."""

    def step(
        rows: pa.Table,
        *,
        split: dict[str, Any] | None = None,
        template: str = "{title}",
        train_rows: int | None = None,
    ) -> Path:
        monkeypatch.setenv("OPT_ML", str(tmp_path))
        monkeypatch.setattr(sys, "argv", ["prepare"])
        contract = document()
        if split:
            custom(contract, "split")["value"] = split
        config = tmp_path / "processing" / "input" / "config"
        config.mkdir(parents=True, exist_ok=True)
        save(contract, config)
        source = {"kind": "file", "path": "rows.csv"}
        write_json(config / "data.json", {"sources": [source], "train_rows": train_rows})
        write_json(config / "text.json", {"template": template})
        data = tmp_path / "processing" / "input" / "data"
        data.mkdir(exist_ok=True)
        pq.write_table(rows, data / "data.parquet")
        prepare.main()
        return tmp_path / "processing" / "output"

    return step


def _read(output: Path, split: str) -> pa.Table:
    return pq.read_table(output / split / "data.parquet")


def test_it_says_which_snapshot_it_split(run: Run, tmp_path: Path) -> None:
    output = run(_rows())
    data = tmp_path / "processing" / "input" / "data" / "data.parquet"
    assert read_snapshots(output / "meta") == Snapshots(training=sha256_file(data))


def test_rows_that_a_step_before_changed_are_of_the_snapshot_that_it_names(run, tmp_path) -> None:
    named = Snapshots(training="5" * 64)
    write_snapshots(named, tmp_path / "processing" / "input" / "data")
    assert read_snapshots(run(_rows()) / "meta") == named


def test_a_text_hash_split_keeps_equal_texts_together_and_its_shares(run: Run) -> None:
    titles = [f"Book {i // 2}" if i % 2 else f" book  {i // 2}" for i in range(2000)]
    output = run(_rows(2000, title=titles))
    texts = {name: _read(output, name)["text"].to_pylist() for name in SPLITS}
    normalised = [{normalise(text) for text in texts[name]} for name in SPLITS]
    assert sum(map(len, normalised)) == len(set.union(*normalised)) == 1000
    assert sum(map(len, texts.values())) == 2000
    assert len(texts["validation"]) == pytest.approx(400, abs=80)  # 20 %
    assert len(texts["test"]) == pytest.approx(600, abs=90)  # 30 %


def test_a_text_stays_in_its_split_whatever_its_key_is(run: Run) -> None:
    before = set(_read(run(_rows()), "test")["text"].to_pylist())
    renamed = [f"z{i}" for i in range(300)]
    assert set(_read(run(_rows(loan_id=renamed)), "test")["text"].to_pylist()) == before


def test_another_salt_draws_another_test_split(run: Run) -> None:
    split = {"kind": "text_hash", "validation_share": 0.2, "test_share": 0.3}
    first, again, other = (
        set(_read(run(_rows(), split=split | {"salt": salt}), "test")["text"].to_pylist())
        for salt in ("a", "a", "b")
    )
    assert first == again
    assert len(first & other) < 0.6 * len(first)  # by chance 0.3


def test_a_time_split_cuts_at_midnight_utc(run: Run) -> None:
    moments = [dt.datetime(2025, 1, 10, 23, 59, 59), dt.datetime(2025, 1, 11)]
    moments += [dt.datetime(2025, 1, 20, 23, 59, 59), dt.datetime(2025, 1, 21)]
    rows = _rows(80, lent_at=[m.replace(tzinfo=dt.UTC) for m in moments for _ in range(20)])
    output = run(rows.set_column(5, "late", [["yes", "no"] * 40]), split=_BY_TIME)
    keys = [_read(output, name)["key"].to_pylist() for name in SPLITS]
    expected = [f"k{number:03}" for number in range(80)]
    assert keys == [expected[:20], expected[20:60], expected[60:]]


def test_a_time_split_removes_known_texts_from_the_later_split_and_counts_them(run: Run) -> None:
    titles = [f"Book {i}" for i in range(300)]
    titles[15] = "BOOK 0"  # validation, known from train
    titles[25] = titles[26] = "book  0"  # test, twice, known from train
    titles[27] = "Book 14"  # test, known from validation
    output = run(_rows(title=titles), split=_BY_TIME)
    assert [_read(output, name).num_rows for name in SPLITS] == [100, 99, 97]
    meta = json.loads((output / "meta" / "split.json").read_text())
    assert meta["removed_repeats"] == {"validation": 1, "test": 3}
    assert "Book 0" in _read(output, "train")["text"].to_pylist()


def test_rows_are_ordered_by_key_and_the_contract_says_which_label_is_one(run: Run) -> None:
    output = run(_rows().take(pa.array(range(299, -1, -1))))
    for name in SPLITS:
        table = _read(output, name)
        assert [str(field.type) for field in table.schema] == ["string", "string", "int64"]
        keys = table["key"].to_pylist()
        assert keys == sorted(keys)
        assert table["label"].to_pylist() == [int(int(key[1:]) % 3 > 0) for key in keys]
    assert json.loads((output / "meta" / "split.json").read_text())["labels"] == ["no", "yes"]


def test_meta_tells_rows_rates_and_contradictions(run: Run) -> None:
    titles = [f"Book {i}" for i in range(300)]
    titles[3] = titles[1] = "Book 0"  # train: labels no, yes, no
    output = run(_rows(title=titles), split=_BY_TIME)
    train = json.loads((output / "meta" / "split.json").read_text())["splits"]["train"]
    labels = _read(output, "train")["label"].to_pylist()
    assert train == {
        "rows": 100,
        "positive_rate": sum(labels) / 100,
        "repeated_rows": 2,
        "contradicting_rows": 3,
    }


def test_train_rows_is_a_sample_that_does_not_depend_on_the_order(run: Run) -> None:
    full = _rows()
    few = _read(run(full, split=_BY_TIME, train_rows=30), "train")["key"].to_pylist()
    back = full.take(pa.array(range(299, -1, -1)))
    assert _read(run(back, split=_BY_TIME, train_rows=30), "train")["key"].to_pylist() == few
    more = _read(run(full, split=_BY_TIME, train_rows=60), "train")["key"].to_pylist()
    assert len(few) == 30
    assert set(few) < set(more)
    assert few != more[:30]
    assert _read(run(full, split=_BY_TIME, train_rows=30), "test").num_rows == 100


def test_the_same_rows_give_the_same_bytes_in_any_order(run: Run) -> None:
    def digest(rows: pa.Table) -> str:
        output = run(rows, split=_BY_TIME)
        (output / "meta" / "snapshots.json").unlink()  # names the file, in which they have an order
        return sha256_tree(output)

    assert digest(_rows().take(pa.array(range(299, -1, -1)))) == digest(_rows())


@pytest.mark.parametrize("column", ["reader", "age", "late", "loan_id", "nothing"])
def test_a_template_reads_text_columns_only(run: Run, column: str) -> None:
    with pytest.raises(InputError, match=rf"text\.template .*`{column}`.*textColumns are: title"):
        run(_rows(), template=f"{{title}} {{{column}}}")


@pytest.mark.parametrize("template", ["{title", "{title!r}", "no column"])
def test_a_malformed_template_is_named(run: Run, template: str) -> None:
    with pytest.raises(InputError, match=r"text\.template"):
        run(_rows(), template=template)


def test_an_unseen_label_is_named_with_its_count(run: Run) -> None:
    labels = ["yes", "no", "Yes", None] * 75
    with pytest.raises(InputError, match="`late` has 'Yes' in 75 rows, None in 75 rows"):
        run(_rows(late=labels))


@pytest.mark.parametrize("change", [["k000", *[f"k{i}" for i in range(299)]], [None] * 300])
def test_a_key_must_be_there_and_be_unique(run: Run, change: list[Any]) -> None:
    keys = pa.array(change if change[0] is None else [*change[:-1], "k000"], pa.string())
    with pytest.raises(InputError, match="key column `loan_id`"):
        run(_rows(loan_id=keys))


def test_an_empty_split_or_one_label_writes_nothing(run: Run, tmp_path: Path) -> None:
    late = {**_BY_TIME, "test_from": dt.date(2026, 1, 1)}
    with pytest.raises(InputError, match="the test split is empty"):
        run(_rows(), split=late)
    labels = ["yes" if i % 30 < 15 or i % 2 else "no" for i in range(300)]
    with pytest.raises(InputError, match="the train split has 150 rows, all with label 'yes'"):
        run(_rows(late=labels), split={**_BY_TIME, "validation_from": dt.date(2025, 1, 16)})
    assert not (tmp_path / "processing" / "output").exists()


@pytest.mark.parametrize(
    ("rows", "positives", "numbers"),
    [
        (49, 24, "49 rows are left to train on and to judge by, 24 with label 'yes' and 25"),
        (300, 4, "300 rows are left to train on and to judge by, 4 with label 'yes' and 296"),
        (300, 297, "297 with label 'yes' and 3 with 'no'"),
    ],
)
def test_too_few_rows_or_too_few_of_a_label_are_refused_with_the_numbers(
    run: Run, tmp_path: Path, rows: int, positives: int, numbers: str
) -> None:
    late = ["yes"] * positives + ["no"] * (rows - positives)
    with pytest.raises(InputError, match=numbers) as error:
        run(_rows(rows, late=late))
    assert "at least 50 rows, and 5 of each label, are needed" in str(error.value)
    assert not (tmp_path / "processing" / "output").exists()


def test_a_missing_column_or_a_null_time_is_named(run: Run) -> None:
    with pytest.raises(InputError, match=r"data\.parquet lacks column `title`"):
        run(_rows().drop_columns("title"))
    times = pa.array([None, *_DAYS * 9, *_DAYS[1:]], pa.timestamp("us", tz="UTC"))
    with pytest.raises(InputError, match="`lent_at` is null in 1 rows"):
        run(_rows(lent_at=times), split=_BY_TIME)


def test_a_truncated_snapshot_is_named(run: Run, tmp_path: Path) -> None:
    run(_rows())
    file = tmp_path / "processing" / "input" / "data" / "data.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"data\.parquet is not a whole Parquet file"):
        prepare.main()


def test_the_test_rows_columns_are_handed_on_and_none_of_them_is_sensitive(run: Run) -> None:
    rows = _rows().append_column("age", pa.array(["young", "old"] * 150))
    output = run(rows)
    slices = pq.read_table(output / "slices" / "data.parquet")
    assert slices["key"].to_pylist() == _read(output, "test")["key"].to_pylist()
    assert set(slices.column_names) == {"key", "lent_at", "pages", "price", "title"}
    numbers = [int(key[1:]) for key in slices["key"].to_pylist()]
    assert slices["pages"].to_pylist() == numbers
    assert slices["price"].to_pylist() == [number / 4 for number in numbers]
