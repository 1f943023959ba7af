"""The Glue table of a contract, and checks of names in the Glue catalog."""

import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sashiko.contract.glue_job.spec import TYPES
from sashiko.contract.model import Classification, Contract, ExistingTable
from sashiko.errors import InputError

# Each load of a table is a full extract with its own value of this partition key; the values name
# S3 folders and snapshots.
AS_OF = "as_of"
# In place of such a value, where a table has no load yet and may be read without.
NOTHING_LOADED = "none"
# In place of such a value, the newest snapshot of another owner's table, where one job reads it.
LATEST = "latest"
_SNAPSHOT = re.compile(r"[0-9]{1,19}")
# The ETL's folder of rejected rows, beside the tables; it is not registered as a table.
QUARANTINE = "quarantine"
_COMMENT_LENGTH = 255  # Glue's limit, in characters
# Lake Formation stores tag values in lower case, so other spellings would never match.
_TAG_VALUE = re.compile(r"^[a-z0-9][a-z0-9_.-]{0,62}$")


@dataclass(frozen=True, kw_only=True)
class GlueColumn:
    """A column as Glue describes it."""

    name: str
    type: str
    comment: str
    # Of a table that jobs publish to: a column without a class of its own is pii, as the table is.
    classification: Classification = "pii"


@dataclass(frozen=True, kw_only=True)
class GlueTable:
    """A table as Glue describes it; the partition key is not one of its columns."""

    name: str
    description: str
    columns: tuple[GlueColumn, ...]
    partition_key: GlueColumn | None  # None if the table has no partitions
    # Of a table in the curated bucket beside the contracts': the role whose jobs register its
    # partitions.
    publisher: str | None = None


def glue_table(contract: Contract) -> GlueTable:
    """Returns the Glue table of a contract, with columns in the contract's order."""
    return GlueTable(
        name=contract.table,
        description=contract.title,
        columns=tuple(
            GlueColumn(
                name=column.name,
                type=TYPES[column.logical_type],
                comment=textwrap.shorten(column.description, _COMMENT_LENGTH, placeholder=" ..."),
            )
            for column in contract.columns
        ),
        partition_key=GlueColumn(
            name=AS_OF, type="string", comment="The load that the row came with, a whole extract."
        ),
    )


def table_sql(lake: ExistingTable, suffix: str = "") -> str:
    """Quotes the name of a table of another owner; `$snapshots` as a suffix is its metadata."""
    return f"{quoted(lake.place.database)}.{quoted(lake.place.table + suffix)}"


def is_snapshot(as_of: str) -> bool:
    """Says whether a version can be the id of an Iceberg snapshot, a number of 64 bits."""
    return _SNAPSHOT.fullmatch(as_of) is not None


def quoted(name: str) -> str:
    """Quotes an identifier as standard SQL does."""
    return '"' + name.replace('"', '""') + '"'


def captured_name(table: str) -> str:
    """Names the Glue table of the requests that a model of a table's rows has answered."""
    return f"{table}_captured"


def check_lake(contracts: Mapping[str, Contract], *, row_filters_hold: bool, region: str) -> None:
    """Checks that the contracts of an environment can share a lake.

    `contracts` has file -> contract.

    Raises:
        InputError: one line per problem with file, column, key and what to do.
    """
    problems = [
        f"{file}: table `{contract.table}`: {problem}"
        for file, contract in contracts.items()
        for problem in _problems(contract, row_filters_hold=row_filters_hold, region=region)
    ]
    names = {contract.table for contract in contracts.values()}
    problems += [
        f"{file}: table `{contract.table}`: the captured requests of another table have this "
        "name; choose another `physicalName`"
        for file, contract in contracts.items()
        if contract.table in {captured_name(name) for name in names}
    ]
    for table, count in Counter(contract.table for contract in contracts.values()).items():
        if count > 1:
            files = ", ".join(
                file for file, candidate in contracts.items() if candidate.table == table
            )
            problems.append(
                f"{files}: table `{table}`: {count} contracts of this environment describe it; "
                "give each another `physicalName`, or take one out of the key `contracts`"
            )
    if problems:
        raise InputError("\n".join(problems))


def _problems(contract: Contract, *, row_filters_hold: bool, region: str) -> Iterator[str]:
    if contract.lake and contract.lake.region not in (None, region):
        yield (
            f"key `lake.region`: {contract.lake.region} is not the environment's {region}, which "
            "the boundary of its roles lets no call leave; ask the owner for a copy there"
        )
    if contract.lake is not None and not row_filters_hold:
        yield (
            "key `lake`: only Lake Formation lets a role read another owner's table without a "
            "right to its bucket: set `lake_formation.mode: enforced`"
        )
    if contract.table == QUARANTINE:
        yield "the lake keeps rejected rows under this name; choose another `physicalName`"
    if contract.lake is None and AS_OF in [column.name for column in contract.columns]:
        yield (
            f"column `{AS_OF}`: the lake adds a partition key of this name; rename the column, "
            "and set `physicalName` to its name in the file"
        )
    if contract.domain is not None and not _TAG_VALUE.match(contract.domain):
        yield (
            f"key `domain`: {contract.domain!r} cannot be the value of an LF-Tag; use lower-case "
            "letters, digits, `-`, `_` and `.`, at most 63 of them"
        )
    if contract.row_filters and not row_filters_hold:
        yield (
            "key `rowFilters`: not enforced with `lake_formation.mode: iam_only`; "
            "set `enforced`, or remove them"
        )
