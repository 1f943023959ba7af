"""An environment's life by the stock command line: bootstrap, deploy, diff, update, destroy."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sashiko.account.access.environment_access import read_environment
from sashiko.account.access.live import read_live
from sashiko.account.account import Account
from sashiko.doctor.deploy import examine
from sashiko_cdk.bootstrap.execution_policy import PARTS
from sashiko_packs.operations.audit import Difference
from sashiko_packs.operations.lake import compare_lake
from tests.infra.variants import settings_of
from verification.deploy import changes
from verification.deploy.assembly import bootstrap, synthesize
from verification.deploy.changes import (
    check_first_update,
    check_second_images,
    check_second_update,
    fill,
    live_values,
    tags,
)
from verification.deploy.deployed import deployed
from verification.deploy.inventory import identities, inventory
from verification.deploy.process import REGION, Emulator, running
from verification.deploy.stacks import ACCOUNT, Stacks

Audit = Callable[[Path], tuple[Difference, ...]]
# An account's settings and its tags outlive the stack: other environments use them.
ACCOUNT_WIDE = {"AWS::LakeFormation::Tag", "Custom::DataLakeSettings"}
# No update may replace these.
STATEFUL = {
    "AWS::ECR::Repository", "AWS::Glue::Database", "AWS::Glue::Table", "AWS::IAM::Role",
    "AWS::KMS::Key", "AWS::S3::Bucket", "AWS::SageMaker::MlflowApp",
    "AWS::SageMaker::ModelPackageGroup",
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Assemblies by name."""
    new = tmp_path_factory.mktemp
    return {
        "dev": synthesize(new("dev"), "dev"),
        "updated": synthesize(new("updated"), "dev", contract=changes.first_update),
        "changed": synthesize(
            new("changed"),
            "dev",
            contract=changes.second_update,
            image_digests={"job-cpu": f"sha256:{'1' * 64}"},
        ),
    }


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An account that has been bootstrapped."""
    with running(ACCOUNT, tmp_path_factory.mktemp("home")) as emulator:
        bootstrap(emulator, tmp_path_factory.mktemp("bootstrap"), "dev")
        yield emulator


@pytest.fixture(scope="module")
def bare(account: Emulator) -> dict[str, list[str]]:
    """The account's inventory before the first deploy."""
    return inventory(account)


@pytest.fixture(scope="module")
def dev(account: Emulator, bare: Any, folders: dict[str, Path]) -> Emulator:
    """An account that holds the dev environment."""
    account.cdk("deploy", "--all", "--require-approval=never", folder=folders["dev"])
    return account


@pytest.fixture
def audit(dev: Emulator, monkeypatch: pytest.MonkeyPatch) -> Audit:
    """Compares the account with an assembly, as `sashiko audit` does."""
    for name, value in dev.environment().items():
        monkeypatch.setenv(name, value)
    settings = settings_of("dev")

    def compared(folder: Path) -> tuple[Difference, ...]:
        environment = read_environment(settings, folder=folder / "cdk.out")
        return compare_lake(environment, read_live(Account(settings), environment))

    return compared


def test_every_resource_answers_by_its_physical_id(dev: Emulator) -> None:
    resources = deployed(dev)

    assert {item.stack.rsplit("-", 1)[1] for item in resources} == {
        "LakeFormationAccount",
        "Identity",
        "Network",
        "DataLake",
        "Governance",
        "Platform",
        "Pipeline",
    }
    assert [item for item in resources if not item.answers()] == []


def test_every_resource_is_what_its_template_says(dev: Emulator) -> None:
    assert [text for item in deployed(dev) for text in item.differences()] == []


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
    assert {item["PolicyName"] for item in attached} == {
        f"cdk-sashiko-{part}-{REGION}" for part in PARTS
    }
    boundary = iam.get_role(RoleName=name)["Role"]["PermissionsBoundary"]
    cap = f"arn:aws:iam::{ACCOUNT}:policy/cdk-sashiko-cap-{REGION}"
    assert boundary["PermissionsBoundaryArn"] == cap
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == []


