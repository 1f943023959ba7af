"""An environment as its templates describe it: roles, governance, bucket policies."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from sashiko.account.access import lake_governance as lake
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
