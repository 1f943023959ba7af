"""A table of another owner, seen from an account: its version, and the grants that it needs."""

import datetime as dt
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sashiko.account.account import Account
from sashiko.account.names import (
    Role,
    bucket_name,
    database_name,
    exploration_workgroup_name,
)
from sashiko.base.stopping import Stop
from sashiko.base.yaml_models import validate
from sashiko.contract.glue import LATEST, is_snapshot, quoted
from sashiko.contract.model import Contract, ExistingTable
from sashiko.data.existing_table import CatalogTable, read_table, snapshot_sql
from sashiko.errors import InputError
from sashiko.settings.environment import Settings

_CALLER: Role = "data-scientist"


def describe(account: Account, lake: ExistingTable) -> CatalogTable:
    """Reads a table from the Glue catalog with the caller's rights.

    Raises:
        InputError: if there is none, or the caller may not see it.
    """

    def get_table(**names: str) -> Mapping[str, Any]:
        absent = ("EntityNotFoundException",)
        if answer := account.read("glue", "get_table", absent=absent, role=_CALLER, **names):
            return answer
        raise InputError(
            f"the Glue catalog shows you no table {'.'.join(names.values())}: correct its name, or "
            "ask its owner for the grants (sashiko env permissions --for-owner)"
        )

    return read_table(get_table, lake)


def draft_from_glue(settings: Settings, place: str, *, name: str, label: str) -> Path:
    """Drafts the contract of `database.table` in the catalog; see `write_catalog_draft`."""
    from sashiko.data.draft.write import write_catalog_draft

    database, _, table = place.partition(".")
    lake = validate(ExistingTable, {"database": database, "table": table}, source=place)
    return write_catalog_draft(describe(Account(settings), lake), name=name, label=label)


def existing_version(
    account: Account, settings: Settings, lake: ExistingTable, *, as_of: str | None = None
) -> str:
    """Returns the `AsOf` of a run: the id of a snapshot that exists, the newest without `as_of`.

    A table without snapshots gets the present time as the name of its copy.

    Raises:
        InputError: if there is no such snapshot, or the caller may not read the table.
    """
    from sashiko.data.athena_lake import run_query

    is_iceberg = describe(account, lake).is_iceberg
    if as_of is not None and not (is_iceberg and is_snapshot(as_of)):
        raise InputError(
            f"--as-of {as_of}: {lake.full_name} has "
            + ("snapshots: name the id of one" if is_iceberg else "no snapshots: leave it out")
        )
    if not is_iceberg:
        return f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}"
    query = run_query(
        account.client("athena"), snapshot_sql(lake, as_of or LATEST), stop=Stop(),
        workgroup=exploration_workgroup_name(settings), database=database_name(settings),
    )  # fmt: skip
    results = account.read("athena", "get_query_results", role=_CALLER, QueryExecutionId=query)
    # The first row of a SELECT's results has the names of the columns.
    rows = (results or {})["ResultSet"]["Rows"][1:]
    if len(rows) != 1:
        raise InputError(f"{lake.full_name} has no snapshot {as_of or ''}".strip())
    return str(rows[0]["Data"][0]["VarCharValue"])


def pull_sample(
    account: Account, settings: Settings, contract: Contract, *, rows: int, folder: Path
) -> str:
    """Copies rows that a hash of the key chooses into a new folder; returns their version.

    It has the columns that the contract does not call pii and that the caller may see. What Athena
    writes on the way lies with the results of queries, and expires as they do.

    Raises:
        InputError: if the contract names no such table, the folder exists, or the caller may not.
    """
    from sashiko.contract.derive import existing_rows
    from sashiko.data.athena_lake import download, unload

    lake = contract.lake
    if lake is None or folder.exists():
        why = f"contract `{contract.id}` names no `lake`" if lake is None else f"{folder} exists"
        raise InputError(f"{why}: nothing is pulled")
    visible = describe(account, lake).types
    columns = [
        # By its own name: the folder stands for the table.
        column.model_copy(update={"name": column.physical_name.lower()})
        for column in contract.columns
        if column.classification != "pii" and column.physical_name.lower() in visible
    ]
    key = contract.column(contract.key).physical_name.lower()
    if key not in [column.name for column in columns]:
        raise InputError(f"the key `{key}` is pii, or not granted to you: nothing is pulled")
    as_of, stop = existing_version(account, settings, lake), Stop()
    sample = f"ORDER BY xxhash64(to_utf8(CAST({quoted(key)} AS varchar))) LIMIT {rows}"
    uri = f"s3://{bucket_name(settings, 'artifacts')}/athena/pull-{uuid.uuid4().hex}/"
    unload(
        account.client("athena"),
        f"SELECT * FROM {existing_rows(lake, columns, as_of=as_of)} {sample}",  # noqa: S608 - names are quoted
        to=uri, workgroup=exploration_workgroup_name(settings),
        database=database_name(settings), stop=stop,
    )  # fmt: skip
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".tmp-") as half:
        download(account.client("s3"), uri, Path(half), stop=stop)
        Path(half).rename(folder)
    return as_of


def columns_by_role(contract: Contract) -> dict[Role, list[str]]:
    """Returns who reads a table of another owner: role -> columns, by their names in the table."""
    training, facets = (
        [column.physical_name.lower() for column in contract.view_columns(view)]
        for view in ("training", "facets")
    )
    readers: dict[Role, list[str]] = {"broker": training}
    return readers | {"data-scientist": training, "bias-evaluator": facets}


def owner_text(settings: Settings, contract: Contract) -> str:
    """Writes the commands by which a table's owner, and then the environment's lake, grant it.

    A grant on a link says nothing of the table behind it ("Granting resource link permissions");
    of a table of another account an administrator here grants on what that account has granted to
    this one ("Accessing the underlying data of a shared table", Lake Formation Developer Guide).
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # noqa: S701 - commands, not HTML; `tojson` quotes their values
        loader=PackageLoader("sashiko", "account"),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    readers = columns_by_role(contract)
    return environment.get_template("owner_grants.j2").render(
        settings=settings, contract=contract, lake=contract.lake, readers=readers,
        columns=list(dict.fromkeys(name for names in readers.values() for name in names)),
    )  # fmt: skip
