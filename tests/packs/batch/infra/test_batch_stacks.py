"""Batches in an account: the table of answers, who publishes to it, the schedule, the limits."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from moto import mock_aws

from infra.stacks.data_lake import DataLake
from infra.stacks.governance import Governance
from sashiko.base import aws_calls
from sashiko.contract.model import ExistingTable
from sashiko.errors import InputError
from sashiko.packs import pack_objects
from sashiko.pipeline.definition.definition_records import parse_definition
from sashiko.settings.recipe import load_recipe
from sashiko_cdk.deployment import Deployment
from sashiko_cdk.identity.roles import job_denials
from sashiko_packs.batch.constructs import (
    add_schedule,
    batch_flow,
    is_scheduled,
    lake_contracts,
)
from sashiko_packs.batch.cost import check_cost
from sashiko_packs.batch.pack import PACK
from sashiko_packs.batch.records import Plan
from sashiko_packs.batch.settings import BatchJobs, BatchSection
from sashiko_packs.batch.steps import publish
from sashiko_packs.batch.steps.score import answer_schema
from tests.infra import variants
from tests.infra.sample_events import scheduled
from tests.infra.step_functions import account
from tests.packs.batch import loans as desk
from tests.packs.batch.test_batch_steps import Job
from tests.unit.registry.model_packages.account import opened
from tests.unit.registry.preflight.registered import registered, write_evidence

TABLE = "complaints_answers"
SETTINGS = variants.settings_of("dev")
FILE = variants.ROOT / "recipes/complaints.yaml"
RECIPE = load_recipe(FILE)
LOAD = "20261122T020000Z"
GROUP = "sashiko-dev-complaint-triage"


def test_the_table_has_the_columns_of_its_files_and_partitions_that_are_registered(templates):
    (contract,) = (c for c in variants.contracts_of(SETTINGS) if c.table == "complaints")
    (table,) = (
        item["Properties"]["TableInput"]
        for item in variants.some(templates("dev")["DataLake"], "AWS::Glue::Table").values()
        if item["Properties"]["TableInput"]["Name"] == TABLE
    )
    storage = table["StorageDescriptor"]
    assert [column["Name"] for column in storage["Columns"]] == answer_schema(contract).names
    assert [key["Name"] for key in table["PartitionKeys"]] == ["batch"]
    assert "projection.enabled" not in table["Parameters"]
    bucket = "sashiko-dev-curated-111122223333-us-east-1"
    assert storage["Location"] == f"s3://{bucket}/{TABLE}/"
    places = variants.some(templates("dev")["DataLake"], "AWS::LakeFormation::Resource")
    registered_places = [item["Properties"]["ResourceArn"] for item in places.values()]
    assert f"arn:aws:s3:::{bucket}/{TABLE}" in registered_places


def test_one_role_publishes_and_every_reader_reads_by_tags(templates):
    grants = [
        item["Properties"]
        for item in variants.some(
            templates("dev")["Governance"], "AWS::LakeFormation::PrincipalPermissions"
        ).values()
        if TABLE in json.dumps(item["Properties"]["Resource"])
    ]
    role = SETTINGS.role_arn("batch")
    assert {grant["Principal"]["DataLakePrincipalIdentifier"] for grant in grants} == {role}
    assert {grant["Permissions"][0] for grant in grants} == {
        "ALTER", "DATA_LOCATION_ACCESS", "DESCRIBE", "INSERT",
    }  # fmt: skip
    assert variants.who_may("dev", "glue:CreatePartition") == {"batch"}


def test_a_table_without_a_label_is_one_of_the_lake_with_the_same_rules():
    recipe = load_recipe(FILE, overrides=("batch.table=complaints_open",))
    contracts = variants.contracts_of(SETTINGS)
    own = next(contract for contract in contracts if contract.table == "complaints")
    deployment = Deployment(
        settings=SETTINGS, environments=("dev",), recipes=(recipe,), pipelines=(),
        contracts=(*contracts, *lake_contracts(SETTINGS, recipe, contracts)),
    )  # fmt: skip
    app = variants.new_app()
    DataLake(app, deployment)
    Governance(app, deployment)
    files = sorted(Path(app.synth().directory).glob("*.template.json"))
    lake, governance = (json.loads(file.read_text()) for file in files)
    tables = {
        item["Properties"]["TableInput"]["Name"]: item["Properties"]["TableInput"]
        for item in variants.some(lake, "AWS::Glue::Table").values()
    }
    assert "complaints_open_answers" in tables
    columns = tables["complaints_open"]["StorageDescriptor"]["Columns"]
    names = {column["Name"] for column in columns}
    assert {column.name for column in own.columns} - names == {own.label.column}
    assert "sashiko-dev-etl-complaints_open" in variants.named(lake, "AWS::Glue::Job", "Name")
    places = [
        item["Properties"]["Resource"].get("TableWithColumns", {"Name": ""})
        for item in variants.some(governance, "AWS::LakeFormation::TagAssociation").values()
    ]
    tagged = {one["ColumnNames"][0] for one in places if one["Name"] == "complaints_open"}
    personal = {column.name for column in own.columns if column.classification == "pii"}
    assert tagged == names - personal | {"as_of"}
    policies = map(json.dumps, variants.some(lake, "AWS::IAM::ManagedPolicy").values())
    (scores,) = (text for text in policies if "Scores rows, and publishes answers" in text)
    assert "/complaints_open_answers/*" in scores
    assert "/complaints_open/" not in scores


@pytest.fixture
def aws():
    with account() as fake:
        fake.answers["GetJobRuns"] = lambda _: {
            "JobRuns": [
                {"JobRunState": "SUCCEEDED", "Arguments": {"--as-of": LOAD},
                 "CompletedOn": "2026-11-22T02:10:00Z"}
            ]
        }  # fmt: skip
        fake.answers["ListModelPackages"] = lambda _: {
            "ModelPackageSummaryList": [{"ModelPackageVersion": 7}]
        }
        fake.answers["StartPipelineExecution"] = lambda _: {}
        yield fake


def started(aws):
    (call,) = (arguments for name, arguments in aws.calls if name == "StartPipelineExecution")
    return call, {item["Name"]: item["Value"] for item in call["PipelineParameters"]}


def test_a_schedule_scores_the_days_before_its_own_by_the_newest_approved_version(aws):
    recipe = load_recipe(FILE, overrides=("batch.window={column: received_at, days: 7}",))
    flow = batch_flow(SETTINGS, recipe, table="complaints")
    assert aws.run(flow, scheduled("2026-11-23T06:00:00Z")).status == "SUCCEEDED"
    call, parameters = started(aws)
    assert call["PipelineName"] == "sashiko-dev-complaints-batch"
    assert parameters == {
        "AsOf": LOAD, "WindowStart": "20261116T000000Z", "WindowEnd": "20261123T000000Z",
        "ModelVersion": "7", "Now": "20261123T060000Z",
    }  # fmt: skip
    (request,) = (arguments for name, arguments in aws.calls if name == "ListModelPackages")
    assert (request["ModelPackageGroupName"], request["ModelApprovalStatus"]) == (GROUP, "Approved")


def test_without_a_window_all_rows_are_scored_and_a_second_event_starts_nothing_new(aws):
    flow = batch_flow(SETTINGS, RECIPE, table="complaints")
    for time in ("2026-11-23T06:00:00Z", "2026-11-23T06:00:01Z"):
        assert aws.run(flow, scheduled(time)).status == "SUCCEEDED"
    calls = [arguments for name, arguments in aws.calls if name == "StartPipelineExecution"]
    tokens = {call["ClientRequestToken"] for call in calls}
    assert len(tokens) == 1
    assert 32 <= len(tokens.pop()) <= 128
    assert {"Name": "WindowStart", "Value": "all"} in calls[0]["PipelineParameters"]


def test_nothing_loaded_or_approved_starts_nothing_and_says_so(aws):
    flow = batch_flow(SETTINGS, RECIPE, table="complaints")
    aws.answers["ListModelPackages"] = lambda _: {"ModelPackageSummaryList": []}
    ended = aws.run(flow, scheduled("2026-11-23T06:00:00Z"))
    assert (ended.status, ended.error) == ("FAILED", "NoVersion")
    aws.answers["GetJobRuns"] = lambda _: {"JobRuns": []}
    ended = aws.run(flow, scheduled("2026-11-23T06:00:00Z"))
    assert (ended.status, ended.error) == ("FAILED", "NothingLoaded")
    assert not [name for name, _ in aws.calls if name == "StartPipelineExecution"]


def test_a_run_that_may_cost_more_than_its_limit_is_refused():
    pipelines = variants.pipelines_of(SETTINGS, variants.recipes_of(SETTINGS))
    (definition,) = (one.definition for one in pipelines if one.module == "batch")
    parsed, jobs = parse_definition(definition), SETTINGS.section(BatchJobs)
    check_cost(SETTINGS, jobs, parsed)
    check_cost(SETTINGS, jobs.model_copy(update={"max_usd": None}), parsed)
    with pytest.raises(InputError, match=r"`batch.max_usd`: 1: the 5 jobs .* up to \d\.\d\d US"):
        check_cost(SETTINGS, jobs.model_copy(update={"max_usd": 1.0}), parsed)
    elsewhere = SETTINGS.model_copy(update={"region": "eu-central-1"})
    with pytest.raises(InputError, match="or set it to null"):
        check_cost(elsewhere, jobs, parsed)


def test_a_partition_is_made_once_and_keeps_the_record_of_the_run_that_made_it(monkeypatch):
    with mock_aws():
        glue = boto3.client("glue", region_name="us-east-1")
        monkeypatch.setattr(publish, "connect", lambda: aws_calls.Clients(glue=glue))
        glue.create_database(DatabaseInput={"Name": "lake"})
        glue.create_table(
            DatabaseName="lake",
            TableInput={
                "Name": "t", "PartitionKeys": [{"Name": "batch", "Type": "string"}],
                "StorageDescriptor": {"Location": "s3://b/t/", "Columns": []},
            },
        )  # fmt: skip
        first, second = (
            publish.publish_answers(
                "glue://lake", desk.publication(run), [Path("part-00000.parquet")]
            )
            for run in ("r1", "r2")
        )
        assert first == second == desk.publication("r1")
        (partition,) = glue.get_partitions(DatabaseName="lake", TableName="t")["Partitions"]
        assert partition["Values"] == ["b"]
        assert partition["StorageDescriptor"]["Location"] == "s3://b/t/runs/r1/"


@pytest.fixture
def signed(tmp_path):
    with opened() as account:
        yield registered(account, write_evidence(tmp_path))


def test_the_preflight_of_an_account_takes_a_signed_version_and_refuses_a_revoked_one(
    signed, tmp_path, monkeypatch
):
    root = tmp_path / "project"
    desk.make_project(root)
    (root / ".sashiko/lake/loans").mkdir(parents=True)
    job = Job(root, tmp_path / "work", monkeypatch)

    def connect(client):
        # A job has this variable, and not `AWS_DEFAULT_REGION`, which alone boto3 knows by itself.
        assert client("kms").meta.region_name == "eu-west-1"
        return signed.clients

    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setattr("sashiko.registry.preflight.signed_files.connect", connect)
    for name, content in {
        "expected/expected.json": asdict(signed.expected()), "published/none.json": {},
    }.items():  # fmt: skip
        path = job.folder(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def run() -> None:
        shutil.rmtree(job.folder("plan"), ignore_errors=True)
        job.step(
            "preflight", "--registry", "sagemaker", inputs=("expected", "published"),
            outputs=("plan", "artifact"),
        )  # fmt: skip

    run()
    plan = Plan.read(job.folder("plan"))
    assert (plan.version, plan.threshold, plan.published) == (1, 0.43, None)
    assert (job.folder("artifact") / "model.tar.gz").read_bytes() == b"weights"
    signed.account.decide(1, "Rejected")
    with pytest.raises(InputError, match=r"preflight refused: .* is Rejected, not Approved"):
        run()
    assert not job.folder("plan").exists()
    signed.account.decide(1, "Approved")
    signed.put("model.tar.gz", b"other weights")
    with pytest.raises(InputError, match="is not the file that was signed"):
        run()


def test_the_sections_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="EventBridge"):
        BatchJobs.model_validate(desk.BATCH | {"schedule": "0 5 * * *"})
    assert BatchSection().window is None


def test_no_schedule_scores_another_owners_table():
    table = variants.contracts_of(SETTINGS)[0]
    lake = ExistingTable(database="sales", table="claims")
    nightly = SETTINGS.section(BatchJobs).model_copy(update={"schedule": "cron(0 5 * * ? *)"})
    contracts = (table.model_copy(update={"lake": lake}),)
    deployment = SimpleNamespace(contracts=contracts, recipes=variants.recipes_of(SETTINGS))
    stack, parts = variants.new_app(), SimpleNamespace(deployment=deployment)
    stack.settings = SETTINGS.model_copy(update={"batch": nightly})
    with pytest.raises(InputError, match=r"`batch.schedule`: .* has no loads to start on"):
        add_schedule(stack, parts)


def test_what_a_schedule_scores_is_for_monitoring_without_an_endpoint():
    assert not is_scheduled(SETTINGS)
    nightly = SETTINGS.section(BatchJobs).model_copy(update={"schedule": "cron(0 5 * * ? *)"})
    assert pack_objects("captures", [PACK]) == (is_scheduled,)
    assert is_scheduled(SETTINGS.model_copy(update={"batch": nightly}))


def test_the_pipeline_may_start_the_instances_that_score_for_as_long_as_they_may_run():
    job = SETTINGS.section(BatchJobs).job.model_copy(
        update={"instance_type": "ml.c5.9xlarge", "max_runtime": 12 * 3600}
    )
    section = SETTINGS.section(BatchJobs).model_copy(update={"job": job})
    settings = SETTINGS.model_copy(update={"batch": section})
    statements = [statement.to_statement_json() for statement in job_denials(settings, ())]
    text = json.dumps(statements)
    assert "ml.c5.9xlarge" in text
    assert str(12 * 3600) in text
