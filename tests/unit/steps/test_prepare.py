import datetime as dt
import json
import statistics
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.base.files import sha256_file, sha256_tree, write_json
from sashiko.contract.load import load_contract
from sashiko.contract.manifest import Snapshots, read_snapshots, write_snapshots
from sashiko.data.lake import seed_lake
from sashiko.data.splits import SPLITS, read_split_meta
from sashiko.errors import InputError
from sashiko.serving.container.text import normalise
from sashiko.settings.recipe_data import DataSection, TextSection
from sashiko.steps import prepare, snapshot
from sashiko.steps.sections import read_contract, read_section
from tests.unit.contract.documents import column_of, custom, document, number, rows, save

Run = Callable[..., Path]
MODELS = {
    "encoder": {"name": "x", "sources": [{"kind": "file", "path": "x"}], "files": {"x": "0" * 64}},
    "linear": {"family": "linear"},
}
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
        edit: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> Path:
        monkeypatch.setenv("OPT_ML", str(tmp_path))
        monkeypatch.setattr(sys, "argv", ["prepare"])
        contract = document()
        edit(contract)
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
        output = tmp_path / "processing" / "output"
        labels = prepare.train_labels(  # as Weights finds them, which does not wait for this step
            data / "data.parquet", read_contract(),
            data=read_section(DataSection, "data"), text=read_section(TextSection, "text"),
        )  # fmt: skip
        assert labels.equals(_read(output, "train").select(labels.column_names))
        return output

    return step


def _number(contract: dict[str, Any]) -> None:
    contract.update(number(above=30))


def _read(output: Path, split: str) -> pa.Table:
    return pq.read_table(output / split / "data.parquet")


def test_it_says_which_snapshot_it_split(run: Run, tmp_path: Path) -> None:
    output = run(_rows())
    data = tmp_path / "processing" / "input" / "data" / "data.parquet"
    assert read_snapshots(output / "meta") == Snapshots(training=sha256_file(data))
    # Rows that a step before changed are of the snapshot that it names.
    named = Snapshots(training="5" * 64)
    write_snapshots(named, data.parent)
    assert read_snapshots(run(_rows()) / "meta") == named


def test_a_row_has_its_columns_as_the_contract_types_them(run: Run) -> None:
    def edit(contract: dict[str, Any]) -> None:
        custom(contract, "textColumns")["value"] = ["title", "pages", "price", "lent_at"]
        column_of(contract, "pages")["enum"] = [{"value": pages} for pages in range(300)]

    titles = ['A "quoted" {title}\n', "Größe", None] * 100
    rows = _rows(title=titles, price=[None if i % 5 == 0 else i / 2 for i in range(300)])
    template = "{title} {pages} {price} {lent_at}"
    output = run(rows, template=template, edit=edit)
    meta = read_split_meta(output / "meta")
    assert meta.kinds == {
        "title": "text", "pages": "category", "price": "number", "lent_at": "date"
    }  # fmt: skip
    assert tuple(meta.kinds) == meta.columns  # as the rows have them
    tables = [_read(output, name).select(["key", "row"]) for name in SPLITS]
    columns = pa.concat_tables(tables).to_pydict()
    written = list(zip(columns["key"], columns["row"], strict=True))
    assert len(written) == 300
    for key, row in written:
        i = int(key[1:])
        price = None if i % 5 == 0 else i // 2 if i % 2 == 0 else i / 2
        assert json.loads(row) == {
            "title": titles[i], "pages": i, "price": price, "lent_at": _DAYS[i % 30].isoformat()
        }  # fmt: skip
        assert ".0" not in row


def test_a_linear_model_gets_rows_in_the_splits_that_an_encoder_gets(
    run: Run, tmp_path: Path
) -> None:
    titles = [f"Book {i // 2}" if i % 2 else f" book  {i // 2}" for i in range(600)]
    tables = []
    for family in ("encoder", "linear"):
        write_json(tmp_path / "processing/input/config/model.json", MODELS[family])
        output = run(_rows(600, title=titles))
        tables.append({name: _read(output, name) for name in SPLITS})
    encoder, linear = tables
    for name in SPLITS:
        assert linear[name]["key"].to_pylist() == encoder[name]["key"].to_pylist()
        assert linear[name]["text"] == linear[name]["row"] == encoder[name]["row"]
        assert (
            encoder[name]["text"][0].as_py() == json.loads(linear[name]["text"][0].as_py())["title"]
        )


