"""An environment as its templates describe it, and the permission matrix that follows.

The matrix tells which role reads which column of which rows, and why. Lake Formation and IAM are
evaluated as AWS does, only from the templates (roles, governance, bucket policies):

- A column is read by Lake Formation where the table's location is registered, a grant of SELECT or
  ALL matches it, and IAM lets the role use the grant. Grants add up: an
  unfiltered grant overrides a data-cells filter.
- A tag expression matches a column whose tags, its own over the table's over the database's, have
  one of the values for every key.
- A role that can read the table's objects in S3 reads every column and every row.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, permutations
from pathlib import Path
from typing import Any, Literal

from sashiko.account.access import lake_governance as lake
from sashiko.account.access.lake_governance import (
    EVERYBODY,
    CellsFilter,
    Securable,
    TableName,
    Target,
)
from sashiko.account.access.policy_evaluation import (
    Request,
    Statement,
    allows,
    covers,
    denies,
    overlap,
    statements,
)
from sashiko.account.names import prefix
from sashiko.account.templates import CDK_OUT, Resource, Templates, read_templates
from sashiko.errors import InputError
from sashiko.settings.environment import Settings


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A role."""

    name: str  # the role's name without the environment's prefix, such as `broker`
    arn: str
    policy: tuple[Statement, ...]  # every statement of its identity policies
    # Its permissions boundary; None if the templates do not contain it, such as that of the
    # bootstrap: it then counts as allowing everything.
    boundary: tuple[Statement, ...] | None
    trust: tuple[Statement, ...]  # who may assume it

    def may(self, action: str, resource: str, context: Mapping[str, str] | None = None) -> bool:
        """Says whether IAM allows an action by the role's own policies."""
        request = self.request(action, resource, context)
        return self.within(request) and allows(self.policy, request)

    def within(self, request: Request) -> bool:
        """Says whether no policy of the role denies a request, and its boundary allows it."""
        bounded = self.boundary is None or (
            allows(self.boundary, request) and not denies(self.boundary, request)
        )
        return bounded and not denies(self.policy, request)

    def request(
        self, action: str, resource: str, context: Mapping[str, str] | None = None
    ) -> Request:
        """Returns the request that the role would make, over TLS."""
        account = self.arn.split(":")[4]
        defaults = {
            "aws:principalarn": self.arn,
            "aws:principalaccount": account,
            "aws:resourceaccount": account,
            "aws:principalisawsservice": "false",
            "aws:viaawsservice": "false",
            "aws:securetransport": "true",
        }
        overrides = {key.lower(): value for key, value in (context or {}).items()}
        return Request(action=action, resource=resource, context=defaults | overrides)


def read_principals(templates: Templates, settings: Settings) -> tuple[Principal, ...]:
    """Reads the roles, by name; InputError if one has a policy that is not in the templates."""
    managed = {
        resource.ref: statements(resource.properties["PolicyDocument"])
        for part in (templates.of_type, templates.of_bootstrap)
        for resource in part("AWS::IAM::ManagedPolicy")
    }
    attached = [
        (name, statements(resource.properties.get("PolicyDocument", {})))
        for kind in ("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::IAM::RolePolicy")
        for resource in templates.of_type(kind)
        for name in resource.properties.get("Roles", [resource.properties.get("RoleName")])
    ]
    principals = []
    for role in templates.of_type("AWS::IAM::Role"):
        properties = role.properties
        arns = properties.get("ManagedPolicyArns", ())
        for arn in arns:
            if arn not in managed:
                raise InputError(
                    f"{role.stack}: the role {role.ref} has the policy {arn}, whose text is in no "
                    "template, so its permissions are unknown; write its statements out instead"
                )
        inline = [statements(policy["PolicyDocument"]) for policy in properties.get("Policies", ())]
        by_name = [policy for name, policy in attached if name == role.ref]
        principal = Principal(
            name=role.ref.removeprefix(f"{prefix(settings)}-"),
            arn=role_arn(role, templates),
            policy=tuple(chain(*inline, *(managed[arn] for arn in arns), *by_name)),
            boundary=managed.get(properties.get("PermissionsBoundary", "")),
            trust=statements(properties["AssumeRolePolicyDocument"]),
        )
        principals.append(principal)
    return tuple(sorted(principals, key=lambda principal: principal.name))


