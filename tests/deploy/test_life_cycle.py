"""An environment's life by the stock command line: bootstrap, deploy, diff, update, destroy."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sashiko.aws.account import Account
from sashiko.aws.audit import compare
from sashiko.aws.doctor import examine
from sashiko.aws.environment import read_environment
from sashiko.aws.live import read_live
from tests.deploy.assembly import bootstrap, synthesize
from tests.deploy.deployed import Deployed, deployed
from tests.deploy.process import REGION, Emulator, running
from tests.deploy.stacks import Stacks
from tests.infra.variants import settings_of

ACCOUNT = "111122223333"
DATABASE = "sashiko_dev"
# An account's settings and its tags outlive the stack: other environments use them.
ACCOUNT_WIDE = {"AWS::LakeFormation::DataLakeSettings", "AWS::LakeFormation::Tag"}


def add_column(document: dict[str, Any]) -> None:
    """A fork's change: one column more."""
    (schema,) = document["schema"]
    column = {
        "name": "branch",
        "description": "The branch that took the complaint.",
        "logicalType": "string",
        "classification": "none",
    }
    schema["properties"].append(column)


def add_admin(app: Any) -> None:
    """A second administrator of the lake."""
    settings = app.node.find_child("LakeFormationAccount").node.find_child("Settings")
    arn = f"arn:aws:iam::{ACCOUNT}:role/sashiko-dev-break-glass"
    settings.add_property_override("Admins.1", {"DataLakePrincipalIdentifier": arn})


def spoil(app: Any) -> None:
    """A job on a worker that Glue lacks, and a permission that Lake Formation lacks."""
    from aws_cdk import aws_glue as glue
    from aws_cdk import aws_lakeformation as lf

    jobs = [item for item in app.node.find_all() if isinstance(item, glue.CfnJob)]
    jobs[0].add_property_override("WorkerType", "G.3X")
    governance = app.node.find_child("Governance").node.find_all()
    grants = [item for item in governance if isinstance(item, lf.CfnPrincipalPermissions)]
    grants[0].add_property_override("Permissions", ["READ"])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Assemblies by name."""
    new = tmp_path_factory.mktemp
    return {
        "dev": synthesize(new("dev"), "dev"),
        "changed": synthesize(new("changed"), "dev", contract=add_column, change=add_admin),
        "spoilt": synthesize(new("spoilt"), "dev", change=spoil),
    }


@pytest.fixture(scope="module")
def dev(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An account that has been bootstrapped and holds the dev environment."""
    with running(ACCOUNT, tmp_path_factory.mktemp("home")) as emulator:
        bootstrap(emulator, tmp_path_factory.mktemp("bootstrap"), "dev")
        emulator.cdk("deploy", "--all", "--require-approval=never", folder=folders["dev"])
        yield emulator


def columns(emulator: Emulator, table: str) -> dict[str, dict[str, str]]:
    found = emulator.client("glue").get_table(DatabaseName=DATABASE, Name=table)["Table"]
    return {item["Name"]: item for item in found["StorageDescriptor"]["Columns"]}


def test_every_resource_answers_by_its_physical_id(dev: Emulator) -> None:
    resources = deployed(dev)

    assert {item.stack.rsplit("-", 1)[1] for item in resources} == {
        "LakeFormationAccount",
        "Identity",
        "Network",
        "DataLake",
        "Governance",
        "Platform",
    }
    assert [item for item in resources if not item.answers()] == []


def test_a_table_has_the_contracts_columns_with_types_and_comments(dev: Emulator) -> None:
    found = columns(dev, "complaints")

    assert found["received_at"]["Type"] == "timestamp"
    assert found["received_at"]["Comment"] == "When the complaint came in, UTC."


def test_nobody_is_let_in_by_the_defaults(dev: Emulator) -> None:
    grants = dev.client("lakeformation").list_permissions()["PrincipalResourcePermissions"]

    principals = {grant["Principal"]["DataLakePrincipalIdentifier"] for grant in grants}
    assert f"arn:aws:iam::{ACCOUNT}:role/sashiko-dev-broker" in principals
    assert "IAM_ALLOWED_PRINCIPALS" not in principals
    assert f"arn:aws:iam::{ACCOUNT}:role/sashiko-dev-training" not in principals


