"""An environment's life by the stock command line: bootstrap, deploy, diff, update, destroy."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sashiko.account.access.environment_access import read_environment
from sashiko.account.access.live import Difference
from sashiko.account.account import Account
from sashiko.doctor.deploy import examine
from sashiko_cdk.bootstrap.execution_policy import PARTS
from sashiko_packs.operations.audit import read_live
from sashiko_packs.operations.lake import compare_lake
from tests.infra.contracts import column_of, mortgages, table_of
from tests.infra.variants import settings_of
from verification.deploy.assembly import bootstrap, synthesize
from verification.deploy.deployed import deployed
from verification.deploy.inventory import identities, inventory
from verification.deploy.process import REGION, Emulator, running
from verification.deploy.stacks import ACCOUNT, Stacks

Document = dict[str, Any]
Audit = Callable[[Path], tuple[Difference, ...]]
# An account's settings and its tags outlive the stack: other environments use them.
ACCOUNT_WIDE = {"AWS::LakeFormation::Tag", "Custom::DataLakeSettings"}
# No update may replace these.
STATEFUL = {
    "AWS::ECR::Repository", "AWS::Glue::Database", "AWS::Glue::Table", "AWS::IAM::Role",
    "AWS::KMS::Key", "AWS::S3::Bucket", "AWS::SageMaker::MlflowApp",
    "AWS::SageMaker::ModelPackageGroup",
}  # fmt: skip
READER = "data-scientist"
SHOWN = ("complaint_id", "product")
SHOWN_NEXT = ("complaint_id", "received_at", "product")


def first_update(document: Document) -> None:
    """A new column, a column with fewer readers, and a row filter for one reader."""
    _change(document, "pii", SHOWN)


def second_update(document: Document) -> None:
    """The first update with another filter, and the column open to bias evaluation.

    By way of pii, as docs/pitfalls.md says: in one deploy the new tag might go with the old.
    """
    _change(document, "sensitive", SHOWN_NEXT)


def _change(document: Document, channel: str, shown: tuple[str, ...]) -> None:
    table = table_of(document)
    branch = {"name": "branch", "logicalType": "string", "classification": "none"}
    table["properties"].append(branch | {"description": "The branch that took the complaint."})
    column_of(document, "channel")["classification"] = channel
    (text_columns,) = [
        item for item in table["customProperties"] if item["property"] == "textColumns"
    ]
    text_columns["value"].remove("channel")  # only columns that a broker may read become text
    mortgages(*shown, persona=READER)(document)


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A template that AWS would refuse, and the expected message."""

    name: str
    stack: str
    make: Callable[[Document], str]  # changes the stack's resources, returns the logical id
    where: str  # the property that the message has to name
    reason: str

    def spoil(self, folder: Path, new: Path) -> str:
        """Makes the mistake in a copy of an assembly; returns the logical id of the resource.

        A changed template takes no synth, but a new hash: the command line uploads it under that,
        and does not look into what is there.
        """
        shutil.copytree(folder, new, dirs_exist_ok=True)
        file = new / f"cdk.out/{self.stack}.template.json"
        template = json.loads(file.read_text())
        name = self.make(template["Resources"])
        file.write_text(json.dumps(template))
        assets = new / f"cdk.out/{self.stack}.assets.json"
        (before,) = [
            key
            for key, item in json.loads(assets.read_text())["files"].items()
            if item["source"]["path"] == file.name
        ]
        after = hashlib.sha256(file.read_bytes()).hexdigest()
        for text in (assets, new / "cdk.out/manifest.json"):
            text.write_text(text.read_text().replace(before, after))
        return name


def _instance_that_training_lacks(resources: Document) -> str:
    ((name, body),) = (
        item
        for item in resources.items()
        if item[1]["Type"] == "AWS::SageMaker::Pipeline"
        and "ml.g5.xlarge" in json.dumps(item[1]["Properties"]["PipelineDefinition"])
    )
    definition = body["Properties"]["PipelineDefinition"]["PipelineDefinitionBody"]["Fn::Sub"]
    definition[0] = definition[0].replace("ml.g5.xlarge", "ml.g5.xlage")
    return name