def role_arn(role: Resource, templates: Templates) -> str:
    """Returns the ARN of a role's resource."""
    path = role.properties.get("Path", "/")
    return f"arn:{templates.partition}:iam::{templates.account}:role{path}{role.ref}"


def read_governance(templates: Templates) -> lake.Governance:
    """Reads how the lake of the templates is governed; InputError for grants of the older type."""
    for old in templates.of_type("AWS::LakeFormation::Permissions"):
        raise InputError(
            f"{old.stack}: {old.logical_id} is an AWS::LakeFormation::Permissions; use "
            "AWS::LakeFormation::PrincipalPermissions, the type that drift and permissions read"
        )

    def of(kind: str) -> Iterator[Mapping[str, Any]]:
        return (item.properties for item in templates.of_type(f"AWS::{kind}"))

    tables = {
        (item["DatabaseName"], item["TableInput"]["Name"]): item["TableInput"]
        for item in of("Glue::Table")
    }
    databases = [item["DatabaseInput"] for item in of("Glue::Database")]
    settings = templates.of_type("Custom::DataLakeSettings")
    admins = frozenset(item.properties["Administrator"] for item in settings)
    return lake.Governance(
        # What the function of the settings is to put: it empties what everybody gets.
        settings=lake.LakeSettings(admins=admins) if admins else None,
        tags=lake.tag_values(of("LakeFormation::Tag")),
        assigned=_assigned(of("LakeFormation::TagAssociation")),
        databases={
            item["Name"]: (
                lake.defaults(item["CreateTableDefaultPermissions"])
                if "CreateTableDefaultPermissions" in item
                else None
            )
            for item in databases
        },
        tables={name: lake.columns(table) for name, table in tables.items()},
        places={
            name: table.get("StorageDescriptor", {}).get("Location", "")
            for name, table in tables.items()
        },
        locations={
            item["ResourceArn"]: lake.location(item) for item in of("LakeFormation::Resource")
        },
        filters={
            lake.filter_key(item): lake.cells_filter(item)
            for item in of("LakeFormation::DataCellsFilter")
        },
        grants=frozenset(
            grant
            for item in of("LakeFormation::PrincipalPermissions")
            for grant in lake.grants(item)
        ),
    )


def _assigned(associations: Iterable[Mapping[str, Any]]) -> dict[lake.Target, dict[str, str]]:
    assigned: dict[lake.Target, dict[str, str]] = {}
    for item in associations:
        ((kind, place),) = item["Resource"].items()
        database, table = place.get("DatabaseName", place["Name"]), place["Name"]
        targets = {
            "Database": [lake.Target(database=database)],
            "Table": [lake.Target(database=database, table=table)],
            "TableWithColumns": [
                lake.Target(database=database, table=table, column=column)
                for column in place.get("ColumnNames", ())
            ],
        }
        for target in targets[kind]:
            for tag in item["LFTags"]:
                assigned.setdefault(target, {})[tag["TagKey"]] = tag["TagValues"][0]
    return assigned


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The roles, policies and governance of an environment."""

    settings: Settings  # the environment
    templates: Templates
    principals: tuple[Principal, ...]  # its roles, by name
    governance: lake.Governance  # its lake
    buckets: Mapping[str, tuple[Statement, ...]]  # bucket -> the statements of its policy

    def arn(self, service: str, resource: str) -> str:
        """Returns the ARN of something in the environment's account and region."""
        source = self.templates
        return f"arn:{source.partition}:{service}:{source.region}:{source.account}:{resource}"

    def object_paths(self, principal: Principal, action: str, bucket: str) -> tuple[str, ...]:
        """Returns the objects of a bucket that a role may access with an action.

        They are patterns of keys, such as `training/*`, none of which covers another; `*` for all.
        The bucket's policy counts. The permission for the bucket's KMS key is not evaluated: it can
        only reduce access.
        """
        all_objects = f"arn:{self.templates.partition}:s3:::{bucket}/*"
        policy = [item for item in self.buckets.get(bucket, ()) if item.is_for(principal.arn)]
        paths = set()
        for statement in (*principal.policy, *policy):
            for pattern in statement.resources or ("*",):
                if not overlap(pattern, all_objects):
                    continue
                resource = pattern if covers(all_objects, pattern) else all_objects
                request = principal.request(action, resource)
                if (
                    allows([statement], request)
                    and principal.within(request)
                    and not denies(policy, request)
                ):
                    paths.add(resource.removeprefix(all_objects[:-1]))
        within = {key for key in paths if any(o != key and covers(o, key) for o in paths)}
        return tuple(sorted(paths - within))