def test_a_number_is_kept_beside_its_outcome_and_summarised_on_the_train_rows(run: Run) -> None:
    prices = [30.0 if i % 3 == 0 else 1e6 + i / 7 if i % 3 == 1 else -i / 3 for i in range(300)]
    output = run(_rows(price=prices), edit=_number)
    values = {}
    for name in SPLITS:
        table = _read(output, name)
        assert table.schema.field("value").type == pa.float64()
        values[name] = dict(zip(table["key"].to_pylist(), table["value"].to_pylist(), strict=True))
        assert table["label"].to_pylist() == [int(value > 30) for value in values[name].values()]
    assert {key: v for part in values.values() for key, v in part.items()} == {
        f"k{i:03}": price for i, price in enumerate(prices)
    }
    meta = read_split_meta(output / "meta")
    assert meta.labels == ("at most 30", "above 30")
    assert meta.number is not None
    train = list(values["train"].values())
    assert meta.number.above == 30
    assert meta.number.mean == pytest.approx(statistics.fmean(train), rel=1e-15)
    assert meta.number.standard_deviation == pytest.approx(statistics.pstdev(train), rel=1e-15)
    assert (meta.number.least, meta.number.most) == (min(train), max(train))
    assert meta.splits["test"].positive_rate == statistics.fmean(
        value > 30 for value in values["test"].values()
    )


@pytest.mark.parametrize(("prices", "message"), [
    ([31.5] * 300, r"label column `price` is 31.5 in every row, so there is nothing to learn"),
    ([float("nan"), *range(299)], r"`price` is missing, .* in 1 rows, such as that of key 'k000'"),
    ([*range(299), None], r"`price` is missing, .* in 1 rows, such as that of key 'k299'"),
    ([*range(298), float("inf"), -float("inf")], r"infinite in 2 rows, such as .* 'k298'"),
    ([*range(299), 1e101], r"infinite in 1 rows, such as that of key 'k299'"),
    ([i / 10 for i in range(300)], r"0 with label 'above 30', .* or move the bound `favourable"),
    ([f"{i}" for i in range(300)], r"`price` is of type string, and .* says that it is a number"),
])  # fmt: skip
def test_numbers_that_cannot_be_learned_are_refused(
    prices: list[Any], message: str, run: Run
) -> None:
    with pytest.raises(InputError, match=message):
        run(_rows(price=prices), edit=_number)


def test_another_salt_draws_another_test_split_that_keeps_equal_texts_together(run: Run) -> None:
    titles = [f"Book {i // 2}" if i % 2 else f" book  {i // 2}" for i in range(2000)]
    output = run(_rows(2000, title=titles))
    texts = {name: _read(output, name)["text"].to_pylist() for name in SPLITS}
    normalised = [{normalise(text) for text in texts[name]} for name in SPLITS]
    assert sum(map(len, normalised)) == len(set.union(*normalised)) == 1000
    assert sum(map(len, texts.values())) == 2000
    assert len(texts["validation"]) == pytest.approx(400, abs=80)  # 20 %
    assert len(texts["test"]) == pytest.approx(600, abs=90)  # 30 %

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
        types = [str(field.type) for field in table.schema]
        assert types == ["string", "string", "int64", "string"]
        keys = table["key"].to_pylist()
        assert keys == sorted(keys)
        assert table["label"].to_pylist() == [int(int(key[1:]) % 3 > 0) for key in keys]
    meta = json.loads((output / "meta" / "split.json").read_text())
    assert meta["labels"] == ["no", "yes"]
    assert "number" not in meta


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
        "class_rows": [labels.count(0), labels.count(1)],
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


def test_unseen_labels_and_missing_columns_or_times_are_named(run: Run) -> None:
    labels = ["yes", "no", "Yes", None] * 75
    with pytest.raises(InputError, match="`late` has 'Yes' in 75 rows, None in 75 rows"):
        run(_rows(late=labels))
    late = [NAMES[i % 3] if i % 50 else "gone" for i in range(300)]
    with pytest.raises(InputError, match=r"`late` has 'gone' in 6 rows; .* labels are 'spät', 'l"):
        run(_rows(late=late), edit=_three)

    with pytest.raises(InputError, match=r"data\.parquet lacks column `title`"):
        run(_rows().drop_columns("title"))
    times = pa.array([None, *_DAYS * 9, *_DAYS[1:]], pa.timestamp("us", tz="UTC"))
    with pytest.raises(InputError, match="`lent_at` is null in 1 rows"):
        run(_rows(lent_at=times), split=_BY_TIME)


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
    with pytest.raises(InputError, match="the train split has 150 rows, none with label 'no'"):
        run(_rows(late=labels), split={**_BY_TIME, "validation_from": dt.date(2025, 1, 16)})
    assert not (tmp_path / "processing" / "output").exists()


