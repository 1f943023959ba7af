"""The rules of this project, beside cdk-nag's."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sashiko_cdk.security_rules.template import Resource, Statement, statements, text, values_at

# Resource policies, and inline ones that cdk-nag's IAM5 does not read.
_DOCUMENTS = {
    "AWS::EC2::VPCEndpoint": "PolicyDocument",
    "AWS::ECR::Repository": "RepositoryPolicyText",
    "AWS::Events::EventBus": "Policy",
    "AWS::Glue::DataCatalogEncryptionSettings": "PolicyInJson",
    "AWS::IAM::RolePolicy": "PolicyDocument",
    "AWS::KMS::Key": "KeyPolicy",
    "AWS::S3::BucketPolicy": "PolicyDocument",
    "AWS::SNS::TopicPolicy": "PolicyDocument",
    "AWS::SQS::QueuePolicy": "PolicyDocument",
}
# Any of them limits a call by a service or any principal to this account or its network.
_TIES = {
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "kms:calleraccount",
    "kms:encryptioncontext:aws:logs:arn",
}
_DEPUTY = {"aws:sourceaccount", "aws:sourcearn"}
_BOUNDARY = re.compile(r":policy/cdk-[a-z0-9]+-boundary-[a-z0-9-]+$")
# Where each store names its KMS key.
_KEYS = {
    "AWS::Athena::WorkGroup": [
        "WorkGroupConfiguration.ResultConfiguration.EncryptionConfiguration.KmsKey"
    ],
    "AWS::ECR::Repository": ["EncryptionConfiguration.KmsKey"],
    "AWS::Glue::Job": ["SecurityConfiguration"],
    "AWS::Glue::SecurityConfiguration": [
        "EncryptionConfiguration.CloudWatchEncryption.KmsKeyArn",
        "EncryptionConfiguration.JobBookmarksEncryption.KmsKeyArn",
        "EncryptionConfiguration.S3Encryptions.*.KmsKeyArn",
    ],
    "AWS::Logs::LogGroup": ["KmsKeyId"],
    "AWS::S3::Bucket": [
        "BucketEncryption.ServerSideEncryptionConfiguration.*."
        "ServerSideEncryptionByDefault.KMSMasterKeyID"
    ],
    "AWS::SNS::Topic": ["KmsMasterKeyId"],
    "AWS::SQS::Queue": ["KmsMasterKeyId"],
    "AWS::SageMaker::EndpointConfig": ["KmsKeyId"],
}
STATEFUL = frozenset(
    {
        "AWS::ECR::Repository",
        "AWS::Glue::Database",
        "AWS::Glue::Table",
        "AWS::KMS::Key",
        "AWS::LakeFormation::Tag",
        "AWS::Logs::LogGroup",
        "AWS::S3::Bucket",
        "AWS::SageMaker::ModelPackageGroup",
        "Custom::DataLakeSettings",
    }
)
_KEPT = frozenset({"Retain", "RetainExceptOnCreate"})
_GRANT = "AWS::LakeFormation::PrincipalPermissions"
_TAGGING = "AWS::LakeFormation::TagAssociation"
_READS = {"SELECT", "ALL", "SUPER"}
_ANYBODY = ("IAM_ALLOWED_PRINCIPALS", ":IAMPrincipals")
Table = tuple[str, str]
Tags = dict[str, frozenset[str]]
_WAYS_OUT = frozenset(
    {
        "AWS::EC2::EgressOnlyInternetGateway",
        "AWS::EC2::EIP",
        "AWS::EC2::InternetGateway",
        "AWS::EC2::NatGateway",
    }
)
_EVERYWHERE = {"0.0.0.0/0", "::/0"}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A resource that breaks a rule."""

    resource: Resource
    where: str  # the property, such as `Properties/KmsKeyId`
    # Which one, if a resource can break the rule in several ways; it is part of the id of the
    # acknowledgement.
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule over all templates of an app."""

    name: str  # the id of acknowledgements
    description: str  # what is wrong with a resource that breaks it
    fix: str  # how to resolve a finding
    check: Callable[[Sequence[Resource]], Iterable[Finding]]  # finds the resources that break it


def _allowed(resources: Sequence[Resource]) -> Iterator[tuple[Resource, str, Statement]]:
    for resource in resources:
        key = _DOCUMENTS.get(resource.kind)
        for document in values_at(resource.properties, key) if key else []:
            for statement in statements(document):
                if statement.allows:
                    yield resource, f"Properties/{key}", statement


def _wildcards(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource, where, statement in _allowed(resources):
        details = [f"Action::{action}" for action in statement.actions if "*" in action]
        details += [f"Resource::{arn}" for arn in statement.resources if "*" in arn]
        if resource.kind == "AWS::KMS::Key":
            # The resource of a key policy is its key, and "kms:*" for the account's root delegates
            # access to IAM.
            delegates = all(name.endswith(":root") for _, name in statement.principals)
            details = [
                detail
                for detail in details
                if detail != "Resource::*" and not (delegates and detail == "Action::kms:*")
            ]
        for detail in details:
            yield Finding(resource=resource, where=where, detail=detail)


def _public(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource, where, statement in _allowed(resources):
        anybody = any(name == "*" for _, name in statement.principals)
        if anybody and not statement.conditions & _TIES:
            yield Finding(resource=resource, where=where)


def _confused_deputies(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource in resources:
        if resource.kind == "AWS::IAM::Role":
            document = resource.properties["AssumeRolePolicyDocument"]
            for statement in statements(document):
                if _by_service(statement) and not statement.conditions >= _DEPUTY:
                    yield Finding(resource=resource, where="Properties/AssumeRolePolicyDocument")
    for resource, where, statement in _allowed(resources):
        if _by_service(statement) and not statement.conditions & _TIES:
            yield Finding(resource=resource, where=where)


def _by_service(statement: Statement) -> bool:
    return statement.allows and any(kind == "Service" for kind, _ in statement.principals)


def _without_boundary(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource in resources:
        if resource.kind != "AWS::IAM::Role":
            continue
        boundary = text(resource.properties.get("PermissionsBoundary", ""))
        if not _BOUNDARY.search(boundary):
            yield Finding(resource=resource, where="Properties/PermissionsBoundary")


IAM_RULES = (
    Rule(
        name="wildcard",
        description="A policy on a resource allows by wildcard.",
        fix="Name the actions and resources, or acknowledge the wildcard with its reason.",
        check=_wildcards,
    ),
    Rule(
        name="public",
        description="A policy allows everybody, without a condition that means this account.",
        fix="Name the principals, or add a condition on aws:PrincipalAccount.",
        check=_public,
    ),
    Rule(
        name="confused-deputy",
        description="A service may act here on behalf of another account.",
        fix="Add conditions on aws:SourceAccount and aws:SourceArn, as sashiko_cdk.identity.trust, "
        "where the service's documentation has them; else acknowledge it and say why.",
        check=_confused_deputies,
    ),
    Rule(
        name="boundary",
        description="A role lacks the project's permissions boundary.",
        fix="Pass boundary_of (src/sashiko_cdk/identity/boundary.py) as permissions_boundary.",
        check=_without_boundary,
    ),
)


def _unencrypted(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource in resources:
        for path in _KEYS.get(resource.kind, []):
            keys = [text(key) for key in values_at(resource.properties, path)]
            if not keys or any(key.startswith("alias/aws/") for key in keys):
                where = "Properties/" + path.replace(".*", "").replace(".", "/")
                yield Finding(resource=resource, where=where)


def _not_kept(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource in resources:
        named_role = resource.kind == "AWS::IAM::Role" and "RoleName" in resource.properties
        if resource.kind in STATEFUL or named_role:
            if resource.deletion not in _KEPT:
                yield Finding(resource=resource, where="DeletionPolicy")
            if resource.replacement not in _KEPT:
                yield Finding(resource=resource, where="UpdateReplacePolicy")


STORE_RULES = (
    Rule(
        name="customer-key",
        description="A store is not encrypted with a key of this project.",
        fix="Give it the key of its domain.",
        check=_unencrypted,
    ),
)
# Only for environments that retain their data.
RETAIN = Rule(
    name="retain",
    description="A stateful resource would be lost with its stack, or when it is replaced.",
    fix="Apply the stack's removal_policy to it.",
    check=_not_kept,
)


def _name(value: Mapping[str, Any], *, name: str = "Name") -> Table:
    return text(value.get("DatabaseName", "")), text(value.get(name, ""))


def _readers(resources: Sequence[Resource]) -> Iterator[tuple[Resource, str, Mapping[str, Any]]]:
    """Yields grants that let their principal read: (grant, principal, what it is on)."""
    for grant in resources:
        if grant.kind == _GRANT and _READS & set(grant.properties.get("Permissions", [])):
            principal = text(
                values_at(grant.properties, "Principal.DataLakePrincipalIdentifier")[0]
            )
            yield grant, principal, grant.properties["Resource"]


def _filter_undone(resources: Sequence[Resource]) -> Iterator[Finding]:
    """Finds grants by which a principal reads more of a table than its row filter shows."""
    tags = _tags(resources)
    filtered = {
        (reader, _name(on["DataCellsFilter"], name="TableName"))
        for _, reader, on in _readers(resources)
        if "DataCellsFilter" in on
    }
    for grant, reader, on in _readers(resources):
        any_principal = reader.endswith(_ANYBODY)
        tables = [table for principal, table in filtered if any_principal or principal == reader]
        if any(_reaches(on, table, tags) for table in tables):
            yield Finding(resource=grant, where="Properties/Resource")


def _reaches(on: Mapping[str, Any], table: Table, tags: Mapping[Table, list[Tags]]) -> bool:
    for kind in ("Table", "TableWithColumns"):
        if kind in on:
            database, name = _name(on[kind])
            return database == table[0] and (name == table[1] or "TableWildcard" in on[kind])
    if "LFTagPolicy" not in on:
        return False
    expression = {
        text(item["TagKey"]): set(map(text, item["TagValues"]))
        for item in on["LFTagPolicy"]["Expression"]
    }
    # A table without tags in the templates may have any tag.
    return any(
        all(assigned.get(key, frozenset()) & values for key, values in expression.items())
        for assigned in tags.get(table, [])
    ) or (table not in tags)


def _tags(resources: Sequence[Resource]) -> dict[Table, list[Tags]]:
    """Returns the tags of each table and of each of its tagged columns, inherited ones too."""
    databases: dict[str, Tags] = {}
    tables: dict[Table, Tags] = {}
    columns: dict[tuple[Table, str], Tags] = {}
    for item in (item for item in resources if item.kind == _TAGGING):
        on = item.properties["Resource"]
        tags = {
            text(tag["TagKey"]): frozenset(map(text, tag["TagValues"]))
            for tag in item.properties["LFTags"]
        }
        if "Database" in on:
            databases.setdefault(text(on["Database"]["Name"]), {}).update(tags)
        elif "Table" in on:
            tables.setdefault(_name(on["Table"]), {}).update(tags)
        elif "TableWithColumns" in on:
            table = _name(on["TableWithColumns"])
            tables.setdefault(table, {})
            for column in map(text, on["TableWithColumns"]["ColumnNames"]):
                columns.setdefault((table, column), {}).update(tags)
    table_tags = {table: databases.get(table[0], {}) | own for table, own in tables.items()}
    return {
        table: [inherited, *(inherited | own for (of, _), own in columns.items() if of == table)]
        for table, inherited in table_tags.items()
    }


def _environment_missing(resources: Sequence[Resource]) -> Iterator[Finding]:
    """Finds expressions that match other environments' tables: a wrong environment tag, or none."""
    own = _environments(resources)
    for grant in resources:
        policies = values_at(grant.properties, "Resource.LFTagPolicy")
        for policy in policies if grant.kind == _GRANT else []:
            values = list(_environment_tags(policy.get("Expression", ())))
            if len(values) != 1 or len(values[0]) != 1 or not values[0] <= (own or values[0]):
                yield Finding(resource=grant, where="Properties/Resource/LFTagPolicy/Expression")


