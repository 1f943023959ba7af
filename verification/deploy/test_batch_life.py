"""The life of nightly batches: deployed, run, repeated, revoked, updated badly, destroyed.

The deployed state machine starts the deployed pipeline, and each of its jobs runs: on rows of a
governed table without a label, by the handler of a signed version's own artifact.
"""

import datetime as dt
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from botocore import xform_name

from infra.app import add_stacks
from sashiko.account.access.environment_access import read_environment
from sashiko.account.content_store import split_uri
from sashiko.account.names import bucket_name
from sashiko.base.files import sha256_bytes
from sashiko.contract.derive import arrow_schema
from sashiko.contract.load import load_contract
from sashiko.errors import InputError
from sashiko.settings.environment import load_settings
from sashiko_cdk.deployment import read_deployment
from tests.e2e.serving.tiny_artifact import build_artifact, expected_score
from tests.infra.sample_events import scheduled
from tests.infra.step_functions import instant
from tests.infra.variants import VARIANTS, new_app
from tests.packs.batch.loans import TOO_LONG
from verification.deploy.assembly import bootstrap, written
from verification.deploy.deployed import deployed
from verification.deploy.inventory import inventory
from verification.deploy.pipeline_jobs import JobFailedError, PipelineJobs
from verification.deploy.process import ROOT, running
from verification.deploy.stacks import ACCOUNT, Stacks
from verification.deploy.test_run import AS_OF, NO_GIT, Checkout, execute, write_checkout
from verification.deploy.test_serving_life import NAME, register

pytestmark = pytest.mark.slow

TABLE = "complaints_open"
PIPELINE, MACHINE = "sashiko-dev-complaints-batch", "sashiko-dev-batch-complaints"
THRESHOLD = 0.43  # of what `register` registers
TEXTS = ("bad", "good", TOO_LONG, "fine", "awful")
BATCH = {"schedule": "cron(0 5 * * ? *)", "job": {"instance_count": 2}}
SECTION = {"table": TABLE, "window": {"column": "received_at", "days": 1}}
CONTRACT = ROOT / "contracts/complaints.odcs.yaml"
LABELS = ("no", "yes")
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Desk(Checkout):
    """A checkout that scores a table every night, deployed to an emulator."""

    def synthesize(self, **change: Any) -> None:
        text = VARIANTS["dev"][1] + yaml.safe_dump({"batch": BATCH | change})
        (self.folder / "config/dev.yaml").write_text(text)
        app = new_app()
        add_stacks(app, read_deployment(load_settings("dev")))
        written(app, self.folder)

    def deploy(self, status: int = 0) -> str:
        deploy = ("deploy", "Pipeline", "--require-approval=never")
        return self.emulator.cdk(*deploy, folder=self.folder, status=status)

    def start(self, day: str) -> str:
        """The schedule's time comes; returns the ARN of what the deployed machine starts."""
        services = {
            "GetJobRuns": "glue", "ListModelPackages": "sagemaker",
            "StartPipelineExecution": "sagemaker",
        }  # fmt: skip
        answers = {
            operation: partial(
                self._answer, getattr(self.emulator.client(service), xform_name(operation))
            )
            for operation, service in services.items()
        }
        event = scheduled(f"{day}T05:00:00Z", rule="sashiko-dev-complaints-batch")
        *_, (_, request) = execute(self.emulator, MACHINE, event, answers)
        return str(answers["StartPipelineExecution"](request)["PipelineExecutionArn"])

    def _answer(self, call: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        return json.loads(json.dumps(call(**arguments), default=instant))

    def answers(self) -> dict[str, Rows]:
        """What a reader of the table of answers sees: the rows by batch."""
        named = {"DatabaseName": "sashiko_dev", "TableName": f"{TABLE}_answers"}
        partitions = self.emulator.client("glue").get_partitions(**named)["Partitions"]
        return {
            item["Values"][0]: [
                row
                for name, content in self.objects(item["StorageDescriptor"]["Location"])
                if not name.startswith("_")
                for row in pq.read_table(io.BytesIO(content)).to_pylist()
            ]
            for item in partitions
        }

    def objects(self, uri: str) -> Iterator[tuple[str, bytes]]:
        s3, (bucket, prefix) = self.emulator.client("s3"), split_uri(uri)
        for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ()):
            content = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
            yield item["Key"].rpartition("/")[2], content

    def published(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = json.loads(self.sashiko("batch", "list", "--json").stdout)
        return listed

    def decide(self, version: str, status: str) -> None:
        sagemaker = self.emulator.client("sagemaker")
        sagemaker.update_model_package(ModelPackageArn=version, ModelApprovalStatus=status)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    write_checkout(folder, "dev")
    with (folder / "recipes/complaints.yaml").open("a") as file:
        file.write(yaml.safe_dump({"batch": SECTION}))
    home = tmp_path_factory.mktemp("home")
    with running(ACCOUNT, home) as emulator, pytest.MonkeyPatch.context() as patch:
        bootstrap(emulator, tmp_path_factory.mktemp("bootstrap"), "dev")
        patch.setenv("GIT_DIR", NO_GIT["GIT_DIR"])
        patch.chdir(folder)
        desk = Desk(emulator, folder)
        desk.synthesize()
        yield desk


def complaints() -> Rows:
    """Five on each of four days, the first at the begin of the day.

    They are in 2090, as a night takes what was loaded before it, by the emulator's clock.
    """
    return [
        {
            "complaint_id": f"C{day}{number:07}", "complaint_text": text,
            "received_at": dt.datetime(2090, 11, day, 5 * number, tzinfo=dt.UTC),
            "product": "Mortgage", "channel": "app", "customer_name": "A", "customer_email": "a@b",
            "customer_phone": "1", "customer_gender": "female", "age_band": "18-29",
        }
        for day in range(20, 24)
        for number, text in enumerate(TEXTS)
    ]  # fmt: skip


def load(desk: Desk) -> None:
    """Puts the rows where the ETL does, and makes the Glue job's run."""
    schema = arrow_schema(load_contract(CONTRACT), "all")
    schema = pa.schema([field for field in schema if field.name in complaints()[0]])
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(complaints(), schema=schema), file)
    bucket, key = (
        bucket_name(load_settings("dev"), "curated"),
        f"{TABLE}/as_of={AS_OF}/part-0.parquet",
    )
    desk.emulator.client("s3").put_object(Bucket=bucket, Key=key, Body=file.getvalue())
    desk.load(TABLE)


