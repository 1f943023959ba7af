"""Changes of a fork between two deploys, and mistakes in its templates."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.infra.contracts import column_of, mortgages, table_of

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


def _of_the_first(kind: str, **properties: Any) -> Callable[[Document], str]:
    """Changes the first resource of a type."""

    def make(resources: Document) -> str:
        name, body = next(item for item in resources.items() if item[1]["Type"] == kind)
        body["Properties"].update(properties)
        return name

    return make


def _filter_of_a_missing_column(resources: Document) -> str:
    resources["Rows"] = {
        "Type": "AWS::LakeFormation::DataCellsFilter",
        "Properties": {
            "TableCatalogId": {"Ref": "AWS::AccountId"},
            "DatabaseName": "sashiko_dev",
            "TableName": "complaints",
            "Name": "rows",
            "ColumnNames": ["complaint_id", "missing"],
            "RowFilter": {"FilterExpression": "product = 'Mortgage'"},
        },
    }
    return "Rows"


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


def _weekly(mistake: Mistake) -> Any:
    """Leaves a mistake to `make test-deploy`: each takes a deploy and a rollback."""
    return pytest.param(mistake, marks=pytest.mark.slow)


MISTAKES = (
    Mistake(
        name="an image that can't be built",
        stack="Platform",
        make=_stage_that_no_dockerfile_has,
        where="its build ended as FAILED",
        reason="target stage nothing could not be found",
    ),
    _weekly(
        Mistake(
            name="an unknown property",
            stack="Network",
            make=_of_the_first("AWS::Logs::LogGroup", RetentionDays=7),
            where="RetentionDays",
            reason="Additional properties are not allowed",
        )
    ),
    _weekly(
        Mistake(
            name="a worker that Glue lacks",
            stack="DataLake",
            make=_of_the_first("AWS::Glue::Job", WorkerType="G.3X"),
            where="WorkerType",
            reason="'G.3X'",
        )
    ),
    _weekly(
        Mistake(
            name="a permission that Lake Formation lacks",
            stack="Governance",
            make=_of_the_first("AWS::LakeFormation::PrincipalPermissions", Permissions=["READ"]),
            where="Permissions",
            reason="'READ'",
        )
    ),
    _weekly(
        Mistake(
            name="a filter on a column that is not there",
            stack="Governance",
            make=_filter_of_a_missing_column,
            where="Column",
            reason="missing",
        )
    ),
    Mistake(
        name="an instance type that training lacks",
        stack="Pipeline",
        make=_instance_that_training_lacks,
        where="PipelineDefinition: step `Train`, Arguments.ResourceConfig.InstanceType",
        reason="`ml.g5.xlage` is not known",
    ),
)