def _environments(resources: Sequence[Resource]) -> frozenset[str]:
    """Returns the environment of the databases that the templates tag."""
    environments: set[str] = set()
    for item in (item for item in resources if item.kind == _TAGGING):
        if "Database" in item.properties["Resource"]:
            environments.update(*_environment_tags(item.properties["LFTags"]))
    return frozenset(environments)


def _environment_tags(tags: Iterable[Mapping[str, Any]]) -> Iterator[frozenset[str]]:
    for tag in tags:
        if text(tag["TagKey"]).endswith("-environment"):
            yield frozenset(map(text, tag["TagValues"]))


def _broken_types(resources: Sequence[Resource]) -> Iterator[Finding]:
    for item in resources:
        if item.kind.startswith("AWS::S3Tables::"):
            yield Finding(resource=item, where="Type")
        if item.kind == "AWS::Glue::Table" and _is_iceberg(item.properties):
            yield Finding(resource=item, where="Properties/TableInput")


def _is_iceberg(properties: Mapping[str, Any]) -> bool:
    declared = [str(value) for value in values_at(properties, "TableInput.Parameters.table_type")]
    return bool(values_at(properties, "OpenTableFormatInput")) or "ICEBERG" in map(
        str.upper, declared
    )


def _settings_by_cloudformation(resources: Sequence[Resource]) -> Iterator[Finding]:
    for item in resources:
        if item.kind == "AWS::LakeFormation::DataLakeSettings":
            yield Finding(resource=item, where="Type")


