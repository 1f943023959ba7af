"""The dev environment's lake, read from Glue and Lake Formation."""

from verification.deploy.changes import READER
from verification.deploy.parts import ACCOUNT
from verification.deploy.process import Emulator

DATABASE = "sashiko_dev"


def columns(emulator: Emulator, table: str) -> dict[str, dict[str, str]]:
    """The columns of a table by name."""
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
