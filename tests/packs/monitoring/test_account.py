"""An account's buckets in moto, with the stores of monitoring as `sashiko env stage` makes them."""

import datetime as dt
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from moto import mock_aws
from moto.sagemaker.models import sagemaker_backends

from sashiko.account.account import Account
from sashiko.account.content_store import split_uri
from sashiko.account.names import bucket_name
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.settings.environment import load_settings
from sashiko.settings.recipe import load_recipe
from sashiko_packs.monitoring.account import (
    Copy,
    MonitoredModel,
    MonitorFiles,
    stage_stores,
)
from sashiko_packs.monitoring.deletion import DELETED_BY, DeletedRows, delete_account_rows
from sashiko_packs.monitoring.labels import AddedLabels
from sashiko_packs.monitoring.ledger import DRAW_SCHEMA
from sashiko_packs.monitoring.places import monitor_pipeline_name
from tests.packs.monitoring.label_stores import DAY, Stores, week
from tests.packs.monitoring.report.windows import windows

NOW = week(0).end + DAY
_ACCOUNT = "123456789012"  # moto's own; another one is refused by `ExpectedBucketOwner`


@dataclass(frozen=True)
class Bench:
    """A recipe's monitoring in the account."""

    model: MonitoredModel
    contract: Contract
    local: Stores  # stores of this machine, whose ledger is put into the account
    folder: Path

    @property
    def s3(self) -> Any:
        return self.model.account.client("s3")

    @property
    def places(self) -> Any:
        return self.model.places

    def stage(self) -> list[str]:
        """Returns the files that were not there before."""
        places = stage_stores(
            self.model.settings, self.model.recipe, contract=self.contract,
            account=self.model.account,
        )  # fmt: skip
        return [name for place in places for name in place.uploaded]

    def put(self, uri: str, content: bytes) -> None:
        bucket, key = split_uri(uri)
        self.s3.put_object(Bucket=bucket, Key=key, Body=content)

    def answer(self, *keys: str) -> None:
        """Puts answers of week 0 into the account's ledger, as JoinLabels does."""
        self.local.answer(keys)
        for file in self.local.folder("ledger").iterdir():
            self.put(f"{self.places.ledger}/{file.name}", file.read_bytes())

    def label(self, *keys: str, label: str = "yes", by: str | None = None) -> AddedLabels:
        file = self.folder / "labels.csv"
        file.write_text("\n".join(["loan_id,late", *(f"{key},{label}" for key in keys), ""]))
        return self.model.add_labels(file, self.contract, now=NOW, corrected_by=by)

    def labels(self) -> list[dict[str, Any]]:
        return self.table(f"{self.places.labels}/labels.parquet")

    def draw(self, version: int = 7, rows: int = 2) -> str:
        with self.model.draw(version, window=week(0), rows=rows) as draw:
            return draw.path.name

    def table(self, uri: str) -> list[dict[str, Any]]:
        bucket, key = split_uri(uri)
        content = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(content)).to_pylist()
        return rows

    def keys(self, uri: str) -> set[str]:
        rows = [row for name in self.model.etags(uri) for row in self.table(f"{uri}/{name}")]
        return {row["key"] for row in rows if row.get("key") is not None}

    def create_pipeline(self) -> None:
        self.model.account.client("sagemaker").create_pipeline(
            PipelineName=self._pipeline, PipelineDefinition="{}", ClientRequestToken="x" * 32,
            RoleArn=f"arn:aws:iam::{_ACCOUNT}:role/pipeline",
        )  # fmt: skip

    def judge(self, status: str) -> str:
        """Starts a window whose execution has a status; returns its ARN."""
        started = self.model.account.client("sagemaker").start_pipeline_execution(
            PipelineName=self._pipeline, ClientRequestToken="x" * 32
        )
        arn = str(started["PipelineExecutionArn"])
        backend = sagemaker_backends[_ACCOUNT][self.model.settings.region]
        executions = backend.pipelines[self._pipeline].pipeline_executions
        executions[arn].pipeline_execution_status = status
        return arn

    @property
    def _pipeline(self) -> str:
        return monitor_pipeline_name(self.model.settings, self.model.recipe.name)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    settings = load_settings("dev").model_copy(update={"account": _ACCOUNT})
    recipe = load_recipe(Path("recipes/complaints.yaml"))
    with mock_aws():
        account = Account(settings)
        for name in ("artifacts", "snapshots"):
            account.client("s3").create_bucket(Bucket=bucket_name(settings, name))
        local = Stores(tmp_path / "stores")
        yield Bench(MonitoredModel(account, settings, recipe), local.contract, local, tmp_path)