def read_environment(settings: Settings, *, folder: Path = CDK_OUT) -> Environment:
    """Reads an environment from the output of `cdk synth`; errors as `read_templates`."""
    templates = read_templates(settings, folder=folder)
    buckets: dict[str, tuple[Statement, ...]] = {
        bucket.ref: () for bucket in templates.of_type("AWS::S3::Bucket")
    }
    for policy in templates.of_type("AWS::S3::BucketPolicy"):
        name = policy.properties["Bucket"]
        policy_statements = statements(policy.properties["PolicyDocument"])
        buckets[name] = (*buckets.get(name, ()), *policy_statements)
    return Environment(
        settings=settings,
        templates=templates,
        principals=read_principals(templates, settings),
        governance=read_governance(templates),
        buckets=buckets,
    )


_STATUS = "sagemaker:ModelApprovalStatus"


@dataclass(frozen=True, kw_only=True)
class Objects:
    """Which objects of a bucket a role reads and writes, as patterns of keys."""

    principal: str
    bucket: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Duties:
    """The roles that register and approve models, and the roles that can act as others."""

    registers: tuple[str, ...]  # the roles that can create a model package
    # The roles that can approve one, or create one that is approved already.
    approves: tuple[str, ...]
    assumes: tuple[tuple[str, str], ...]  # pairs of a role and another one that it can assume
    # Pairs of a role and another one that it can pass to a service's job.
    passes: tuple[tuple[str, str], ...]


def object_access(environment: Environment) -> tuple[Objects, ...]:
    """Returns which roles read and write objects in the environment's buckets."""
    objects = (
        Objects(
            principal=principal.name,
            bucket=bucket,
            reads=environment.object_paths(principal, "s3:GetObject", bucket),
            writes=environment.object_paths(principal, "s3:PutObject", bucket),
        )
        for bucket in sorted(environment.buckets)
        for principal in environment.principals
    )
    return tuple(item for item in objects if item.reads or item.writes)


def duties(environment: Environment) -> Duties:
    """Returns the roles that register and approve, and those that can act as others."""
    packages, approved = environment.arn("sagemaker", "model-package*"), {_STATUS: "Approved"}
    create, update = "sagemaker:CreateModelPackage", "sagemaker:UpdateModelPackage"
    root = f"arn:{environment.templates.partition}:iam::{environment.templates.account}:root"
    roles = environment.principals
    pairs = list(permutations(roles, 2))
    return Duties(
        registers=tuple(role.name for role in roles if role.may(create, packages)),
        approves=tuple(
            role.name
            for role in roles
            if role.may(create, packages, approved) or role.may(update, packages, approved)
        ),
        assumes=tuple((a.name, b.name) for a, b in pairs if _may_assume(a, b, root)),
        passes=tuple((a.name, b.name) for a, b in pairs if a.may("iam:PassRole", b.arn)),
    )


def _may_assume(role: Principal, other: Principal, root: str) -> bool:
    trust = [item for item in other.trust if item.effect == "Allow"]
    delegated = any(item.is_for(root) for item in trust)
    trusted = any(item.is_for(role.arn) for item in trust)
    return trusted or (delegated and role.may("sts:AssumeRole", other.arn))


