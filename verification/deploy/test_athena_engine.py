"""What reads the lake through the Athena engine, against moto's server on loopback."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.athena.models import AthenaBackend
from moto.core.base_backend import BackendDict
from moto.moto_api import state_manager
from moto.server import ThreadedMotoServer

from sashiko.base.files import sha256_file, sha256_tree
from sashiko.base.parquet import write_table
from sashiko.contract.glue_job.spec import TYPES
from sashiko.contract.load import load_contract
from sashiko.contract.manifest import Manifest, read_manifest
from sashiko.contract.model import Contract
from sashiko.steps import snapshot
from sashiko_packs.monitoring.result import MonitorBias
from tests.packs.monitoring.steps.window_job import make_job
from tests.unit.contract.documents import document, rows, save, table_of
from verification.deploy.emulator.services.athena import unloading


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty account on loopback, which this process and its children call."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")  # of the test's own clients
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    yield url
    server.stop()
    BackendDict.reset()


@pytest.fixture
def contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Contract:
    """The contract and SageMaker's job configuration, in the paths that the step reads."""
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    job = tmp_path / "config" / "processingjobconfig.json"
    job.parent.mkdir()
    job.write_text(json.dumps({"ProcessingJobName": "pipelines-abc-Snapshot-xyz"}))
    config = tmp_path / "processing" / "input" / "config"
    config.mkdir(parents=True)
    return load_contract(save(document(), config))


@pytest.fixture
def account(endpoint: str, contract: Contract, monkeypatch: pytest.MonkeyPatch) -> str:
    """A lake with two loads of the table: `load-1` has all rows in two files, `load-2` two."""
    s3 = boto3.client("s3")
    for bucket in ("curated", "snapshots"):
        s3.create_bucket(Bucket=bucket)
    table = rows(contract)
    for name, part in (
        ("load-1/part-0", table.slice(2)),
        ("load-1/part-1", table.slice(0, 2)),
        ("load-2/part-0", table.slice(1, 2)),
    ):
        body = pa.BufferOutputStream()
        pq.write_table(part, body)
        s3.put_object(
            Bucket="curated", Key=f"loans/as_of={name}.parquet", Body=body.getvalue().to_pybytes()
        )
    for view in ("training", "facets"):
        output = {"OutputLocation": f"s3://snapshots/{view}/athena/"}
        boto3.client("athena").create_work_group(
            Name=f"group-{view}", Configuration={"ResultConfiguration": output}
        )
    glue = boto3.client("glue")
    glue.create_database(DatabaseInput={"Name": "lake"})
    columns = [{"Name": c.name, "Type": TYPES[c.logical_type]} for c in contract.columns]
    glue.create_table(
        DatabaseName="lake",
        TableInput={
            "Name": "loans",
            "StorageDescriptor": {"Columns": columns, "Location": "s3://curated/loans/"},
            "PartitionKeys": [{"Name": "as_of", "Type": "string"}],
        },
    )
    monkeypatch.setattr(AthenaBackend, "start_query_execution", unloading(boto3.client))
    return "athena://group/lake"


def _run(
    monkeypatch: pytest.MonkeyPatch, root: Path, uri: str, as_of: str, view: str = "training"
) -> tuple[Manifest, pa.Table]:
    """Runs the step; returns its output, and puts the manifest where SnapshotFacets reads it."""
    arguments = ["--view", view, "--lake-uri", uri, "--as-of", as_of]
    monkeypatch.setattr(sys, "argv", ["snapshot", *arguments])
    snapshot.main()
    data = root / "processing" / "output" / "data" / "data.parquet"
    manifest = read_manifest(root / "processing" / "output" / "manifest")
    assert manifest.sha256 == sha256_file(data)
    if view == "training":
        manifest_folder = root / "processing" / "input" / "training-manifest"
        manifest_folder.mkdir(exist_ok=True)
        (root / "processing/output/manifest/manifest.json").replace(
            manifest_folder / "manifest.json"
        )
    return manifest, pq.read_table(data)


def _left_over() -> list[str]:
    objects = boto3.client("s3").list_objects_v2(Bucket="snapshots")
    return [item["Key"] for item in objects.get("Contents", [])]


