"""A table of another owner, seen from an account: its version, and the grants that it needs."""

import datetime as dt
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sashiko.account.account import Account, DeniedError
from sashiko.account.names import Role, bucket_name, database_name, exploration_workgroup_name
from sashiko.base.files import translate_disk_errors
from sashiko.base.stopping import Stop, stop_on_signals
from sashiko.base.yaml_models import validate
from sashiko.contract.glue import LATEST, is_snapshot, quoted
from sashiko.contract.model import Contract, ExistingTable
from sashiko.data.existing_table import CatalogTable, check_columns, read_table, snapshot_sql
from sashiko.errors import InputError
from sashiko.settings.environment import Settings

_CALLER: Role = "data-scientist"


def describe(account: Account, lake: ExistingTable) -> CatalogTable:
    """Reads a table from the Glue catalog with the caller's rights.

    Raises:
        InputError: if there is none, it is a view, or the caller may not see it.
    """
    fix = "ask its owner for the grants (sashiko env permissions --for-owner)"

    def get_table(**names: str) -> Mapping[str, Any]:
        absent = ("EntityNotFoundException",)
        try:
            answer = account.read("glue", "get_table", absent=absent, role=_CALLER, **names)
        except DeniedError as error:
            raise DeniedError(f"{error}, or {fix}") from error
        if answer is None:
            catalog = names.get("CatalogId", account.number)
            raise InputError(
                f"the Glue catalog of {catalog} shows you no table {names['DatabaseName']}."
                f"{names['Name']}: correct its name, or {fix}"
            )
        return answer

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
        InputError: if the contract names no such table, the table has other columns or no rows,
            the folder exists or cannot be written, or the caller may not.
    """
    from sashiko.contract.derive import existing_rows
    from sashiko.data.athena_lake import download, unload

    lake = contract.lake
    if lake is None:
        raise InputError(f"contract `{contract.id}` names no `lake`: nothing is pulled")
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
    check_columns(visible, contract, columns, name=lake.full_name)
    sample = f"ORDER BY xxhash64(to_utf8(CAST({quoted(key)} AS varchar))) LIMIT {rows}"
    uri = f"s3://{bucket_name(settings, 'artifacts')}/athena/pull-{uuid.uuid4().hex}/"
    with _whole(folder) as half:
        as_of = existing_version(account, settings, lake)
        with stop_on_signals() as stop:
            unload(
                account.client("athena"),
                f"SELECT * FROM {existing_rows(lake, columns, as_of=as_of)} {sample}",  # noqa: S608 - names are quoted
                to=uri, workgroup=exploration_workgroup_name(settings),
                database=database_name(settings), stop=stop,
            )  # fmt: skip
            if not download(account.client("s3"), uri, half, stop=stop):
                raise InputError(f"{lake.full_name} shows you no rows: nothing is pulled")
    return as_of


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """Yields an empty private folder that becomes `folder` at the end, whole or not at all.

    One process at a time fills it, and what a killed one left is removed first.

    Raises:
        InputError: if the folder exists, another process fills it, or it cannot be written.
    """
    half = folder.parent / f".tmp-{folder.name}"
    with translate_disk_errors(f"cannot write {folder}"), ExitStack() as stack:
        half.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(half, os.O_RDONLY)
        stack.callback(os.close, handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"another process pulls {folder}: wait for it") from error
        stack.callback(shutil.rmtree, half, ignore_errors=True)
        if folder.exists():
            raise InputError(f"{folder} exists: nothing is pulled")
        for file in half.iterdir():
            file.unlink()
        yield half
        half.rename(folder)


def columns_by_role(contract: Contract) -> dict[Role, list[str]]:
    """Returns who reads a table of another owner: role -> columns, by their names in the table."""
    training, facets = (
        [column.physical_name.lower() for column in contract.view_columns(view)]
        for view in ("training", "facets")
    )
    return {"broker": training, "data-scientist": training, "bias-evaluator": facets}


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