LAKE_RULES = (
    Rule(
        name="row-filter",
        description="A principal with a row filter on a table reads it by another grant too: "
        "permissions add up, so the filter restricts nothing.",
        fix="Grant the principal its other tables by name, and this one by the filter alone.",
        check=_filter_undone,
    ),
    Rule(
        name="tag-environment",
        description="A grant by tags matches the whole catalog, other environments' tables too.",
        fix="Put the environment's tag into the expression, with its own value alone.",
        check=_environment_missing,
    ),
    Rule(
        name="broken-type",
        description="CloudFormation breaks S3 Tables with grants, and an Iceberg table's metadata "
        "when it updates it.",
        fix="Keep Parquet tables (sashiko_cdk/lake/catalog.py), or make it by another tool.",
        check=_broken_types,
    ),
    Rule(
        name="settings-by-function",
        description="CloudFormation's type for the data-lake settings does not empty the default "
        "permissions, and may replace the account's administrators.",
        fix="Change them by src/sashiko_cdk/lake/account_settings.py.",
        check=_settings_by_cloudformation,
    ),
)


def _internet(resources: Sequence[Resource]) -> Iterator[Finding]:
    for item in resources:
        if item.kind in _WAYS_OUT:
            yield Finding(resource=item, where="Type")
        if item.kind == "AWS::EC2::Subnet" and item.properties.get("MapPublicIpOnLaunch"):
            yield Finding(resource=item, where="Properties/MapPublicIpOnLaunch")