@pytest.mark.parametrize(
    ("rows", "positives", "numbers"),
    [
        (49, 24, "49 rows are left to train on and to judge by, 24 with label 'yes', 25"),
        (300, 4, "300 rows are left to train on and to judge by, 4 with label 'yes', 296"),
        (300, 297, "by, 3 with label 'no', 297 with label 'yes'"),
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


NAMES = ('due, "soon"', "spät", "lost")


def _three(contract: dict[str, Any]) -> None:
    """Makes the label one of three classes, of which the first is favourable."""
    column_of(contract, "late")["enum"] = [{"value": name} for name in NAMES]
    value = {"column": "late", "kind": "classes", "favourable": [NAMES[0]]}
    custom(contract, "label")["value"] = value


def test_three_classes_are_numbered_with_the_favourable_one_last(run: Run) -> None:
    titles = [f"Book {i}" for i in range(300)]
    titles[30] = titles[60] = titles[31] = "Book 0"  # train: a text of two classes
    late = [NAMES[i % 3] for i in range(300)]
    output = run(_rows(late=late, title=titles), split=_BY_TIME, edit=_three)
    meta = read_split_meta(output / "meta")
    assert meta.labels == ("spät", "lost", 'due, "soon"')
    assert meta.first_favourable == 2
    for name in SPLITS:
        table, summary = _read(output, name), meta.splits[name]
        rows = [late[int(key[1:])] for key in table["key"].to_pylist()]
        assert [meta.labels[label] for label in table["label"].to_pylist()] == rows
        assert summary.class_rows == tuple(map(rows.count, meta.labels))
        assert summary.positive_rate == pytest.approx(rows.count(NAMES[0]) / len(rows))
    assert meta.splits["train"].contradicting_rows == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: "spät"}, r"rows are left .*, 1 with label 'lost', .*at least .* 5 of each label"),
        ({}, "the train split has 100 rows, none with label 'lost'"),
    ],
)
def test_a_class_of_one_row_or_one_that_only_test_has_is_refused_by_name(
    run: Run, change: dict[int, str], message: str
) -> None:
    late = [NAMES[i % 2] if i % 30 < 20 or i % 4 else "lost" for i in range(300)]
    if change:
        late = [change[0] if name == "lost" else name for name in late[:-1]] + ["lost"]
    with pytest.raises(InputError, match=message):
        run(_rows(late=late), split=_BY_TIME, edit=_three)


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