def _stage_that_no_dockerfile_has(resources: Document) -> str:
    (name,) = [
        name
        for name, body in resources.items()
        if body["Type"] == "Custom::ImageBuild" and body["Properties"]["Target"] == "serving"
    ]
    properties = resources[name]["Properties"]
    image = properties["Image"].replace(properties["Tag"], "0.1.0-another")
    properties.update(Target="nothing", Tag="0.1.0-another", Image=image)
    return name


MISTAKES = (
    Mistake(
        name="an image that can't be built", stack="Platform", make=_stage_that_no_dockerfile_has,
        where="its build ended as FAILED", reason="target stage nothing could not be found",
    ),
    Mistake(
        name="an instance type that training lacks", stack="Pipeline",
        make=_instance_that_training_lacks,
        where="PipelineDefinition: step `Train`, Arguments.ResourceConfig.InstanceType",
        reason="`ml.g5.xlage` is not known",
    ),
)  # fmt: skip
DATABASE = "sashiko_dev"


def columns(emulator: Emulator, table: str) -> dict[str, dict[str, str]]:
    description = emulator.client("glue").get_table(DatabaseName=DATABASE, Name=table)["Table"]
    return {item["Name"]: item for item in description["StorageDescriptor"]["Columns"]}


def check_reader(dev: Emulator, shown: tuple[str, ...]) -> None:
    """The reader has the rows of one filter, and no SELECT that would add others to them."""
    lake = dev.client("lakeformation")
    table = {"CatalogId": ACCOUNT, "DatabaseName": DATABASE, "Name": "complaints"}
    (cells,) = lake.list_data_cells_filter(Table=table)["DataCellsFilters"]
    assert sorted(cells["ColumnNames"]) == sorted((*shown, "as_of"))  # queries name the load
    assert cells["RowFilter"] == {"FilterExpression": "product = 'Mortgage'"}
    reader = f"arn:aws:iam::{ACCOUNT}:role/sashiko-dev-{READER}"
    grants = lake.list_permissions(Principal={"DataLakePrincipalIdentifier": reader})
    readable = [
        grant["Resource"]
        for grant in grants["PrincipalResourcePermissions"]
        if "SELECT" in grant["Permissions"]
    ]
    filters = [item["DataCellsFilter"] for item in readable if "DataCellsFilter" in item]
    assert [item["Name"] for item in filters] == [cells["Name"]]
    assert [item for item in readable if "LFTagPolicy" in item or "Table" in item] == []
    named = [item["TableWithColumns"]["Name"] for item in readable if "TableWithColumns" in item]
    assert "complaints" not in named


def own_tags(dev: Emulator, column: str) -> dict[str, list[str]]:
    """The tags on a column itself."""
    resource = {"DatabaseName": DATABASE, "Name": "complaints", "ColumnNames": [column]}
    assigned = dev.client("lakeformation").get_resource_lf_tags(
        Resource={"TableWithColumns": resource}, ShowAssignedLFTags=True
    )
    return {
        tag["TagKey"]: tag["TagValues"]
        for item in assigned["LFTagsOnColumns"]
        if item["Name"] == column
        for tag in item["LFTags"]
    }


def live_values(dev: Emulator) -> dict[str, str]:
    """Placeholder -> the value, from the services' own lists, not from stacks."""
    ec2, kms = dev.client("ec2"), dev.client("kms")
    named = [{"Name": "tag:project", "Values": ["sashiko"]}]
    (subnet,) = ec2.describe_subnets(Filters=named)["Subnets"]
    groups = [{"Name": "group-name", "Values": ["sashiko-dev-jobs"]}]
    (group,) = ec2.describe_security_groups(Filters=groups)["SecurityGroups"]
    (app,) = dev.client("sagemaker").list_mlflow_apps()["Summaries"]
    keys = {
        f"DeployTime-Key-{domain}": kms.describe_key(KeyId=f"alias/sashiko-dev-{domain}")[
            "KeyMetadata"
        ]["Arn"]
        for domain in ("ml", "snapshots")
    }
    return {
        **keys,
        "DeployTime-Subnet-a": subnet["SubnetId"],
        "DeployTime-SecurityGroup": group["GroupId"],
        "DeployTime-TrackingUri": app["Arn"],
    }