def test_a_bucket_is_encrypted_and_closed(dev: Emulator) -> None:
    s3, bucket = dev.client("s3"), f"sashiko-dev-curated-{ACCOUNT}-{REGION}"

    encryption = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]

    rule = encryption["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert rule["BucketKeyEnabled"] is True
    assert set(block.values()) == {True}
    assert "aws:SecureTransport" in policy and "s3:GetObject" in policy


def test_cloudformations_role_has_the_projects_policies_alone_and_the_cap(dev: Emulator) -> None:
    name = f"cdk-sashiko-cfn-exec-role-{ACCOUNT}-{REGION}"
    iam = dev.client("iam")
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    parts = ("identities", "stores", "lake", "network", "platform")
    assert {item["PolicyName"] for item in attached} == {
        f"cdk-sashiko-execution-{part}-{REGION}" for part in parts
    }
    boundary = iam.get_role(RoleName=name)["Role"]["PermissionsBoundary"]
    cap = f"arn:aws:iam::{ACCOUNT}:policy/cdk-sashiko-cap-{REGION}"
    assert boundary["PermissionsBoundaryArn"] == cap
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == []


def test_the_work_group_keeps_its_own_output_location(dev: Emulator) -> None:
    name = "sashiko-dev-snapshots-training"
    found = dev.client("athena").get_work_group(WorkGroup=name)["WorkGroup"]

    assert found["Configuration"]["EnforceWorkGroupConfiguration"] is True
    location = found["Configuration"]["ResultConfiguration"]["OutputLocation"]
    assert location == f"s3://sashiko-dev-snapshots-{ACCOUNT}-{REGION}/training/athena/"


def test_the_platform_is_as_the_settings_say(dev: Emulator) -> None:
    sagemaker = dev.client("sagemaker")
    (app,) = sagemaker.list_mlflow_apps()["Summaries"]
    found = sagemaker.describe_mlflow_app(Arn=app["Arn"])
    group = sagemaker.describe_model_package_group(
        ModelPackageGroupName="sashiko-dev-complaint-triage"
    )
    repositories = dev.client("ecr").describe_repositories()["repositories"]
    ours = {r["repositoryName"]: r for r in repositories if "/" in r["repositoryName"]}
    budget = {"AccountId": ACCOUNT, "BudgetName": "sashiko-dev"}
    alerts = dev.client("budgets").describe_notifications_for_budget(**budget)["Notifications"]

    assert found["ModelRegistrationMode"] == "AutoModelRegistrationDisabled"
    assert found["RoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/sashiko-dev-mlflow"
    assert group["ModelPackageGroupStatus"] == "Completed"
    assert set(ours) >= {"sashiko-dev/job"}
    assert {r["imageTagMutability"] for r in ours.values()} == {"IMMUTABLE"}
    assert {r["encryptionConfiguration"]["encryptionType"] for r in ours.values()} == {"KMS"}
    assert {(a["NotificationType"], a["Threshold"]) for a in alerts} == {
        ("ACTUAL", 80.0),
        ("FORECASTED", 100.0),
    }


def test_audit_and_doctor_are_content_with_a_fresh_deploy(
    dev: Emulator, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in dev.environment().items():
        monkeypatch.setenv(name, value)
    settings = settings_of("dev")
    account = Account(settings)
    environment = read_environment(settings, folder=folders["dev"] / "cdk.out")

    assert compare(environment, read_live(account, environment)) == ()
    assert [check for check in examine(account, environment) if check.status == "failed"] == []


@pytest.mark.parametrize(("stack", "value"), [("DataLake", "G.3X"), ("Governance", "READ")])
def test_a_deploy_that_aws_would_refuse_fails_and_says_why(
    dev: Emulator, folders: dict[str, Path], stack: str, value: str
) -> None:
    options = ("--exclusively", "--require-approval=never")

    said = dev.cdk("deploy", stack, *options, folder=folders["spoilt"], status=1)

    assert value in said
    # Nothing is left of the attempt: test_life finds no difference.
    assert Stacks(dev).status(f"sashiko-dev-{stack}") == "UPDATE_ROLLBACK_COMPLETE"


def test_life(dev: Emulator, folders: dict[str, Path]) -> None:
    """What comes after the deploy, in order: diff, update, destroy."""
    assert "differences: 0" in dev.cdk("diff", "--all", "--fail", folder=folders["dev"])
    before = deployed(dev)

    update(dev, folders["changed"], before)

    resources = deployed(dev)
    fill(dev, f"sashiko-dev-raw-{ACCOUNT}-{REGION}")
    said = dev.cdk("destroy", "--all", "--force", folder=folders["changed"], status=1)
    assert "Bucket-raw" in said and "BucketNotEmpty" in said
    empty = ("empty-buckets", "--env", "dev")
    assert "run it with --yes" in dev.sashiko(*empty, folder=folders["changed"], status=1)
    said = dev.sashiko(*empty, "--yes", folder=folders["changed"])
    assert re.search(r"\d{2,} objects and versions deleted from \d buckets of dev", said)
    dev.cdk("destroy", "--all", "--force", folder=folders["changed"])
    left = [item for item in resources if item.type not in ACCOUNT_WIDE and item.answers()]
    assert left == []
    assert deployed(dev) == []


def fill(dev: Emulator, bucket: str) -> None:
    """An object with an older version, and one that was deleted: its versions are still there."""
    s3 = dev.client("s3")
    for key in ("kept", "kept", "deleted"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"row")
    s3.delete_object(Bucket=bucket, Key="deleted")


def update(dev: Emulator, folder: Path, before: list[Deployed]) -> None:
    """A column and an admin are added; nothing that holds data is replaced."""
    dev.cdk("deploy", "--all", "--require-approval=never", folder=folder)

    assert "branch" in columns(dev, "complaints")
    settings = dev.client("lakeformation").get_data_lake_settings()["DataLakeSettings"]
    admins = {item["DataLakePrincipalIdentifier"] for item in settings["DataLakeAdmins"]}
    assert f"arn:aws:iam::{ACCOUNT}:role/sashiko-dev-break-glass" in admins
    assert len(admins) == 2
    after = {(item.stack, item.logical_id): item for item in deployed(dev)}
    stateful = ("AWS::S3::Bucket", "AWS::KMS::Key", "AWS::Glue::Table", "AWS::IAM::Role")
    for item in before:
        if item.type in stateful:
            assert after[item.stack, item.logical_id].physical_id == item.physical_id