def _open_groups(resources: Sequence[Resource]) -> Iterator[Finding]:
    for item in resources:
        if not item.kind.startswith("AWS::EC2::SecurityGroup"):
            continue
        rules = [item.properties, *values_at(item.properties, "SecurityGroupEgress.*")]
        rules += values_at(item.properties, "SecurityGroupIngress.*")
        for rule in rules:
            ranges = values_at(rule, "CidrIp") + values_at(rule, "CidrIpv6")
            if _EVERYWHERE & set(map(text, ranges)):
                yield Finding(resource=item, where="Properties")
        # Without an egress rule, a group allows all outbound traffic.
        if item.kind == "AWS::EC2::SecurityGroup" and "SecurityGroupEgress" not in item.properties:
            yield Finding(resource=item, where="Properties/SecurityGroupEgress")


def _loose_models(resources: Sequence[Resource]) -> Iterator[Finding]:
    for item in resources:
        if item.kind == "AWS::SageMaker::Model":
            if "VpcConfig" not in item.properties:
                yield Finding(resource=item, where="Properties/VpcConfig")
            if item.properties.get("EnableNetworkIsolation") is not True:
                yield Finding(resource=item, where="Properties/EnableNetworkIsolation")


NETWORK_RULES = (
    Rule(
        name="internet",
        description="The network has a way to or from the internet.",
        fix="Reach services through VPC endpoints (src/sashiko_cdk/network/vpc_endpoints.py).",
        check=_internet,
    ),
    Rule(
        name="open-group",
        description="A security group lets traffic from or to anywhere.",
        fix="Name the group or the prefix list on the other end.",
        check=_open_groups,
    ),
    Rule(
        name="model-isolation",
        description="A model runs outside the VPC, or may open connections.",
        fix="Set VpcConfig and EnableNetworkIsolation.",
        check=_loose_models,
    ),
)


