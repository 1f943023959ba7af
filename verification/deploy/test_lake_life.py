"""The life of an environment whose model learns from a table of another account.

The emulator has one account: whose a table is, contract and resource link alone say.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from infra.app import add_stacks
from sashiko.account.access.environment_access import read_environment
from sashiko.account.account import Account
from sashiko.account.content_store import read_object
from sashiko.account.names import bucket_name
from sashiko.contract.glue_job.spec import TYPES
from sashiko.contract.load import load_contract
from sashiko.contract.manifest import Manifest
from sashiko.data.existing_table import pinned
from sashiko.data.lake import generate
from sashiko.doctor.plan import check_grants
from sashiko.settings.environment import load_settings
from sashiko_cdk.deployment import read_deployment
from tests.infra.contracts import changed, set_custom
from tests.infra.test_existing_lake import LAKE
from tests.infra.variants import new_app
from verification.deploy import aws_command
from verification.deploy.assembly import bootstrap, written
from verification.deploy.deployed import deployed
from verification.deploy.inventory import inventory
from verification.deploy.pipeline_jobs import JobFailedError, PipelineJobs
from verification.deploy.process import ROOT, Emulator, running
from verification.deploy.stacks import ACCOUNT
from verification.deploy.test_run import NO_GIT, Checkout, write_checkout

OWNER, BUCKET = LAKE["catalog"], "sales-of-the-owner"
TABLE = {"DatabaseName": "sales", "Name": "complaints_v2"}
CONTRACT = Path("contracts/complaints.odcs.yaml")


def commit(emulator: Emulator, rows: int, file: Path) -> None:
    """The owner writes a snapshot of the table, whose id is the number of its rows."""
    generate(file, generator="complaints", rows=rows, seed=1, bias=True, drift=False)
    table = pq.read_table(file).append_column("branch", pa.array(["north"] * rows))
    pq.write_table(table, file)
    key = f"complaints/as_of={rows}/part-0.parquet"
    emulator.client("s3").upload_file(str(file), BUCKET, key)


def make_theirs(emulator: Emulator) -> None:
    """Makes the owner's table, which nobody is granted, and a database for links."""
    closed: Any = {f"Create{kind}DefaultPermissions": [] for kind in ("Database", "Table")}
    emulator.client("lakeformation").put_data_lake_settings(DataLakeSettings=closed)
    emulator.client("s3").create_bucket(Bucket=BUCKET)
    glue, contract = emulator.client("glue"), load_contract(CONTRACT)
    for name in ("sales", "shared"):
        glue.create_database(DatabaseInput={"Name": name})
    types = {one.name: TYPES[one.logical_type] for one in contract.columns} | {"branch": "string"}
    columns = [{"Name": name, "Type": kind} for name, kind in types.items()]
    table = {
        "Name": TABLE["Name"], "Parameters": {"table_type": "ICEBERG"},
        "StorageDescriptor": {"Columns": columns, "Location": f"s3://{BUCKET}/complaints/"},
    }  # fmt: skip
    glue.create_table(DatabaseName="sales", TableInput=table)


def theirs(emulator: Emulator) -> list[Any]:
    """What the account knows of the owner's table, and its files."""
    resource = {"Table": {"CatalogId": OWNER, **TABLE}}
    granted = emulator.client("lakeformation").list_permissions(Resource=resource)
    files = emulator.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    table = emulator.client("glue").get_table(**TABLE)["Table"]
    return [table, granted["PrincipalResourcePermissions"], files]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    folder, home = tmp_path_factory.mktemp("desk"), tmp_path_factory.mktemp("home")
    write_checkout(folder, "dev")
    (folder / "contracts").unlink()
    shutil.copytree(ROOT / "contracts", folder / "contracts")
    document = changed("complaints", lambda document: set_custom(document, "lake", LAKE))
    (folder / CONTRACT).write_text(yaml.safe_dump(document, sort_keys=False))
    with running(ACCOUNT, home) as emulator, pytest.MonkeyPatch.context() as patch:
        bootstrap(emulator, tmp_path_factory.mktemp("bootstrap"), "dev")
        for name, value in (emulator.environment() | NO_GIT).items():
            patch.setenv(name, value)
        patch.chdir(folder)
        app = new_app()
        add_stacks(app, read_deployment(load_settings("dev")))
        written(app, folder)
        make_theirs(emulator)
        for rows in (41, 42):
            commit(emulator, rows, home / "rows")
        yield Checkout(emulator, folder)


