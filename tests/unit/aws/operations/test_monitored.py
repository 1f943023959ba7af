"""Monitoring in an account, as a person uses it: outcomes, draws, labels; S3 is moto's."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from moto import mock_aws

from sashiko.aws.operations.monitored import MonitoredModel
from sashiko.aws.operations.runs.content_store import split_uri
from sashiko.aws.operations.runs.stage import stage_stores
from sashiko.aws.resources.account import Account
from sashiko.aws.resources.names import bucket_name
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.monitoring.draws import DRAW_SCHEMA
from sashiko.settings.environment import load_settings
from sashiko.settings.recipe import load_recipe
from tests.unit.contract.documents import ROWS
from tests.unit.monitoring.label_stores import DAY, Stores, week
from tests.unit.report.windows import windows

SETTINGS = load_settings("dev")
NOW = week(0).end + DAY


@dataclass(frozen=True)
class Bench:
    """An account's buckets, with the stores as `sashiko stage` makes them."""

    model: MonitoredModel
    contract: Contract
    local: Stores

    @property
    def s3(self) -> Any:
        return self.model.account.client("s3")

    def stage(self) -> list[str]:
        """Returns the files that were not there before."""
        places = stage_stores(
            SETTINGS, self.model.recipe, contract=self.contract, account=self.model.account
        )
        return [name for place in places for name in place.uploaded]

    def put(self, uri: str, content: bytes) -> None:
        bucket, key = split_uri(uri)
        self.s3.put_object(Bucket=bucket, Key=key, Body=content)

    def answer(self, *keys: str) -> None:
        """Puts answers of week 0 into the account's ledger, as JoinLabels does."""
        self.local.answer(keys)
        for file in self.local.folder("ledger").iterdir():
            self.put(f"{self.model.places.ledger}/{file.name}", file.read_bytes())

    def table(self, uri: str, folder: Path) -> list[dict[str, Any]]:
        bucket, key = split_uri(uri)
        self.s3.download_file(bucket, key, str(folder / "table.parquet"))
        rows: list[dict[str, Any]] = pq.read_table(folder / "table.parquet").to_pylist()
        return rows


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    recipe = load_recipe(Path("recipes/complaints.yaml"))
    with mock_aws():
        # moto's own account; the settings' one would be refused by `ExpectedBucketOwner`.
        settings = SETTINGS.model_copy(update={"account": "123456789012"})
        account = Account(settings)
        monkeypatch.setattr("tests.unit.aws.operations.test_monitored.SETTINGS", settings)
        for name in ("artifacts", "snapshots"):
            account.client("s3").create_bucket(Bucket=bucket_name(settings, name))
        local = Stores(tmp_path / "stores")
        yield Bench(MonitoredModel(account, settings, recipe), local.contract, local)


def test_staging_makes_stores_and_keeps_what_they_hold(bench: Bench, tmp_path: Path) -> None:
    assert sorted(bench.stage()) == [
        "deletions.parquet", "facets.parquet", "labels.parquet", "none.parquet",
    ]  # fmt: skip
    labels = tmp_path / "labels.csv"
    labels.write_text("loan_id,late\na,yes\n")
    bench.model.add_labels(labels, bench.contract, now=NOW)
    assert bench.stage() == []
    rows = bench.table(f"{bench.model.places.labels}/labels.parquet", tmp_path)
    assert [(row["key"], row["label"]) for row in rows] == [("a", "yes")]


def test_drawn_rows_are_kept_before_the_sheet_is_written(bench: Bench, tmp_path: Path) -> None:
    bench.stage()
    bench.answer("a", "b", "c")
    with bench.model.draw(7, window=week(0), rows=2) as draw:
        assert (draw.answers, draw.drawn) == (3, 2)
        rows = bench.table(f"{bench.model.places.draws}/{draw.path.name}", tmp_path)
        assert rows == pq.read_table(draw.path).to_pylist()
        assert pq.read_schema(draw.path) == DRAW_SCHEMA
    with bench.model.draw(7, window=week(0), rows=2) as again:
        assert pq.read_table(again.path).to_pylist() == rows


def test_of_two_who_draw_at_once_the_second_is_told(bench: Bench) -> None:
    bench.stage()
    bench.answer("a", "b", "c")
    with bench.model.draw(7, window=week(0), rows=2) as draw:
        name = draw.path.name
    download = MonitoredModel._download

    def before(model: MonitoredModel, uri: str, folder: Path) -> dict[str, str]:
        """As if the other one's draw came after this download."""
        etags = download(model, uri, folder)
        (folder / name).unlink(missing_ok=True)
        return {file: etag for file, etag in etags.items() if file != name}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MonitoredModel, "_download", before)
        with (
            pytest.raises(InputError, match="somebody else has just changed it"),
            bench.model.draw(7, window=week(0), rows=2),
        ):
            pass


def test_labels_that_another_person_adds_meanwhile_are_not_lost(
    bench: Bench, tmp_path: Path
) -> None:
    bench.stage()
    ours, others = tmp_path / "ours.csv", tmp_path / "others.csv"
    ours.write_text("loan_id,late\na,yes\n")
    others.write_text("loan_id,late\nb,no\n")
    put = MonitoredModel._put

    def after(model: MonitoredModel, uri: str, path: Path, condition: dict[str, str]) -> None:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(MonitoredModel, "_put", put)
            bench.model.add_labels(others, bench.contract, now=NOW)
        put(model, uri, path, condition)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MonitoredModel, "_put", after)
        with pytest.raises(InputError, match="somebody else has just changed it"):
            bench.model.add_labels(ours, bench.contract, now=NOW)
    assert bench.model.add_labels(ours, bench.contract, now=NOW).added == 1
    rows = bench.table(f"{bench.model.places.labels}/labels.parquet", tmp_path)
    assert [row["key"] for row in rows] == ["a", "b"]


def test_a_file_with_facets_is_refused_and_nothing_of_it_kept(bench: Bench, tmp_path: Path) -> None:
    bench.stage()
    file = tmp_path / "labels.csv"
    columns = ["loan_id", "late", *(facet.column for facet in bench.contract.facets)]
    row = {name: values[0] for name, values in ROWS.items()}
    file.write_text(f"{','.join(columns)}\n{','.join(str(row[name]) for name in columns)}\n")
    with pytest.raises(InputError, match="the bias evaluator's jobs alone write them"):
        bench.model.add_labels(file, bench.contract, now=NOW)
    assert bench.table(f"{bench.model.places.labels}/labels.parquet", tmp_path) == []


def test_outcomes_come_by_the_ends_of_their_windows(bench: Bench) -> None:
    results = windows(3)
    for number, result in enumerate(reversed(results)):
        uri = f"{bench.model.places.windows}/3/{number}/x/monitor.json"
        bench.put(uri, json.dumps(result.model_dump(mode="json")).encode())
    assert bench.model.results() == tuple(results)


def test_stores_that_were_not_staged_name_the_command(bench: Bench) -> None:
    with (
        pytest.raises(InputError, match="does not exist yet: sashiko stage --env dev --recipe"),
        bench.model.draw(7, window=week(0), rows=2),
    ):
        pass


def test_an_outcome_that_is_damaged_is_named(bench: Bench) -> None:
    uri = f"{bench.model.places.windows}/3/a/b/monitor.json"
    bench.put(uri, b'{"group": "x"}')
    with pytest.raises(InputError, match=r"a/b/monitor\.json"):
        bench.model.results()