def test_the_pipeline_is_the_compiled_definition_with_the_accounts_values(
    dev: Emulator, folders: dict[str, Path]
) -> None:
    sagemaker = dev.client("sagemaker")
    pipeline = sagemaker.describe_pipeline(PipelineName="sashiko-dev-complaints")

    text = (folders["dev"] / "definition.json").read_text()
    for stand_in, value in live_values(dev).items():
        text = text.replace(f'"{stand_in}"', f'"{value}"')
    assert json.loads(pipeline["PipelineDefinition"]) == json.loads(text)
    assert pipeline["RoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/sashiko-dev-pipeline"


def test_an_execution_starts_with_the_datas_version_alone(dev: Emulator) -> None:
    sagemaker = dev.client("sagemaker")
    execution = sagemaker.start_pipeline_execution(
        PipelineName="sashiko-dev-complaints",
        PipelineParameters=[{"Name": "AsOf", "Value": "2026-11-25"}],
    )
    arn = execution["PipelineExecutionArn"]
    description = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
    assert description["PipelineExecutionStatus"] == "Succeeded"  # nothing executes here


def test_the_rules_hand_their_events_to_state_machines(dev: Emulator) -> None:
    events, machines = dev.client("events"), dev.client("stepfunctions")
    rules = {rule["Name"]: rule for rule in events.list_rules()["Rules"]}
    for name in ("image-build-ended", "janitor"):  # they call functions
        del rules[f"sashiko-dev-{name}"]
    machine_arns = {
        item["stateMachineArn"] for item in machines.list_state_machines()["stateMachines"]
    }
    s3 = dev.client("s3").get_bucket_notification_configuration(
        Bucket=f"sashiko-dev-raw-{ACCOUNT}-{REGION}"
    )

    assert {name.removeprefix("sashiko-dev-") for name in rules} == {
        "break-glass", "complaints-loaded", "etl-failed", "extract-complete", "model-approved",
        "model-pending", "model-rejected", "pipeline-failed", "trigger-failed",
    }  # fmt: skip
    for name, rule in rules.items():
        (target,) = events.list_targets_by_rule(Rule=name)["Targets"]
        # STS's calls are read-only management events, which only a rule with this state gets.
        all_management_events = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
        assert rule["State"] == (
            all_management_events if name.endswith("break-glass") else "ENABLED"
        )
        assert target["Arn"] in machine_arns
        assert target["RoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/sashiko-dev-event-router"
        queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:sashiko-dev-undelivered-events"
        assert target["DeadLetterConfig"] == {"Arn": queue}
    assert "EventBridgeConfiguration" in s3


def test_each_image_that_a_job_names_is_there_under_the_tag_of_its_content(
    dev: Emulator,
) -> None:
    pipeline = dev.client("sagemaker").describe_pipeline(PipelineName="sashiko-dev-complaints")
    named = set(re.findall(r"sashiko-dev/\w+:[^\"]+", pipeline["PipelineDefinition"]))

    images = {f"{name}:{tag}" for name, image_tags in tags(dev).items() for tag in image_tags}
    assert {name.partition(":")[0] for name in named} >= {"sashiko-dev/job", "sashiko-dev/train"}
    assert {name for name in named if "-" in name.rpartition(":")[2]} <= images


def test_audit_and_doctor_are_content_with_a_fresh_deploy(
    folders: dict[str, Path], audit: Audit
) -> None:
    assert audit(folders["dev"]) == ()

    settings = settings_of("dev")
    environment = read_environment(settings, folder=folders["dev"] / "cdk.out")
    checks = examine(Account(settings), environment)
    assert [check for check in checks if check.status == "failed"] == []


@pytest.mark.parametrize("mistake", changes.MISTAKES, ids=lambda mistake: mistake.name)
def test_a_deploy_that_aws_would_refuse_fails_and_says_why(
    dev: Emulator, folders: dict[str, Path], tmp_path: Path, mistake: changes.Mistake
) -> None:
    resource = mistake.spoil(folders["dev"], tmp_path)
    options = ("--exclusively", "--require-approval=never")

    output = dev.cdk("deploy", mistake.stack, *options, folder=tmp_path, status=1)

    expected_parts = (resource, mistake.where, mistake.reason)
    assert any(all(part in line for part in expected_parts) for line in output.splitlines()), output
    # The attempt leaves nothing: test_life finds no difference.
    assert Stacks(dev).status(f"sashiko-dev-{mistake.stack}") == "UPDATE_ROLLBACK_COMPLETE"


def test_life(
    dev: Emulator, bare: dict[str, list[str]], folders: dict[str, Path], audit: Audit
) -> None:
    """The steps after the deploy, in order: diff, two updates, destroy."""
    assert "differences: 0" in dev.cdk("diff", "--all", "--fail", folder=folders["dev"])

    images = tags(dev)
    update(dev, folders["updated"], audit)
    check_first_update(dev)
    assert tags(dev) == images  # nothing is built twice
    update(dev, folders["changed"], audit)
    check_second_update(dev)
    check_second_images(dev, images)

    resources = deployed(dev)
    fill(dev, f"sashiko-dev-raw-{ACCOUNT}-{REGION}")
    dev.client("sagemaker").create_model_package(
        ModelPackageGroupName="sashiko-dev-complaint-triage",
        ModelApprovalStatus="PendingManualApproval",
    )
    output = dev.cdk("destroy", "--all", "--force", folder=folders["changed"], status=1)
    assert "sashiko-dev-complaint-triage has model packages" in output
    empty = ("empty", "--env", "dev")
    assert "add --yes" in dev.sashiko(*empty, folder=folders["changed"], status=1)
    output = dev.sashiko(*empty, "--yes", folder=folders["changed"])
    assert re.search(
        r"\d{2,} objects and versions deleted from 6 buckets of dev, and 1 regis", output
    )
    dev.cdk("destroy", "--all", "--force", folder=folders["changed"])
    remaining = [item for item in resources if item.type not in ACCOUNT_WIDE and item.answers()]
    assert remaining == []
    assert deployed(dev) == []
    assert inventory(dev) == bare


def update(dev: Emulator, folder: Path, audit: Audit) -> None:
    """No data-holding resource is replaced, and the account then matches the templates."""
    before = identities(dev)

    dev.cdk("deploy", "--all", "--require-approval=never", folder=folder)

    after = identities(dev)
    assert {key: after.get(key) for key in before} == before
    assert [item for item in Stacks(dev).replacements() if item[1] in STATEFUL] == []
    assert [text for item in deployed(dev) for text in item.differences()] == []
    assert audit(folder) == ()
    assert "differences: 0" in dev.cdk("diff", "--all", "--fail", folder=folder)
