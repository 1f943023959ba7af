"""Changes of a fork between two deploys, mistakes in its templates, and what is checked then."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.infra.contracts import column_of, mortgages, table_of
from verification.deploy.process import Emulator
from verification.deploy.stacks import ACCOUNT

Document = dict[str, Any]
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
    table["properties"].append(
        {
            "name": "branch",
            "description": "The branch that took the complaint.",
            "logicalType": "string",
            "classification": "none",
        }
    )
    column_of(document, "channel")["classification"] = channel
    (text_columns,) = [
        item for item in table["customProperties"] if item["property"] == "textColumns"
    ]
    text_columns["value"].remove("channel")  # only columns that a broker may read become text
    mortgages(*shown, persona=READER)(document)


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A template that AWS would refuse, and the expected message.

    Attributes:
        name: the mistake.
        stack: the stack whose template has it.
        make: makes the mistake in that template's resources, and returns the logical id.
        where: the property that the message has to name.
        reason: the text that the message has to give for the property.
    """

    name: str
    stack: str
    make: Callable[[Document], str]
    where: str
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
        and not item[1]["Properties"]["PipelineName"].endswith("-monitor")
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
        name="an image that can't be built",
        stack="Platform",
        make=_stage_that_no_dockerfile_has,
        where="its build ended as FAILED",
        reason="target stage nothing could not be found",
    ),
    Mistake(
        name="an instance type that training lacks",
        stack="Pipeline",
        make=_instance_that_training_lacks,
        where="PipelineDefinition: step `Train`, Arguments.ResourceConfig.InstanceType",
        reason="`ml.g5.xlage` is not known",
    ),
)


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