@pytest.mark.slow
def test_life(desk: Checkout, tmp_path: Path) -> None:
    """In order: deployed, not granted, granted, read, pulled and destroyed."""
    emulator, before, table = desk.emulator, inventory(desk.emulator), theirs(desk.emulator)
    emulator.cdk("deploy", "Pipeline", "--require-approval=never", folder=desk.folder)
    # Of the group of a job's nodes EC2 also tells the rule that is a resource of its own.
    resources = [one for one in deployed(emulator) if one.stack != "sashiko-dev-Network"]
    assert [text for item in resources for text in item.differences()] == []
    words = (TABLE["Name"], OWNER, BUCKET)
    naming = [one for one in resources if any(it in json.dumps(one.properties) for it in words)]
    assert {one.type for one in naming} == {"AWS::IAM::ManagedPolicy"}
    assert "complaints" not in {one.properties.get("Name") for one in resources}
    readers = {role for one in naming for role in one.properties["Roles"]}
    assert readers == {f"sashiko-dev-{n}" for n in ("bias-evaluator", "broker", "data-scientist")}
    assert theirs(emulator) == table

    desk.sashiko("env", "stage")
    settings, contract = load_settings("dev"), load_contract(CONTRACT)
    environment = read_environment(settings, folder=desk.folder / "cdk.out")
    jobs, pipeline = PipelineJobs(emulator, environment, tmp_path), "sashiko-dev-complaints"
    sagemaker, as_of = emulator.client("sagemaker"), [{"Name": "AsOf", "Value": "42"}]
    early = sagemaker.start_pipeline_execution(PipelineName=pipeline, PipelineParameters=as_of)
    arn = early["PipelineExecutionArn"]
    with pytest.raises(JobFailedError, match=r"Required Describe on complaints_v2"):
        jobs.run(arn, only=["Snapshot"])
    for line in desk.sashiko("env", "permissions", "--for-owner").stdout.splitlines():
        if line.startswith("aws ") and " ram " not in line:  # one account alone knows no shares
            aws_command.run(emulator, line)
    checks = check_grants(Account(settings), settings, contract)
    assert [check.status for check in checks] == ["ok"] * 4
    run = re.findall(r"execution (\S+)", desk.sashiko("run").stdout)[0]
    commit(emulator, 43, tmp_path / "rows")  # after the start, which has pinned 42
    table = theirs(emulator)
    jobs.run(arn.replace(arn.rpartition("/")[2], run), only=["Snapshot", "SnapshotFacets"])
    for step in ("Snapshot", "SnapshotFacets"):
        uri = f"s3://{bucket_name(settings, 'artifacts')}/runs/{run}/{step}/manifest/manifest.json"
        body, _ = read_object(Account(settings), uri, role="data-scientist")
        manifest = Manifest.model_validate_json(body)
        assert (manifest.as_of, manifest.rows) == ("42", 42)
        assert manifest.source == pinned(f"{OWNER}:sales.complaints_v2", 42, 42)

    desk.sashiko("data", "pull", "data/complaints", "--limit", "7")
    pulled = pq.read_table(desk.folder / "data/complaints")
    hidden = {"customer_name", "customer_email", "branch"}
    assert (pulled.num_rows, hidden & {*pulled.column_names}) == (7, set())

    desk.sashiko("env", "destroy-data", "--yes")
    emulator.cdk("destroy", "--all", "--force", folder=desk.folder)
    assert theirs(emulator) == table
    left = inventory(emulator)
    # Its owner's grants, and those on the link, are theirs who gave them.
    for grant in {*left.pop("list_permissions")} - {*before.pop("list_permissions")}:
        assert "'sales'" in grant or "'shared'" in grant
    assert left == before