Job = Callable[..., Path]
DAYS = {"kind": "time", "column": "lent_at", "validation_days": 10, "test_days": 20}
DATES = {
    "kind": "time",
    "column": "lent_at",
    "validation_from": dt.date(2025, 1, 20),
    "test_from": dt.date(2025, 2, 10),
}
START = dt.datetime(2025, 1, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Loads a raw file into the lake, takes the training snapshot and splits it.

    Returns the folder of Prepare's outputs.
    """

    def steps(raw: Path, contract_file: Path, *, name: str = "run", template: str) -> Path:
        contract = load_contract(contract_file)
        data = DataSection.model_validate({"sources": [{"kind": "file", "path": str(raw)}]})
        recipe: Any = SimpleNamespace(data=data)
        table = seed_lake(recipe, contract, lake=tmp_path / "lake", cache=tmp_path / "cache")
        for step in ("Snapshot", "Prepare"):
            config = tmp_path / name / step / "processing" / "input" / "config"
            config.mkdir(parents=True)
            (config / "contract.odcs.yaml").write_bytes(contract_file.read_bytes())
            write_json(config / "data.json", data.model_dump(mode="json"))
            write_json(config / "text.json", {"template": template})
        monkeypatch.setenv("OPT_ML", str(tmp_path / name / "Snapshot"))
        arguments = ["--view", "training", "--lake-uri", table.uri, "--as-of", table.as_of]
        monkeypatch.setattr(sys, "argv", ["snapshot", *arguments])
        snapshot.main()
        written = tmp_path / name / "Snapshot" / "processing" / "output" / "data"
        written.rename(tmp_path / name / "Prepare" / "processing" / "input" / "data")
        monkeypatch.setenv("OPT_ML", str(tmp_path / name / "Prepare"))
        monkeypatch.setattr(sys, "argv", ["prepare"])
        prepare.main()
        return tmp_path / name / "Prepare" / "processing" / "output"

    return steps


@pytest.fixture
def lend(job: Job, tmp_path: Path) -> Job:
    """Splits loans at the given times; their titles all differ and their labels alternate."""

    def run(
        times: list[Any],
        *,
        split: Mapping[str, Any] = DAYS,
        kind: str = "timestamp",
        name: str = "run",
        reverse: bool = False,
    ) -> Path:
        contract = document()
        custom(contract, "split")["value"] = dict(split)
        column_of(contract, "lent_at")["logicalType"] = kind
        file = save(contract, tmp_path)
        count = len(times)
        table = rows(
            load_contract(file),
            loan_id=[f"k{i:04}" for i in range(count)],
            lent_at=times,
            pages=[1] * count,
            price=[1.0] * count,
            title=[f"Book {i}" for i in range(count)],
            reader=["r@x.org"] * count,
            age=["young"] * count,
            late=["yes" if i % 2 else "no" for i in range(count)],
        )
        raw = tmp_path / "raw.parquet"
        pq.write_table(table.take(pa.array(range(count - 1, -1, -1))) if reverse else table, raw)
        return job(raw, file, name=name, template="{title}")

    return run


def _times(days: int, *, a_day: int = 2) -> list[dt.datetime]:
    return [START + dt.timedelta(days=day) for day in range(days) for _ in range(a_day)]


def _dates(output: Path) -> tuple[str, str]:
    dates = read_split_meta(output / "meta").dates
    assert dates is not None
    return str(dates.validation_from), str(dates.test_from)


def _keys(output: Path, split: str) -> set[str]:
    return set(pq.read_table(output / split / "data.parquet")["key"].to_pylist())


def test_a_load_with_later_rows_trains_on_what_tested_before(lend: Job) -> None:
    before = lend(_times(60), name="before")  # to 2025-03-01
    assert _dates(before) == ("2025-01-31", "2025-02-10")
    assert len(_keys(before, "test")) == 2 * 20
    assert len(_keys(before, "validation")) == 2 * 10
    after = lend(_times(90), name="after")  # to 2025-03-31
    assert _dates(after) == ("2025-03-02", "2025-03-12")
    assert _keys(before, "test") < _keys(after, "train")
    assert len(_keys(after, "test")) == 2 * 20


@pytest.mark.parametrize(
    ("newest", "test_from"),
    [
        (dt.datetime(2025, 3, 1, 23, 59, 59), "2025-02-10"),
        (dt.datetime(2025, 3, 2), "2025-02-11"),
        # 01:30 there is the evening before in UTC.
        (dt.datetime(2025, 3, 2, 1, 30, tzinfo=dt.timezone(dt.timedelta(hours=2))), "2025-02-10"),
    ],
)
def test_days_begin_at_midnight_in_utc(lend, monkeypatch, newest, test_from) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    newest = newest if newest.tzinfo else newest.replace(tzinfo=dt.UTC)
    assert _dates(lend([*_times(59), newest]))[1] == test_from


def test_a_date_is_a_day_without_a_zone(lend: Job) -> None:
    days = [time.date() for time in _times(60)]
    assert _dates(lend(days, kind="date")) == ("2025-01-31", "2025-02-10")


@pytest.mark.parametrize("later", [[40], list(range(27_000, 27_090, 4))])
def test_rows_in_the_future_by_mistake_stop_the_split(lend, tmp_path, later) -> None:
    times = _times(60, a_day=20)
    times += [times[-1] + dt.timedelta(days=days) for days in later]
    message = rf"`lent_at`: .* of {len(times):,} rows, from .*: 1 on a day .*correct the data"
    with pytest.raises(InputError, match=message):
        lend(times)
    assert not (tmp_path / "run" / "Prepare" / "processing" / "output").exists()


def test_dates_hold_however_few_rows_follow(lend: Job) -> None:
    times = _times(60, a_day=20)
    times += [times[-1] + dt.timedelta(days=day) for day in range(1, 31)]
    output = lend(times, split={**DATES, "test_from": dt.date(2025, 3, 2)})
    assert len(_keys(output, "test")) == 30
    assert _dates(output) == ("2025-01-20", "2025-03-02")


def test_fewer_rows_of_late_are_not_taken_for_a_mistake(lend: Job) -> None:
    times = _times(60, a_day=20)
    times += [times[-1] + dt.timedelta(days=day) for day in range(1, 41) for _ in range(4)]
    assert len(_keys(lend(times), "test")) == 4 * 20


def test_a_split_with_one_label_names_the_dates_that_came_out(lend: Job) -> None:
    with pytest.raises(InputError, match=r"test split has 1 .*from 2025-02-28, test from 2025-03-"):
        lend(_times(60)[:-1], split={**DAYS, "validation_days": 1, "test_days": 1})


def test_a_year_that_no_date_has_is_named(lend: Job) -> None:
    with pytest.raises(InputError, match=r"column `lent_at`: the newest row's date, -7.*correct"):
        lend([dt.datetime(5, 1, 1, tzinfo=dt.UTC)] * 2, split={**DAYS, "test_days": 3000})