def check_answers(rows: Rows, day: int, publication: Mapping[str, Any]) -> None:
    """One answer to each row of a day, or the reason that there is none."""
    about = (1, THRESHOLD, publication["run"], dt.datetime.fromisoformat(publication["time"]))
    for row, number, text in zip(rows, range(len(TEXTS)), TEXTS, strict=True):
        assert row["key"] == f"C{day}{number:07}"
        assert (row["version"], row["threshold"], row["run"], row["time"]) == about
        if text == TOO_LONG:
            assert (row["label"], row["score"]) == (None, None)
            assert "tokens" in row["refused"]
        else:
            assert row["score"] == pytest.approx(expected_score(text), abs=1e-6)
            label = LABELS[expected_score(text) >= THRESHOLD]
            assert (row["label"], row["refused"]) == (label, None)
    assert (publication["rows"], publication["refused"]) == (5, 1)


def test_life(desk: Desk, tmp_path: Path) -> None:
    """In order: a night, the same again, a backfill, a revoked version, bad updates, destroy."""
    before = inventory(desk.emulator)
    desk.deploy()
    # Of the group of a job's nodes EC2 also tells the rule that is a resource of its own.
    resources = (one for one in deployed(desk.emulator) if one.stack != "sashiko-dev-Network")
    assert [text for item in resources for text in item.differences()] == []
    desk.sashiko("env", "stage")
    load(desk)
    archive = build_artifact(tmp_path, labels=LABELS, template="{complaint_text}")
    version = register(
        desk.emulator, tmp_path / "files", execution="one", target="cpu",
        artifact=archive.read_bytes(),
    )  # fmt: skip
    environment = read_environment(load_settings("dev"), folder=desk.folder / "cdk.out")
    jobs = PipelineJobs(desk.emulator, environment, tmp_path / "jobs")

    night = desk.start("2090-11-21")
    jobs.run(night)
    ((batch, rows),) = desk.answers().items()
    (publication,) = desk.published()
    check_answers(rows, 20, publication)
    assert (publication["batch"], publication["run"]) == (batch, night.rpartition("/")[2])
    assert publication["time"] == "2090-11-21T05:00:00Z"
    check_captures(desk, rows)

    check_repeat(desk, jobs, night)
    check_backfill(desk, jobs)
    check_revoked(desk, jobs, version)
    check_bad_updates(desk)
    desk.decide(version, "Approved")
    jobs.run(desk.start("2090-11-24"))
    *_, publication = desk.published()
    check_answers(desk.answers()[publication["batch"]], 23, publication)

    desk.sashiko("env", "destroy-data", "--yes")
    desk.emulator.cdk("destroy", "--all", "--force", folder=desk.folder)
    assert inventory(desk.emulator) == before