def test_staging_makes_stores_and_keeps_what_they_hold(bench: Bench) -> None:
    assert sorted(bench.stage()) == [
        "deletions.parquet", "labels.parquet", "none.json", "none.parquet",
    ]  # fmt: skip
    bench.label("a")
    assert bench.stage() == []
    assert [(row["key"], row["label"]) for row in bench.labels()] == [("a", "yes")]


def test_drawn_rows_are_kept_before_the_sheet_is_written(bench: Bench) -> None:
    bench.stage()
    bench.answer("a", "b", "c")
    with bench.model.draw(7, window=week(0), rows=2) as draw:
        assert (draw.answers, draw.drawn) == (3, 2)
        rows = bench.table(f"{bench.places.draws}/{draw.path.name}")
        assert rows == pq.read_table(draw.path).to_pylist()
        assert pq.read_schema(draw.path) == DRAW_SCHEMA
    with bench.model.draw(7, window=week(0), rows=2) as again:
        assert pq.read_table(again.path).to_pylist() == rows


def test_of_two_who_draw_at_once_the_second_is_refused(bench: Bench) -> None:
    bench.stage()
    bench.answer("a", "b", "c")
    name, etags = bench.draw(), MonitorFiles.etags

    def before(files: MonitorFiles, uri: str) -> dict[str, str]:
        """As if the other one's draw came after this listing."""
        return {file: etag for file, etag in etags(files, uri).items() if file != name}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MonitorFiles, "etags", before)
        with pytest.raises(InputError, match="somebody else has just changed it"):
            bench.draw()


def test_labels_that_another_person_adds_meanwhile_are_not_lost(bench, monkeypatch) -> None:
    bench.stage()
    _during_a_write(monkeypatch, lambda: bench.label("b", label="no"))
    with pytest.raises(InputError, match="somebody else has just changed it"):
        bench.label("a")
    assert bench.label("a").added == 1
    assert [row["key"] for row in bench.labels()] == ["a", "b"]


def test_a_correction_is_kept_with_who_made_it(bench: Bench) -> None:
    bench.stage()
    person = "arn:aws:sts::123456789012:assumed-role/data-scientist/ada"
    for label, by in (("yes", None), ("no", person)):
        added = bench.label("a", label=label, by=by)
    assert (added.corrected, added.added) == (1, 0)
    assert [(row["label"], row["replaces"], row["person"]) for row in bench.labels()] == [
        ("yes", None, None),
        ("no", "yes", person),
    ]


def test_outcomes_come_by_the_ends_of_their_windows(bench: Bench) -> None:
    results = windows(3)
    for number, result in enumerate(reversed(results)):
        uri = f"{bench.places.windows}/3/{number}/x/monitor.json"
        bench.put(uri, json.dumps(result.model_dump(mode="json")).encode())
    assert bench.model.results() == tuple(results)


def test_stores_that_were_not_staged_name_the_command(bench: Bench) -> None:
    with pytest.raises(
        InputError, match="does not exist yet: sashiko env stage --env dev --recipe"
    ):
        bench.draw()


def test_an_outcome_of_another_form_is_left_out_and_named(bench, capsys) -> None:
    bench.put(f"{bench.places.windows}/3/a/b/monitor.json", b'{"group": "x"}')
    assert bench.model.results() == ()
    assert "left out 1 windows" in (printed := capsys.readouterr().err)
    assert "windows/3/a/b/monitor.json" in printed


KEYS = ("secret-a", "secret-b", "secret-c")


@pytest.fixture
def full(bench: Bench) -> Bench:
    """Three answers, all of them drawn and labelled."""
    bench.stage()
    bench.create_pipeline()
    bench.judge("Succeeded")
    bench.answer(*KEYS)
    bench.draw(rows=3)
    bench.label(*KEYS)
    return bench


def _delete(full: Bench, *keys: str, now: dt.datetime = NOW) -> DeletedRows:
    model = full.model
    files = MonitorFiles(model.account, model.settings, model.recipe, DELETED_BY)
    return delete_account_rows(files, keys, now=now)