Access = Literal["allowed", "filtered", "denied"]
Ground = Literal["tags", "name", "filter", "everybody", "files"]
_READING = frozenset({"SELECT", "ALL", "SUPER"})


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The access of a role to a column."""

    principal: str  # the role's short name, or the ARN of an external principal
    database: str  # the column's database
    table: str  # the column's table
    column: str
    access: Access  # all rows, some rows, or none
    rows: tuple[str, ...] = ()  # where it is filtered: the filters' expressions
    # Why: a tag expression, a grant by name, a filter, a grant to everybody, or the objects in S3.
    grounds: tuple[Ground, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _ReadPath:
    ground: Ground
    rows: str = ""


def permission_matrix(who: Environment, lake: Environment) -> tuple[Cell, ...]:
    """Returns the access of each role of `who` to each column of `lake`.

    `lake` is the same environment or another in the account, whose tables a tag expression could
    match. InputError if a grant is on a filter that no template has.
    """
    known = {principal.arn for principal in who.principals} | {EVERYBODY}
    # The IAM policies of principals that no template has are unknown: they can use their grants.
    anything = statements(
        {"Statement": {"Effect": "Allow", "Action": "*", "NotResource": "arn:*:s3:::*"}}
    )
    others = (
        Principal(name=arn, arn=arn, policy=anything, boundary=None, trust=())
        for arn in sorted({grant.principal for grant in who.governance.grants} - known)
    )
    return tuple(
        _cell(principal, who, lake, name, column)
        for principal in (*who.principals, *others)
        for name, columns in lake.governance.tables.items()
        for column in columns
    )


def _cell(
    principal: Principal, who: Environment, lake: Environment, name: TableName, column: str
) -> Cell:
    read_paths: set[_ReadPath] = set()
    place = lake.governance.places[name].removeprefix("s3://")
    # Lake Formation vends credentials for the files of registered locations alone.
    registered = [arn.partition(":::")[2] for arn in lake.governance.locations]
    vended = any(f"{place}/".startswith(f"{path.rstrip('/')}/") for path in registered)
    if vended and _may_query(principal, lake, name):
        read_paths |= {*_granted(principal, who, lake, name, column)}
    bucket, _, path = place.partition("/")
    keys = f"{path.rstrip('/')}/*"
    if any(
        overlap(pattern, keys) for pattern in lake.object_paths(principal, "s3:GetObject", bucket)
    ):
        read_paths.add(_ReadPath(ground="files"))
    whole = any(not item.rows for item in read_paths)
    access: Access = "denied" if not read_paths else "allowed" if whole else "filtered"
    return Cell(
        principal=principal.name,
        database=name[0],
        table=name[1],
        column=column,
        access=access,
        rows=tuple(sorted({item.rows for item in read_paths})) if access == "filtered" else (),
        grounds=tuple(sorted({item.ground for item in read_paths})),
    )


def _may_query(principal: Principal, lake: Environment, name: TableName) -> bool:
    """Says whether IAM allows a role to use its grants: metadata, credentials, and an engine."""
    metadata = ("catalog", f"database/{name[0]}", f"table/{name[0]}/{name[1]}")
    return (
        all(principal.may("glue:GetTable", lake.arn("glue", item)) for item in metadata)
        and principal.may("lakeformation:GetDataAccess", "*")
        and (
            principal.may("athena:StartQueryExecution", lake.arn("athena", "workgroup/*"))
            or any(item.is_for("glue.amazonaws.com") for item in principal.trust)
        )
    )


def _granted(
    principal: Principal, who: Environment, lake: Environment, name: TableName, column: str
) -> Iterator[_ReadPath]:
    governance = lake.governance
    account = governance.settings.table_defaults if governance.settings else {EVERYBODY}
    defaults = governance.databases.get(name[0])
    # An account without settings in a template may still have AWS's default: everybody.
    if EVERYBODY in (account if defaults is None else defaults):
        yield _ReadPath(ground="everybody")
    everybody = {EVERYBODY, f"{lake.templates.account}:IAMPrincipals"}
    for grant in who.governance.grants | lake.governance.grants:
        if grant.principal not in {principal.arn, *everybody} or grant.permission not in _READING:
            continue
        read_path = _match(grant.securable, who, lake, name, column)
        if read_path:
            yield _ReadPath(ground="everybody") if grant.principal in everybody else read_path


def _match(
    securable: Securable, who: Environment, lake: Environment, name: TableName, column: str
) -> _ReadPath | None:
    if securable.kind == "LFTagPolicy":
        tags = lake.governance.tags_of(Target(database=name[0], table=name[1], column=column))
        matches = all(tags.get(key) in values for key, values in securable.expression)
        return _ReadPath(ground="tags") if matches and securable.resource_type == "TABLE" else None
    if securable.database != name[0] or securable.table not in {"*", name[1]}:
        return None
    if securable.kind in {"Table", "TableWithColumns"}:
        included = _has(column, securable)
        return _ReadPath(ground="name") if included else None
    if securable.kind == "DataCellsFilter":
        key = (*name, securable.name)
        cells = who.governance.filters.get(key) or lake.governance.filters.get(key)
        if cells is None:
            raise InputError(
                f"{'.'.join(name)}: a grant is on the data-cells filter {securable.name}, which "
                "no template has; create it in the Governance stack, or drop the grant"
            )
        return _ReadPath(ground="filter", rows=cells.rows) if _has(column, cells) else None
    return None


def _has(column: str, source: Securable | CellsFilter) -> bool:
    return column not in source.excluded if source.columns is None else column in source.columns
