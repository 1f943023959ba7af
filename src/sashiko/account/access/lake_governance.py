"""The governance of a lake as one record, read from templates or from an account.

Grants are stored as single permissions, in the form in which Lake Formation lists them, so that two
records can be compared as sets.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

EVERYBODY = "IAM_ALLOWED_PRINCIPALS"
Expression = frozenset[tuple[str, frozenset[str]]]
TableName = tuple[str, str]  # database, table


@dataclass(frozen=True, kw_only=True, order=True)
class Target:
    """The target of an LF-Tag: a database, a table or a column."""

    database: str
    table: str = ""
    column: str = ""

    def __str__(self) -> str:
        return ".".join(part for part in (self.database, self.table, self.column) if part)


@dataclass(frozen=True, kw_only=True)
class Securable:
    """The resource of a permission."""

    # As the API calls it: Database, Table, TableWithColumns, DataLocation, LFTagPolicy...
    kind: str
    database: str = ""  # a database's name
    table: str = ""  # a table's name, `*` for all of the database's
    columns: frozenset[str] | None = None  # the columns; None for all but `excluded`
    excluded: frozenset[str] = frozenset()  # columns that are left out of all
    name: str = ""  # of a filter, an LF-Tag or a data location's ARN
    resource_type: str = ""  # what a tag expression matches: DATABASE or TABLE
    # A tag expression: all of the keys, each with any of its values; an LF-Tag's own.
    expression: Expression = frozenset()

    def __str__(self) -> str:
        expression = " and ".join(
            f"{key}={'|'.join(sorted(v))}" for key, v in sorted(self.expression)
        )
        path = ".".join(part for part in (self.database, self.table, self.name) if part)
        columns = f"({', '.join(sorted(self.columns))})" if self.columns is not None else ""
        exclusion = f" without {', '.join(sorted(self.excluded))}" if self.excluded else ""
        parts = (self.kind, self.resource_type, path, expression)
        return " ".join(part for part in parts if part) + columns + exclusion


@dataclass(frozen=True, kw_only=True)
class Grant:
    """One permission of one principal on one thing."""

    principal: str  # a role's ARN, or a group such as IAM_ALLOWED_PRINCIPALS
    securable: Securable  # the resource
    permission: str  # such as SELECT
    grantable: bool = False  # whether the principal may grant it to others; a permission of its own
    condition: str = ""  # an expression that restricts it, empty if none


@dataclass(frozen=True, kw_only=True)
class CellsFilter:
    """A data-cells filter: which rows and which columns of a table."""

    rows: str  # a WHERE expression; empty for all rows
    columns: frozenset[str] | None  # the columns; None for all but `excluded`
    excluded: frozenset[str]  # columns that are left out of all


@dataclass(frozen=True, kw_only=True)
class Location:
    """A registered S3 location."""

    role: str  # ARN of the role that Lake Formation reads it with
    # The enabled switches of the API, such as HybridAccessEnabled.
    modes: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class LakeSettings:
    """The data-lake settings of an account."""

    admins: frozenset[str]  # the administrators
    # The principals with default permissions on a new database.
    database_defaults: frozenset[str] = frozenset()
    # The principals with default permissions on a new table.
    table_defaults: frozenset[str] = frozenset()
    # The API's name of every other member -> its values; an enabled switch has the value `true`, a
    # parameter is `name=value`.
    others: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def lists_all_to(self, caller: str) -> bool:
        """Says whether a caller is an administrator, or a read-only one.

        For other callers Lake Formation lists only their own grants. `caller` is the ARN that STS
        gives: of a user, or of a role's session.
        """
        everybody = self.admins | self.others.get("ReadOnlyAdmins", frozenset())
        _, session, rest = caller.partition(":assumed-role/")
        if not session:
            return caller in everybody
        role = rest.partition("/")[0]
        return any(admin.rpartition("/")[2] == role for admin in everybody if ":role/" in admin)


@dataclass(frozen=True, kw_only=True)
class Governance:
    """The settings, tags, tables and grants that decide who reads what in a lake."""

    settings: LakeSettings | None  # None where no template sets them
    tags: Mapping[str, frozenset[str]]  # LF-Tag key -> its values
    assigned: Mapping[Target, Mapping[str, str]]  # target with LF-Tags of its own -> key -> value
    # Name -> the principals with all permissions on its new tables; None if unset.
    databases: Mapping[str, frozenset[str] | None]
    # Name -> column -> Glue type, the partition keys last.
    tables: Mapping[TableName, Mapping[str, str]]
    places: Mapping[TableName, str]  # name -> where the table's files are, an S3 URI
    locations: Mapping[str, Location]  # registered S3 ARN -> its registration
    filters: Mapping[tuple[str, str, str], CellsFilter]  # table and filter's name -> the filter
    grants: frozenset[Grant]  # every permission
    # Opt-ins of hybrid mode, as grants of OPT_IN. Templates cannot create them.
    opt_ins: frozenset[Grant] = frozenset()

    def tags_of(self, target: Target) -> Mapping[str, str]:
        """Returns a target's LF-Tags: a table inherits its database's, a column its table's.

        The tags of the nearest level win, key by key.
        """
        database = self.assigned.get(Target(database=target.database), {})
        table = self.assigned.get(Target(database=target.database, table=target.table), {})
        return {**database, **table, **self.assigned.get(target, {})}