def captured(desk: Desk) -> Rows:
    place = f"s3://{bucket_name(load_settings('dev'), 'capture')}/{NAME}/version=1/{NAME}/batch-"
    return [json.loads(line) for _, text in desk.objects(place) for line in text.splitlines()]


def check_captures(desk: Desk, rows: Rows) -> None:
    """Monitoring reads of each row what it reads of a request to an endpoint."""
    records = captured(desk)
    ids = [json.loads(one["captureData"]["endpointInput"]["data"])["ids"] for one in records]
    assert ids == [[row["key"]] for row in rows]
    refused = ["endpointOutput" not in one["captureData"] for one in records]
    assert refused == [row["refused"] is not None for row in rows]


def check_repeat(desk: Desk, jobs: PipelineJobs, night: str) -> None:
    """A second event starts nothing; a run that somebody starts scores nothing."""
    assert desk.start("2090-11-21") == night
    answers, records, listed = desk.answers(), captured(desk), desk.published()
    window = ("--from", "2090-11-20", "--to", "2090-11-21")
    again = desk.sashiko("batch", "run", *window).stdout.strip()
    assert again != night
    logs = jobs.run(again)
    assert f"already scored by run {night.rpartition('/')[2]}" in logs["BatchPreflight"]
    assert (desk.answers(), captured(desk), desk.published()) == (answers, records, listed)


def check_backfill(desk: Desk, jobs: PipelineJobs) -> None:
    window = ("--from", "2090-11-21", "--to", "2090-11-23", "--every", "1d")
    started = desk.sashiko("batch", "run", *window).stdout.split()
    for execution in started:
        jobs.run(execution)
    *published, _ = desk.published()  # by the time of their runs, and the night is in 2090
    assert [one["run"] for one in published] == [arn.rpartition("/")[2] for arn in started]
    for day, publication in zip((21, 22), published, strict=True):
        check_answers(desk.answers()[publication["batch"]], day, publication)


def check_revoked(desk: Desk, jobs: PipelineJobs, version: str) -> None:
    """The schedule starts nothing, and what somebody starts ends before it reads a row."""
    desk.decide(version, "Rejected")
    answers = desk.answers()
    with pytest.raises(AssertionError, match="NoVersion"):
        desk.start("2090-11-24")
    window = ("--from", "2090-11-23", "--to", "2090-11-24", "--version", "1")
    started = desk.sashiko("batch", "run", *window).stdout.strip()
    with pytest.raises(JobFailedError, match=r"(?s)BatchPreflight: .* is Rejected, not Approved"):
        jobs.run(started)
    assert desk.answers() == answers


def check_bad_updates(desk: Desk) -> None:
    """One that may cost too much is not synthesized, one that SageMaker refuses rolled back."""
    with pytest.raises(InputError, match=r"`batch.max_usd`: 0.5: the 5 jobs of a run cost up to"):
        desk.synthesize(max_usd=0.5)
    sagemaker = desk.emulator.client("sagemaker")
    deployed_one = sagemaker.describe_pipeline(PipelineName=PIPELINE)["PipelineDefinition"]
    template = desk.folder / "cdk.out/Pipeline.template.json"
    good = template.read_text()
    template.write_text(good.replace("ml.m5.2xlarge", "ml.m5.3xlarge"))
    digest = sha256_bytes(good.encode())
    for name in ("manifest.json", "Pipeline.assets.json"):  # else the old template is deployed
        file = template.with_name(name)
        assert digest in file.read_text()
        file.write_text(file.read_text().replace(digest, "0" * 64))
    assert "ml.m5.3xlarge" in desk.deploy(status=1)
    assert Stacks(desk.emulator).status("sashiko-dev-Pipeline") == "UPDATE_ROLLBACK_COMPLETE"
    definition = sagemaker.describe_pipeline(PipelineName=PIPELINE)["PipelineDefinition"]
    assert definition == deployed_one
