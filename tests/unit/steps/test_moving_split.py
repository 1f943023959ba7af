"""A time split that counts days back from the newest row, from the lake to Prepare's outputs."""

import datetime as dt
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from sashiko.base.files import write_json
from sashiko.contract.load import load_contract
from sashiko.data.lake import generate, seed_lake
from sashiko.data.splits import read_split_meta
from sashiko.errors import InputError
from sashiko.settings.recipe_data import DataSection
from sashiko.steps import prepare, snapshot
from tests.unit.contract.documents import column_of, custom, document, rows, save

Job = Callable[..., Path]
COMPLAINTS = Path(__file__).parents[2] / "samples" / "contracts" / "complaints.odcs.yaml"
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


def test_dates_stay_whatever_is_loaded(lend: Job) -> None:
    before, after = (lend(_times(days), split=DATES, name=f"{days}") for days in (60, 90))
    assert _dates(before) == _dates(after) == ("2025-01-20", "2025-02-10")
    assert _keys(before, "test") < _keys(after, "test")


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


@pytest.mark.parametrize(
    "later",
    [[40], [120, 150, 190], [27_000], list(range(27_000, 27_090, 4))],
    ids=["40 days", "three", "2099", "some of 2099"],
)
def test_rows_in_the_future_by_mistake_stop_the_split(lend, tmp_path, later) -> None:
    times = _times(60, a_day=20)
    times += [times[-1] + dt.timedelta(days=days) for days in later]
    message = rf"`lent_at`: from .* of {len(times):,} rows test: 1 a day .*correct the data"
    with pytest.raises(InputError, match=message):
        lend(times)
    assert not (tmp_path / "run" / "Prepare" / "processing" / "output").exists()


def test_dates_hold_however_few_rows_follow(lend: Job) -> None:
    times = _times(60, a_day=20)
    times += [times[-1] + dt.timedelta(days=day) for day in range(1, 31)]
    output = lend(times, split={**DATES, "test_from": dt.date(2025, 3, 2)})
    assert len(_keys(output, "test")) == 30


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


def test_the_weeks_of_a_shift_plan_move_the_split(job: Job, tmp_path: Path) -> None:
    contract = yaml.safe_load(COMPLAINTS.read_text(encoding="utf-8"))
    split = {"kind": "time", "column": "received_at", "validation_days": 60, "test_days": 91}
    custom(contract, "split")["value"] = split
    file = save(contract, tmp_path)
    plan = tmp_path / "quarter.yaml"
    plan.write_text("{weeks: 13, rows_per_week: 40, shifts: []}")
    tests = {}
    for name, weeks in (("before", None), ("after", plan)):
        raw = tmp_path / f"{name}.parquet"
        order: dict[str, Any] = {"rows": 1500, "seed": 11, "bias": True, "drift": False}
        generate(raw, generator="complaints", plan=weeks, **order)
        output = job(raw, file, name=name, template="{complaint_text}")
        tests[name] = _dates(output)[1]
    assert tests == {"before": "2026-04-01", "after": "2026-07-01"}