def _open_captures(resources: Sequence[Resource]) -> Iterator[Finding]:
    for item in resources:
        if item.kind != "AWS::SageMaker::EndpointConfig":
            continue
        for capture in values_at(item.properties, "DataCaptureConfig"):
            key = text(capture.get("KmsKeyId", ""))
            if not key or key.startswith("alias/aws/"):
                yield Finding(resource=item, where="Properties/DataCaptureConfig/KmsKeyId")


def _without_rollback(resources: Sequence[Resource]) -> Iterator[Finding]:
    for item in resources:
        if item.kind != "AWS::SageMaker::Endpoint":
            continue
        alarms = "DeploymentConfig.AutoRollbackConfiguration.Alarms.*"
        if not values_at(item.properties, alarms):
            yield Finding(resource=item, where="Properties/DeploymentConfig")
        if item.properties.get("RetainAllVariantProperties") is not True:
            yield Finding(resource=item, where="Properties/RetainAllVariantProperties")


def _moving_images(resources: Sequence[Resource]) -> Iterator[Finding]:
    for item in resources:
        if item.kind != "AWS::SageMaker::Model":
            continue
        containers = values_at(item.properties, "PrimaryContainer") + values_at(
            item.properties, "Containers.*"
        )
        for container in containers:
            image = text(container.get("Image", "")).rpartition("/")[2]
            fixed_tag = ":" in image and not image.endswith(":latest")
            if "ModelPackageName" not in container and not fixed_tag:
                yield Finding(resource=item, where="Properties/PrimaryContainer")


SERVING_RULES = (
    Rule(
        name="capture-key",
        description="An endpoint keeps requests, which are personal data, without a key of its "
        "own for them.",
        fix="Give DataCaptureConfig the key of the domain `capture`.",
        check=_open_captures,
    ),
    Rule(
        name="endpoint-update",
        description="An update of an endpoint is not taken back by an alarm, or resets the count "
        "that scaling has made of it.",
        fix="Set AutoRollbackConfiguration, and RetainAllVariantProperties to true.",
        check=_without_rollback,
    ),
    Rule(
        name="model-source",
        description="A model is of an image that may be another one tomorrow.",
        fix="Serve a model package, which names its image, or name a tag or a digest.",
        check=_moving_images,
    ),
)
RULES = (*IAM_RULES, *STORE_RULES, *LAKE_RULES, *NETWORK_RULES, *SERVING_RULES)
