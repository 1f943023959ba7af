"""The rules of this project, beside cdk-nag's, over synthesized templates."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sashiko.account.access.policy_evaluation import Statement, statements

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
_GRANT = "LakeFormation::PrincipalPermissions"
_TAGGING = "LakeFormation::TagAssociation"
_READS = {"SELECT", "ALL", "SUPER"}
_ANYBODY = ("IAM_ALLOWED_PRINCIPALS", ":IAMPrincipals")
Table = tuple[str, str]
Tags = dict[str, frozenset[str]]
_WAYS_OUT = (
    "EC2::EgressOnlyInternetGateway",
    "EC2::EIP",
    "EC2::InternetGateway",
    "EC2::NatGateway",
)
_EVERYWHERE = {"0.0.0.0/0", "::/0"}


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource of a template."""

    logical_id: str  # its name in the template
    kind: str  # its CloudFormation type
    properties: Mapping[str, Any]  # as the template has them, with intrinsic functions
    deletion: str | None  # its `DeletionPolicy`
    replacement: str | None  # its `UpdateReplacePolicy`
    template: str  # the template's path


def read_resources(paths: Sequence[str]) -> list[Resource]:
    """Reads the resources of the templates at `paths`."""
    return [
        Resource(
            logical_id=logical_id,
            kind=value["Type"],
            properties=value.get("Properties", {}),
            deletion=value.get("DeletionPolicy"),
            replacement=value.get("UpdateReplacePolicy"),
            template=path,
        )
        for path in paths
        for logical_id, value in json.loads(Path(path).read_text()).get("Resources", {}).items()
    ]


def values_at(value: Any, path: str) -> list[Any]:
    """Returns the values at a dotted path; `*` is every item of a list; [] if it is missing."""
    values = [value]
    for part in path.split("."):
        if part == "*":
            values = [item for value in values if isinstance(value, list) for item in value]
        else:
            values = [v[part] for v in values if isinstance(v, Mapping) and part in v]
    return values


def text(value: Any) -> str:
    """Writes a value with intrinsic functions as one line: `Fn::Join` joined, `Ref` as <id>."""
    if not isinstance(value, Mapping):
        return str(value)
    (function, argument), *rest = value.items()
    if rest:
        return json.dumps(value, sort_keys=True)
    if function == "Fn::Join":
        return str(argument[0]).join(text(part) for part in argument[1])
    if function == "Fn::GetAtt":
        return f"<{'.'.join(argument)}>"
    return f"<{argument}>" if function == "Ref" else json.dumps(value, sort_keys=True)


def statements_of(document: Any) -> tuple[Statement, ...]:
    """Reads a policy document with intrinsic functions, which stand as `text` writes them."""
    return statements(_written(document))