def fill(dev: Emulator, bucket: str) -> None:
    """An object with an older version, and one that was deleted: its versions are still there."""
    s3 = dev.client("s3")
    for key in ("kept", "kept", "deleted"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"row")
    s3.delete_object(Bucket=bucket, Key="deleted")


def tags(dev: Emulator) -> dict[str, set[str]]:
    """Repository -> the tags in it."""
    ecr = dev.client("ecr")
    names = [item["repositoryName"] for item in ecr.describe_repositories()["repositories"]]
    return {
        name: {item["imageTag"] for item in ecr.list_images(repositoryName=name)["imageIds"]}
        for name in names
        if "/" in name
    }


def check_second_images(dev: Emulator, before: dict[str, set[str]]) -> None:
    """Another base: two images are rebuilt, and the old images stay available."""
    new = {
        name: image_tags - before[name]
        for name, image_tags in tags(dev).items()
        if image_tags - before[name]
    }
    assert set(new) == {"sashiko-dev/bias", "sashiko-dev/job"}
    assert all(before[name] <= image_tags for name, image_tags in tags(dev).items())
    pipeline = dev.client("sagemaker").describe_pipeline(PipelineName="sashiko-dev-complaints")
    (tag,) = new["sashiko-dev/job"]
    assert f"sashiko-dev/job:{tag}" in pipeline["PipelineDefinition"]


def check_first_update(dev: Emulator) -> None:
    """A new column, a reader's row filter, and a column with fewer readers."""
    assert "branch" in columns(dev, "complaints")
    check_reader(dev, SHOWN)
    assert own_tags(dev, "channel") == {}  # pii, as the table is


def check_second_update(dev: Emulator) -> None:
    """Another filter, and the column with its next tag."""
    check_reader(dev, SHOWN_NEXT)
    assert own_tags(dev, "channel") == {"sashiko-sensitivity": ["sensitive"]}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Assemblies by name."""
    new = tmp_path_factory.mktemp
    return {
        "dev": synthesize(new("dev"), "dev"),
        "updated": synthesize(new("updated"), "dev", contract=first_update),
        "changed": synthesize(
            new("changed"),
            "dev",
            contract=second_update,
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
    """Compares the account with an assembly, as `sashiko env drift` does."""
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
        "LakeFormationAccount", "Identity", "Network", "DataLake", "Governance", "Platform",
        "Pipeline",
    }  # fmt: skip
    assert [item for item in resources if not item.answers()] == []


def test_every_resource_is_what_its_template_says(dev: Emulator) -> None:
    assert [text for item in deployed(dev) for text in item.differences()] == []


def test_nobody_is_let_in_by_the_defaults(dev: Emulator) -> None:
    grants = dev.client("lakeformation").list_permissions()["PrincipalResourcePermissions"]

    principals = {grant["Principal"]["DataLakePrincipalIdentifier"] for grant in grants}
    assert f"arn:aws:iam::{ACCOUNT}:role/sashiko-dev-broker" in principals
    assert "IAM_ALLOWED_PRINCIPALS" not in principals
    assert f"arn:aws:iam::{ACCOUNT}:role/sashiko-dev-training" not in principals


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


def test_each_image_that_a_job_names_is_there_under_the_tag_of_its_content(dev: Emulator) -> None:
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
    checks = examine(Account(settings), settings, environment)
    assert [check for check in checks if check.status == "failed"] == []


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_deploy_that_aws_would_refuse_fails_and_says_why(
    dev: Emulator, folders: dict[str, Path], tmp_path: Path, mistake: Mistake
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
    empty = ("env", "destroy-data", "--env", "dev")
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
