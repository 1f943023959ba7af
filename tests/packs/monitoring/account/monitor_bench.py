"""An account's buckets in moto, with the stores of monitoring as `sashiko stage` makes them."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
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
from sashiko.settings.environment import load_settings
from sashiko.settings.recipe import load_recipe
from sashiko_packs.monitoring.account import MonitoredModel, stage_stores
from sashiko_packs.monitoring.places import monitor_pipeline_name
from tests.packs.monitoring.label_stores import DAY, Stores, week

NOW = week(0).end + DAY
_ACCOUNT = "123456789012"  # moto's own; another one is refused by `ExpectedBucketOwner`


@dataclass(frozen=True)
class Bench:
    """A recipe's monitoring in the account."""

    model: MonitoredModel
    contract: Contract
    local: Stores  # stores of this machine, whose ledger is put into the account

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

    def table(self, uri: str, folder: Path) -> list[dict[str, Any]]:
        bucket, key = split_uri(uri)
        self.s3.download_file(bucket, key, str(folder / "table.parquet"))
        rows: list[dict[str, Any]] = pq.read_table(folder / "table.parquet").to_pylist()
        return rows

    def keys(self, uri: str) -> set[str]:
        """Returns the keys in all files of a store."""
        files = self.model
        tables = [
            pq.read_table(io.BytesIO(files.read(f"{uri}/{name}")[0])) for name in files.etags(uri)
        ]
        columns = [table["key"].to_pylist() for table in tables if "key" in table.column_names]
        return {key for column in columns for key in column if key is not None}

    def create_pipeline(self) -> None:
        self.model.account.client("sagemaker").create_pipeline(
            PipelineName=self._pipeline,
            PipelineDefinition="{}",
            ClientRequestToken="x" * 32,
            RoleArn=f"arn:aws:iam::{_ACCOUNT}:role/pipeline",
        )

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


@contextmanager
def open_bench(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    settings = load_settings("dev").model_copy(update={"account": _ACCOUNT})
    recipe = load_recipe(Path("recipes/complaints.yaml"))
    with mock_aws():
        account = Account(settings)
        for name in ("artifacts", "snapshots"):
            account.client("s3").create_bucket(Bucket=bucket_name(settings, name))
        local = Stores(folder / "stores")
        yield Bench(MonitoredModel(account, settings, recipe), local.contract, local)
