"""A table of another owner: its contract, what Glue says of it, and an Iceberg folder."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog

from sashiko.contract.model import Contract
from tests.unit.contract.documents import column_of, contract_of, document, table_of

LAKE = {
    "database": "sales", "table": "loans_v2", "catalog": "222233334444",
    "link": {"database": "shared", "table": "loans"},
}  # fmt: skip
# As the catalog has them: narrower types, and names that are not the contract's.
TYPES = {
    "loan_id": "varchar(20)", "lent_at": "timestamp", "pages": "int", "price": "decimal(10,2)",
    "title": "string", "reader": "string", "age_group": "string", "late": "string",
}  # fmt: skip


def existing(folder: Path, lake: Mapping[str, Any] | None = None, **custom: Any) -> Contract:
    edited = document()
    column_of(edited, "age")["physicalName"] = "Age_Group"
    for name, value in ({"lake": LAKE if lake is None else lake} | custom).items():
        table_of(edited)["customProperties"].append({"property": name, "value": value})
    return contract_of(edited, folder)


def glue_answer(types: Mapping[str, str], *, iceberg: bool = True, **more: Any) -> dict[str, Any]:
    columns = [{"Name": name, "Type": kind} for name, kind in types.items()]
    table = {"Name": "loans_v2", "StorageDescriptor": {"Columns": columns}, "PartitionKeys": []}
    parameters = {"Parameters": {"table_type": "ICEBERG"}} if iceberg else {}
    return {"Table": table | parameters | more}


def link_answer() -> dict[str, Any]:
    names = {"CatalogId": "222233334444", "DatabaseName": "sales", "Name": "loans_v2"}
    return {"Table": {"Name": "loans", "TargetTable": names}}


def iceberg_folder(root: Path, *commits: pa.Table) -> tuple[Path, list[str]]:
    """An Iceberg table with a snapshot a commit, copied from where it was made; and their ids."""
    made = root / "made"
    made.mkdir()
    catalog = SqlCatalog("test", uri="sqlite:///:memory:", warehouse=f"file://{made}")
    catalog.create_namespace("db")
    table = catalog.create_table("db.loans", schema=commits[0].schema)
    for commit in commits:
        table.append(commit)
    shutil.move(made / "db" / "loans", root / "copied")
    return root / "copied", [str(snapshot.snapshot_id) for snapshot in table.snapshots()]
