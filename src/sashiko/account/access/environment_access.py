"""An environment as its templates describe it: roles, governance, bucket policies."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sashiko.account.access.governance_json import (
    cells_filter,
    columns,
    defaults,
    filter_key,
    grants,
    location,
)
from sashiko.account.access.lake_governance import Governance, LakeSettings, Target
from sashiko.account.access.policy_evaluation import (
    Statement,
    allows,
    covers,
    denies,
    overlap,
    statements,
)
from sashiko.account.access.principals import Principal, read_principals
from sashiko.account.templates import CDK_OUT, Templates, read_templates
from sashiko.errors import InputError
from sashiko.settings.environment import Settings


def read_governance(templates: Templates) -> Governance:
    """Reads how the lake of the templates is governed.

    Raises:
        InputError: if a template grants by the older type, which this does not evaluate.
    """
    for old in templates.of_type("AWS::LakeFormation::Permissions"):
        raise InputError(
            f"{old.stack}: {old.logical_id} is an AWS::LakeFormation::Permissions; use "
            "AWS::LakeFormation::PrincipalPermissions, which is what audit and permissions read"
        )
    tables = [item.properties for item in templates.of_type("AWS::Glue::Table")]
    databases = [
        item.properties["DatabaseInput"] for item in templates.of_type("AWS::Glue::Database")
    ]
    return Governance(
        settings=_settings(templates),
        tags={
            item.properties["TagKey"]: frozenset(item.properties["TagValues"])
            for item in templates.of_type("AWS::LakeFormation::Tag")
        },
        assigned=_assigned(templates),
        databases={
            item["Name"]: (
                defaults(item["CreateTableDefaultPermissions"])
                if "CreateTableDefaultPermissions" in item
                else None
            )
            for item in databases
        },
        tables={
            (item["DatabaseName"], item["TableInput"]["Name"]): columns(item["TableInput"])
            for item in tables
        },
        places={
            (item["DatabaseName"], item["TableInput"]["Name"]): item["TableInput"]
            .get("StorageDescriptor", {})
            .get("Location", "")
            for item in tables
        },
        locations={
            item.properties["ResourceArn"]: location(item.properties)
            for item in templates.of_type("AWS::LakeFormation::Resource")
        },
        filters={
            filter_key(item.properties): cells_filter(item.properties)
            for item in templates.of_type("AWS::LakeFormation::DataCellsFilter")
        },
        grants=frozenset(
            grant
            for item in templates.of_type("AWS::LakeFormation::PrincipalPermissions")
            for grant in grants(item.properties)
        ),
    )


def _settings(templates: Templates) -> LakeSettings | None:
    """Reads what the function of the settings is to put: it empties what everybody gets."""
    admins = frozenset(
        item.properties["Administrator"] for item in templates.of_type("Custom::DataLakeSettings")
    )
    if not admins:
        return None
    return LakeSettings(
        admins=admins, database_defaults=frozenset(), table_defaults=frozenset(), others={}
    )


def _assigned(templates: Templates) -> Mapping[Target, Mapping[str, str]]:
    assigned: dict[Target, dict[str, str]] = {}
    for item in templates.of_type("AWS::LakeFormation::TagAssociation"):
        for target in _targets(item.properties["Resource"]):
            for tag in item.properties["LFTags"]:
                assigned.setdefault(target, {})[tag["TagKey"]] = tag["TagValues"][0]
    return assigned


def _targets(resource: Mapping[str, Any]) -> Iterator[Target]:
    if database := resource.get("Database"):
        yield Target(database=database["Name"])
    if table := resource.get("Table"):
        yield Target(database=table["DatabaseName"], table=table["Name"])
    if table := resource.get("TableWithColumns"):
        for column in table["ColumnNames"]:
            yield Target(database=table["DatabaseName"], table=table["Name"], column=column)


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The roles, policies and governance of an environment."""

    settings: Settings  # the environment
    templates: Templates
    principals: tuple[Principal, ...]  # its roles, by name
    governance: Governance  # its lake
    buckets: Mapping[str, tuple[Statement, ...]]  # bucket -> the statements of its policy

    def arn(self, service: str, resource: str) -> str:
        """Returns the ARN of something in the environment's account and region."""
        source = self.templates
        return f"arn:{source.partition}:{service}:{source.region}:{source.account}:{resource}"

    def object_paths(self, principal: Principal, action: str, bucket: str) -> tuple[str, ...]:
        """Returns the objects of a bucket that a role may access with an action.

        The bucket's policy counts. The permission for the bucket's KMS key is not evaluated: it can
        only reduce access.

        Returns:
            patterns of keys, such as `training/*`, none of which covers another; `*` for all.
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
        wider = (any(other != key and covers(other, key) for other in paths) for key in paths)
        return tuple(sorted(key for key, within in zip(paths, wider, strict=True) if not within))


def read_environment(settings: Settings, *, folder: Path = CDK_OUT) -> Environment:
    """Reads an environment from the output of `cdk synth`.

    Raises:
        InputError: if the templates are missing, invalid, or of another environment.
    """
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