def _written(value: Any) -> Any:
    if isinstance(value, list):
        return [_written(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::")):
        return text(value)
    return {key: _written(item) for key, item in value.items()}


@dataclass(frozen=True)
class Finding:
    """A resource that breaks a rule."""

    resource: Resource
    where: str  # the property, such as `Properties/KmsKeyId`
    # Which one, if a resource can break the rule in several ways; it is part of the id of the
    # acknowledgement.
    detail: str = ""


@dataclass(frozen=True)
class Rule:
    """A rule over all templates of an app."""

    name: str  # the id of acknowledgements
    check: Callable[[Sequence[Resource]], Iterable[Finding]]  # finds the resources that break it
    description: str  # what is wrong with a resource that breaks it
    fix: str  # how to resolve a finding


def _of(resources: Sequence[Resource], *kinds: str) -> Iterator[Resource]:
    return (resource for resource in resources if resource.kind.removeprefix("AWS::") in kinds)


def _allowed(resources: Sequence[Resource]) -> Iterator[tuple[Resource, str, Statement]]:
    for resource in resources:
        key = _DOCUMENTS.get(resource.kind)
        for document in values_at(resource.properties, key) if key else []:
            for statement in statements_of(document):
                if statement.effect == "Allow":
                    yield resource, f"Properties/{key}", statement


def _wildcards(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource, where, statement in _allowed(resources):
        details = [f"Action::{action}" for action in statement.actions if "*" in action]
        details += [f"Resource::{arn}" for arn in statement.resources if "*" in arn]
        if resource.kind == "AWS::KMS::Key":
            # The resource of a key policy is its key, and "kms:*" for the account's root delegates
            # access to IAM.
            delegates = all(name.endswith(":root") for name in statement.principals)
            usual = {"Resource::*", *(["Action::kms:*"] if delegates else [])}
            details = [detail for detail in details if detail not in usual]
        yield from (Finding(resource, where, detail) for detail in details)


def _public(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource, where, statement in _allowed(resources):
        if "*" in statement.principals and not statement.condition_keys & _TIES:
            yield Finding(resource, where)


def _confused_deputies(resources: Sequence[Resource]) -> Iterator[Finding]:
    for role in _of(resources, "IAM::Role"):
        for statement in statements_of(role.properties["AssumeRolePolicyDocument"]):
            allows = statement.effect == "Allow" and statement.services
            if allows and not statement.condition_keys >= _DEPUTY:
                yield Finding(role, "Properties/AssumeRolePolicyDocument")
    for resource, where, statement in _allowed(resources):
        if statement.services and not statement.condition_keys & _TIES:
            yield Finding(resource, where)


def _without_boundary(resources: Sequence[Resource]) -> Iterator[Finding]:
    for role in _of(resources, "IAM::Role"):
        if not _BOUNDARY.search(text(role.properties.get("PermissionsBoundary", ""))):
            yield Finding(role, "Properties/PermissionsBoundary")


def _unencrypted(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource in resources:
        for path in _KEYS.get(resource.kind, []):
            keys = [text(key) for key in values_at(resource.properties, path)]
            if not keys or any(key.startswith("alias/aws/") for key in keys):
                place = path.replace(".*", "").replace(".", "/")
                yield Finding(resource, f"Properties/{place}")


def _not_kept(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource in resources:
        named_role = resource.kind == "AWS::IAM::Role" and "RoleName" in resource.properties
        if resource.kind in STATEFUL or named_role:
            if resource.deletion not in _KEPT:
                yield Finding(resource, "DeletionPolicy")
            if resource.replacement not in _KEPT:
                yield Finding(resource, "UpdateReplacePolicy")


def _name(value: Mapping[str, Any], *, name: str = "Name") -> Table:
    return text(value.get("DatabaseName", "")), text(value.get(name, ""))


def _readers(resources: Sequence[Resource]) -> Iterator[tuple[Resource, str, Mapping[str, Any]]]:
    """Yields grants that let their principal read: (grant, principal, what it is on)."""
    for grant in _of(resources, _GRANT):
        if _READS & set(grant.properties.get("Permissions", [])):
            (principal,) = values_at(grant.properties, "Principal.DataLakePrincipalIdentifier")
            yield grant, text(principal), grant.properties["Resource"]


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
            yield Finding(grant, "Properties/Resource")


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
    for item in _of(resources, _TAGGING):
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
    own = {  # the environment of the databases that the templates tag
        environment
        for item in _of(resources, _TAGGING)
        if "Database" in item.properties["Resource"]
        for values in _environment_tags(item.properties["LFTags"])
        for environment in values
    }
    for grant in _of(resources, _GRANT):
        for policy in values_at(grant.properties, "Resource.LFTagPolicy"):
            values = list(_environment_tags(policy.get("Expression", ())))
            if len(values) != 1 or len(values[0]) != 1 or not values[0] <= (own or values[0]):
                yield Finding(grant, "Properties/Resource/LFTagPolicy/Expression")


def _environment_tags(tags: Iterable[Mapping[str, Any]]) -> Iterator[frozenset[str]]:
    for tag in tags:
        if text(tag["TagKey"]).endswith("-environment"):
            yield frozenset(map(text, tag["TagValues"]))


def _broken_types(resources: Sequence[Resource]) -> Iterator[Finding]:
    for item in resources:
        if item.kind.startswith("AWS::S3Tables::"):
            yield Finding(item, "Type")
        if item.kind == "AWS::Glue::Table":
            declared = values_at(item.properties, "TableInput.Parameters.table_type")
            iceberg = "ICEBERG" in [str(value).upper() for value in declared]
            if iceberg or values_at(item.properties, "OpenTableFormatInput"):
                yield Finding(item, "Properties/TableInput")


def _settings_by_cloudformation(resources: Sequence[Resource]) -> Iterator[Finding]:
    return (Finding(item, "Type") for item in _of(resources, "LakeFormation::DataLakeSettings"))


def _internet(resources: Sequence[Resource]) -> Iterator[Finding]:
    for item in _of(resources, *_WAYS_OUT):
        yield Finding(item, "Type")
    for item in _of(resources, "EC2::Subnet"):
        if item.properties.get("MapPublicIpOnLaunch"):
            yield Finding(item, "Properties/MapPublicIpOnLaunch")


_SUBNET = re.compile(r"\bsubnet-[0-9a-f]{8,17}\b")


def _foreign_networks(resources: Sequence[Resource]) -> Iterator[Finding]:
    """Finds what names a subnet by its id: no stack of the app makes it."""
    for item in resources:
        kind = item.kind.startswith("AWS::SageMaker::")
        if kind and _SUBNET.search(json.dumps(item.properties)):
            yield Finding(item, "Properties")


def _open_groups(resources: Sequence[Resource]) -> Iterator[Finding]:
    for item in resources:
        if not item.kind.startswith("AWS::EC2::SecurityGroup"):
            continue
        rules = [item.properties, *values_at(item.properties, "SecurityGroupEgress.*")]
        rules += values_at(item.properties, "SecurityGroupIngress.*")
        for rule in rules:
            ranges = values_at(rule, "CidrIp") + values_at(rule, "CidrIpv6")
            if _EVERYWHERE & set(map(text, ranges)):
                yield Finding(item, "Properties")
        # Without an egress rule, a group allows all outbound traffic.
        if item.kind == "AWS::EC2::SecurityGroup" and "SecurityGroupEgress" not in item.properties:
            yield Finding(item, "Properties/SecurityGroupEgress")


def _loose_models(resources: Sequence[Resource]) -> Iterator[Finding]:
    for item in _of(resources, "SageMaker::Model"):
        if "VpcConfig" not in item.properties:
            yield Finding(item, "Properties/VpcConfig")
        if item.properties.get("EnableNetworkIsolation") is not True:
            yield Finding(item, "Properties/EnableNetworkIsolation")


def _open_captures(resources: Sequence[Resource]) -> Iterator[Finding]:
    """Finds them where requests are captured, and where answers are written to a bucket."""
    for item in _of(resources, "SageMaker::EndpointConfig"):
        for path in ("DataCaptureConfig", "AsyncInferenceConfig.OutputConfig"):
            for store in values_at(item.properties, path):
                key = text(store.get("KmsKeyId", ""))
                if not key or key.startswith("alias/aws/"):
                    yield Finding(item, f"Properties/{path.replace('.', '/')}/KmsKeyId")


_OUTPUT = "AsyncInferenceConfig.OutputConfig"


def _silent_failures(resources: Sequence[Resource]) -> Iterator[Finding]:
    for item in _of(resources, "SageMaker::EndpointConfig"):
        if not values_at(item.properties, _OUTPUT):
            continue
        for key in ("S3FailurePath", "NotificationConfig.ErrorTopic"):
            if not values_at(item.properties, f"{_OUTPUT}.{key}"):
                yield Finding(item, f"Properties/{f'{_OUTPUT}.{key}'.replace('.', '/')}")


def _never_woken(resources: Sequence[Resource]) -> Iterator[Finding]:
    """Finds targets of no instance without an alarm whose step policy adds one."""
    woken = {
        text(policy.properties["ScalingTargetId"])
        for alarm in _of(resources, "CloudWatch::Alarm")
        if alarm.properties.get("MetricName") == "HasBacklogWithoutCapacity"
        for policy in _of(resources, "ApplicationAutoScaling::ScalingPolicy")
        if policy.template == alarm.template
        and policy.properties["PolicyType"] == "StepScaling"
        and f"<{policy.logical_id}>" in map(text, alarm.properties.get("AlarmActions", ()))
    }
    for item in _of(resources, "ApplicationAutoScaling::ScalableTarget"):
        if item.properties["MinCapacity"] == 0 and f"<{item.logical_id}>" not in woken:
            yield Finding(item, "Properties/MinCapacity")


def _without_rollback(resources: Sequence[Resource]) -> Iterator[Finding]:
    alarms = "DeploymentConfig.AutoRollbackConfiguration.Alarms.*"
    for item in _of(resources, "SageMaker::Endpoint"):
        if not values_at(item.properties, alarms):
            yield Finding(item, "Properties/DeploymentConfig")
        if item.properties.get("RetainAllVariantProperties") is not True:
            yield Finding(item, "Properties/RetainAllVariantProperties")


def _moving_images(resources: Sequence[Resource]) -> Iterator[Finding]:
    for item in _of(resources, "SageMaker::Model"):
        containers = values_at(item.properties, "PrimaryContainer")
        for container in containers + values_at(item.properties, "Containers.*"):
            image = text(container.get("Image", "")).rpartition("/")[2]
            fixed_tag = ":" in image and not image.endswith(":latest")
            if "ModelPackageName" not in container and not fixed_tag:
                yield Finding(item, "Properties/PrimaryContainer")


# Only for environments that retain their data.
RETAIN = Rule(
    "retain",
    _not_kept,
    "A stateful resource would be lost with its stack, or when it is replaced.",
    fix="Apply the stack's removal_policy to it.",
)
RULES = (
    Rule(
        "wildcard",
        _wildcards,
        "A policy on a resource allows by wildcard.",
        fix="Name the actions and resources, or acknowledge the wildcard with its reason.",
    ),
    Rule(
        "public",
        _public,
        "A policy allows everybody, without a condition that means this account.",
        fix="Name the principals, or add a condition on aws:PrincipalAccount.",
    ),
    Rule(
        "confused-deputy",
        _confused_deputies,
        "A service may act here on behalf of another account.",
        fix="Add conditions on aws:SourceAccount and aws:SourceArn, as sashiko_cdk.identity.trust, "
        "where the service's documentation has them; else acknowledge it and say why.",
    ),
    Rule(
        "boundary",
        _without_boundary,
        "A role lacks the project's permissions boundary.",
        fix="Pass boundary_of (src/sashiko_cdk/identity/boundary.py) as permissions_boundary.",
    ),
    Rule(
        "customer-key",
        _unencrypted,
        "A store is not encrypted with a key of this project.",
        fix="Give it the key of its domain.",
    ),
    Rule(
        "row-filter",
        _filter_undone,
        "A principal with a row filter on a table reads it by another grant too: "
        "permissions add up, so the filter restricts nothing.",
        fix="Grant the principal its other tables by name, and this one only by the filter.",
    ),
    Rule(
        "tag-environment",
        _environment_missing,
        "A grant by tags matches the whole catalog, other environments' tables too.",
        fix="Put the environment's tag into the expression, with only its own value.",
    ),
    Rule(
        "broken-type",
        _broken_types,
        "CloudFormation breaks S3 Tables with grants, and an Iceberg table's metadata "
        "when it updates it.",
        fix="Keep Parquet tables (sashiko_cdk/lake/catalog.py), or make it by another tool.",
    ),
    Rule(
        "settings-by-function",
        _settings_by_cloudformation,
        "CloudFormation's type for the data-lake settings does not empty the default "
        "permissions, and may replace the account's administrators.",
        fix="Change them by src/sashiko_cdk/lake/account_settings.py.",
    ),
    Rule(
        "internet",
        _internet,
        "The network has a way to or from the internet.",
        fix="Reach services through VPC endpoints (src/sashiko_cdk/network/isolated_network.py).",
    ),
    Rule(
        "foreign-network",
        _foreign_networks,
        "Jobs or an endpoint run in a network whose routes, endpoints and flow logs these "
        "templates do not show.",
        fix="Leave `network.vpc_id` out, or say at the resource who answers for the network.",
    ),
    Rule(
        "open-group",
        _open_groups,
        "A security group lets traffic from or to anywhere.",
        fix="Name the group or the prefix list on the other end.",
    ),
    Rule(
        "model-isolation",
        _loose_models,
        "A model runs outside the VPC, or may open connections.",
        fix="Set VpcConfig and EnableNetworkIsolation.",
    ),
    Rule(
        "capture-key",
        _open_captures,
        "An endpoint keeps requests, which are personal data, without a key of its own for them.",
        fix="Give DataCaptureConfig, or AsyncInferenceConfig's output, the key of the domain "
        "`capture`.",
    ),
    Rule(
        "async-failure",
        _silent_failures,
        "A request of an asynchronous endpoint may fail and nobody hears of it.",
        fix="Set S3FailurePath and an ErrorTopic.",
    ),
    Rule(
        "async-wake",
        _never_woken,
        "An endpoint scales to no instance, and no step policy on HasBacklogWithoutCapacity "
        "wakes it.",
        fix="Add the policy and its alarm, as EndpointScaling.",
    ),
    Rule(
        "endpoint-update",
        _without_rollback,
        "An update of an endpoint is not taken back by an alarm, or resets the count "
        "that scaling has made of it.",
        fix="Set AutoRollbackConfiguration, and RetainAllVariantProperties to true.",
    ),
    Rule(
        "model-source",
        _moving_images,
        "A model is of an image that may be another one tomorrow.",
        fix="Serve a model package, which names its image, or name a tag or a digest.",
    ),
)