def _kept_out(full: Bench) -> int:
    """Returns how many keys the account's ledger keeps out."""
    return len(full.table(f"{full.places.ledger}/deletions.parquet"))


def _stores(full: Bench) -> tuple[str, ...]:
    places = full.places
    return (places.ledger, places.labels, places.draws)


def _during_a_write(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Does something before the first file is written back."""
    put = MonitorFiles.put

    def once(files: MonitorFiles, path: Path, copy: Copy) -> str:
        monkeypatch.setattr(MonitorFiles, "put", put)
        action()
        return put(files, path, copy)

    monkeypatch.setattr(MonitorFiles, "put", once)


def test_no_store_of_the_account_has_the_key_afterwards(full: Bench) -> None:
    assert [full.keys(store) for store in _stores(full)] == [{*KEYS}] * 3
    deleted = _delete(full, KEYS[0], "nobody")
    assert deleted == DeletedRows(answers=1, labels=1, draws=1)
    assert [full.keys(store) for store in _stores(full)] == [{*KEYS[1:]}] * 3
    assert not any(_delete(full, KEYS[0]).model_dump().values())


def test_whoever_is_killed_has_named_the_keys_before_an_answer_is_gone(full, monkeypatch):
    """Else a window that is read again would bring back what nobody knows to be deleted."""
    put = MonitorFiles.put

    def killed_after_one(files: MonitorFiles, path: Path, copy: Copy) -> str:
        etag = put(files, path, copy)
        if copy.uri == full.places.ledger:
            raise KeyboardInterrupt
        return etag

    with monkeypatch.context() as patched:
        patched.setattr(MonitorFiles, "put", killed_after_one)
        with pytest.raises(KeyboardInterrupt):
            _delete(full, KEYS[0])
    assert _kept_out(full) == 1
    assert _delete(full, KEYS[0]).answers == 1


def test_a_key_stays_out_until_s3_has_deleted_the_last_capture(full) -> None:
    """S3 deletes expired objects up to two days after their time."""
    retention = dt.timedelta(seconds=full.model.settings.serving.capture.retention)
    _delete(full, KEYS[0])
    _delete(full, KEYS[1], now=NOW + retention + dt.timedelta(days=1))
    assert _kept_out(full) == 2
    _delete(full, KEYS[2], now=NOW + retention + dt.timedelta(days=3))
    assert _kept_out(full) == 2  # the first is forgotten


def test_while_a_window_is_judged_nothing_is_deleted(full: Bench) -> None:
    """Its job would write the ledger back as it has read it."""
    running = full.judge("Executing")
    with pytest.raises(InputError, match=f"{running}.* run the command again when it has ended"):
        _delete(full, KEYS[0])
    assert [full.keys(store) for store in _stores(full)] == [{*KEYS}] * 3


@pytest.mark.parametrize("status", ["Executing", "Succeeded"])
def test_a_window_that_starts_meanwhile_is_named(full, monkeypatch, status) -> None:
    _during_a_write(monkeypatch, lambda: full.judge(status))
    with pytest.raises(InputError, match="may have written deleted rows back: run the command"):
        _delete(full, KEYS[0])


def test_labels_that_somebody_adds_meanwhile_are_not_lost(full, monkeypatch) -> None:
    _during_a_write(monkeypatch, lambda: full.label("another"))
    with pytest.raises(InputError, match="somebody else has just changed it; run the command"):
        _delete(full, KEYS[0])
    assert _delete(full, KEYS[0]).answers == 1
    assert [row["key"] for row in full.labels()] == ["another", *KEYS[1:]]


def test_a_draw_that_is_made_meanwhile_is_named_and_the_next_command_deletes_from_it(
    full: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    full.local.answer(KEYS, version=8)
    full.answer()
    _during_a_write(monkeypatch, lambda: full.draw(8, rows=3))
    with pytest.raises(InputError, match="may have added a deleted key; run the command again"):
        _delete(full, KEYS[0])
    assert _delete(full, KEYS[0]).draws == 1
    assert [full.keys(store) for store in _stores(full)] == [{*KEYS[1:]}] * 3


def test_a_denied_deletion_names_the_role_that_may(full, monkeypatch) -> None:
    from botocore.exceptions import ClientError

    def denied(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")

    monkeypatch.setattr(full.s3, "get_object", denied)
    with pytest.raises(
        InputError, match=r"denied in dev .*use the role sashiko-dev-privacy-officer"
    ):
        _delete(full, KEYS[0])