def test_both_engines_take_the_same_snapshots(
    account: str, contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table(tmp_path / "lake" / "loans" / "data.parquet", rows(contract))
    version = sha256_tree(tmp_path / "lake" / "loans")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    cloud, local = (
        [_run(monkeypatch, tmp_path, uri, as_of, view) for view in ("training", "facets")]
        for uri, as_of in ((account, "load-1"), (f"duckdb://{tmp_path}/lake", version))
    )
    for (manifest, table), (same, rows_) in zip(cloud, local, strict=True):
        assert manifest.rows == 4
        assert table.equals(rows_)
        assert table.schema.equals(rows_.schema)
        differs = {"query", "as_of"}
        assert manifest.model_dump(exclude=differs) == same.model_dump(exclude=differs)
        assert manifest.as_of == "load-1"
        assert manifest.query == same.query.replace("ORDER", "WHERE \"as_of\" = 'load-1' ORDER")
    assert _left_over() == []


def test_a_window_reads_the_facets_of_a_load(
    account: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path, monkeypatch)
    job.reference_groups(old=(3, 10), young=(3, 10))
    job.decisions([*"abcd", "not loaded yet"], [True, False, True, False, True])
    job.facets([], age=[])
    for as_of, rows_ in (("load-1", 4), ("load-2", 2)):
        job.measure_bias(as_of, lake=account)
        measured = MonitorBias.read(job.output("bias"))
        assert (measured.rows, measured.without_facets) == (rows_, 5 - rows_)
    assert _left_over() == []


def test_a_run_reads_the_version_that_it_was_started_for(
    account: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, table = _run(monkeypatch, tmp_path, account, "load-2")
    assert table["loan_id"].to_pylist() == ["a", "d"]


def test_a_job_that_sagemaker_stops_leaves_no_query_and_no_rows(
    account: str, contract: Contract, tmp_path: Path
) -> None:
    state_manager.set_transition("athena::execution", {"progression": "manual", "times": 10_000})
    try:
        arguments = ["--view", "training", "--lake-uri", account, "--as-of", "load-1"]
        with subprocess.Popen(
            [sys.executable, "-m", "sashiko.steps.snapshot", *arguments],
            env=os.environ,
            stderr=subprocess.PIPE,
            text=True,
        ) as job:
            assert job.stderr
            query = next(line for line in job.stderr if line.startswith("athena:")).split()[2]
            assert len(_left_over()) == 2
            job.send_signal(signal.SIGTERM)
            job.communicate()
    finally:
        state_manager.unset_transition("athena::execution")
    assert job.returncode == 128 + signal.SIGTERM
    status = boto3.client("athena").get_query_execution(QueryExecutionId=query)["QueryExecution"]
    assert status["Status"]["State"] == "CANCELLED"
    assert _left_over() == []
    assert not list((tmp_path / "processing" / "output").rglob("*.*"))


@pytest.fixture
def shared(account: str, tmp_path: Path) -> str:
    """The table as another account's, by a link: an Iceberg table of the snapshots 41 and 42."""
    glue, s3 = boto3.client("glue"), boto3.client("s3")
    edited = document()
    lake = {"catalog": "222233334444", "database": "sales", "table": "loans_v2"}
    value = lake | {"link": {"database": "shared", "table": "loans"}}
    table_of(edited)["customProperties"].append({"property": "lake", "value": value})
    contract = load_contract(save(edited, tmp_path / "processing/input/config"))
    for old, new in (("load-1/part-0", 42), ("load-1/part-1", 42), ("load-2/part-0", 41)):
        key = f"loans/as_of={old}.parquet"
        s3.copy_object(
            Bucket="curated", Key=f"loans/as_of={new}/{old.partition('/')[2]}.parquet",
            CopySource={"Bucket": "curated", "Key": key},
        )  # fmt: skip
        s3.delete_object(Bucket="curated", Key=key)
    columns = [{"Name": c.name, "Type": TYPES[c.logical_type]} for c in contract.columns]
    target = {"CatalogId": lake["catalog"], "DatabaseName": "sales", "Name": "loans_v2"}
    own = {
        "StorageDescriptor": {"Columns": columns, "Location": "s3://curated/loans/"},
        "Parameters": {"table_type": "ICEBERG"},
    }
    for database, name, described in (
        ("sales", "loans_v2", own), ("shared", "loans", {"TargetTable": target}),
    ):  # fmt: skip
        glue.create_database(DatabaseInput={"Name": database})
        glue.create_table(DatabaseName=database, TableInput={"Name": name} | described)
    return account


def test_the_monitor_reads_the_facets_of_the_newest_snapshot(
    shared: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "processing/input/config/contract.odcs.yaml"
    content = config.read_bytes()
    job = make_job(tmp_path, monkeypatch)
    config.write_bytes(content)
    job.reference_groups(old=(3, 10), young=(3, 10))
    job.decisions([*"abcd"], [True, False, True, False])
    job.facets([], age=[])
    job.measure_bias("latest", lake=shared)
    measured = MonitorBias.read(job.output("bias"))
    assert (measured.rows, measured.without_facets) == (4, 0)
