"""What differs in an account from the templates: lake, endpoint, and cap.

Resources of others in the same account are left out: other databases, buckets, roles and LF-Tags,
and tag expressions that name another environment. Errors are those of `Account.read`.
"""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from sashiko.account.access import lake_governance as lake
from sashiko.account.access.environment_access import Environment
from sashiko.account.access.live import Difference, cap_fault, differs, read_settings
from sashiko.account.account import Account
from sashiko.account.names import prefix, tag_key
from sashiko.account.templates import Resource
from sashiko.settings.environment import Settings

_ABSENT = ("EntityNotFoundException",)


def read_live(account: Account, environment: Environment) -> lake.Governance:
    """Reads the governance of an environment's lake from its account."""
    expected, listed = environment.governance, partial(account.pages, "lakeformation")
    databases = {}
    for name in expected.databases:
        if answer := account.read("glue", "get_database", absent=_ABSENT, Name=name):
            permissions = answer["Database"].get("CreateTableDefaultPermissions", ())
            databases[name] = lake.defaults(permissions)
    tables = {
        (database, table["Name"]): lake.columns(table)
        for database in databases
        for table in account.pages("glue", "get_tables", "TableList", DatabaseName=database)
    }
    opt_ins = listed("list_lake_formation_opt_ins", "LakeFormationOptInsInfoList")
    as_grants = ({**item, "Permissions": ["OPT_IN"]} for item in opt_ins)
    return lake.Governance(
        settings=read_settings(account),
        tags={
            key: values
            for key, values in lake.tag_values(listed("list_lf_tags", "LFTags")).items()
            if _is_our_tag(key, environment)
        },
        assigned=dict(_assigned(account, list(databases), tables)),
        databases=databases,
        tables=tables,
        places={},
        locations={
            item["ResourceArn"]: lake.location(item)
            for item in listed("list_resources", "ResourceInfoList")
            if _is_ours(item["ResourceArn"], environment)
        },
        filters={
            lake.filter_key(item): lake.cells_filter(item)
            for database, name in tables.keys() & expected.tables.keys()
            for item in listed(
                "list_data_cells_filter",
                "DataCellsFilters",
                Table={"DatabaseName": database, "Name": name},
            )
        },
        grants=_concerning(listed("list_permissions", "PrincipalResourcePermissions"), environment),
        opt_ins=_concerning(as_grants, environment),
    )


def _assigned(
    account: Account, databases: list[str], tables: Mapping[lake.TableName, Mapping[str, str]]
) -> Iterator[tuple[lake.Target, Mapping[str, str]]]:
    """Yields the tags that are assigned directly, without inherited ones."""

    def tags_of(resource: Mapping[str, Any]) -> Mapping[str, Any]:
        request: dict[str, Any] = {"Resource": resource, "ShowAssignedLFTags": True}
        call = ("lakeformation", "get_resource_lf_tags")
        return account.read(*call, absent=_ABSENT, **request) or {}

    def pairs(tags: Iterable[Mapping[str, Any]]) -> Mapping[str, str]:
        return {tag["TagKey"]: tag["TagValues"][0] for tag in tags}

    for database in databases:
        response = tags_of({"Database": {"Name": database}})
        yield lake.Target(database=database), pairs(response.get("LFTagOnDatabase", ()))
    for (database, table), names in tables.items():
        place = {"DatabaseName": database, "Name": table}
        response = tags_of({"Table": place})
        yield lake.Target(database=database, table=table), pairs(response.get("LFTagsOnTable", ()))
        response = tags_of({"TableWithColumns": place | {"ColumnNames": list(names)}})
        for column in response.get("LFTagsOnColumns", ()):
            target = lake.Target(database=database, table=table, column=column["Name"])
            yield target, pairs(column["LFTags"])


def _concerning(
    items: Iterable[Mapping[str, Any]], environment: Environment
) -> frozenset[lake.Grant]:
    """Returns the grants on a resource of the environment, or to one of its roles."""
    all_grants = (grant for item in items for grant in lake.grants(item))
    return frozenset(grant for grant in all_grants if _concerns(grant, environment))


def _concerns(grant: lake.Grant, environment: Environment) -> bool:
    on, own, expression = grant.securable, environment.settings, dict(grant.securable.expression)
    environments = expression.get(tag_key(own, "environment"), {own.environment})
    named = own.environment in environments and any(
        _is_our_tag(key, environment) for key in expression
    )
    return (
        grant.principal in {role.arn for role in environment.principals}
        or on.database in environment.governance.databases
        or (on.kind == "DataLocation" and _is_ours(on.name, environment))
        or (on.kind == "LFTag" and _is_our_tag(on.name, environment))
        or (on.kind == "LFTagPolicy" and named)
    )


def _is_our_tag(key: str, environment: Environment) -> bool:
    return key.startswith(f"{environment.settings.project}-")


def _is_ours(arn: str, environment: Environment) -> bool:
    return arn.partition(":::")[2].partition("/")[0] in environment.buckets


def cap(account: Account, settings: Settings) -> Iterator[Difference]:
    """Yields a difference while a deploy may change who assumes a role of the project."""
    if fault := cap_fault(account, settings):
        resource = "who assumes the roles: a deploy may change it"
        fix = f"make bootstrap ENV={settings.environment}"
        yield Difference("differs", resource, fault, fix=fix)


# The endpoint: its configuration, instances and data capture. SageMaker can roll an update back
# after the deploy has reported success.

_NO_ENDPOINT = ("ValidationException",)
_REDEPLOY = "deploy the Serving stack; where it says no change, destroy and deploy it"
_CAPTURE = {
    "EnableCapture": "EnableCapture",
    "InitialSamplingPercentage": "CurrentSamplingPercentage",
    "DestinationS3Uri": "DestinationS3Uri",
    "KmsKeyId": "KmsKeyId",
}


def serving(account: Account, environment: Environment) -> Iterator[Difference]:
    """Yields every difference between the templates' endpoint and the account's."""
    expected = {
        str(item.properties["EndpointName"]): item
        for item in environment.templates.of_type("AWS::SageMaker::Endpoint")
    }
    for name, endpoint in expected.items():
        call = ("sagemaker", "describe_endpoint")
        live = account.read(*call, absent=_NO_ENDPOINT, EndpointName=name)
        if live is None:
            yield Difference("missing", f"endpoint {name}", fix=_REDEPLOY)
            continue
        yield from _deployed(endpoint, live, environment)
        yield from _scaled(name, live, environment)
        yield from _kept_awake(account, name, environment)
    known = set(expected)
    ours = f"{prefix(environment.settings)}-"
    for item in account.pages("sagemaker", "list_endpoints", "Endpoints", NameContains=ours):
        name = item["EndpointName"]
        if name.startswith(ours) and name not in known:
            detail = "no template has it; it costs by the hour"
            fix = f"aws sagemaker delete-endpoint --endpoint-name {name}"
            yield Difference("extra", f"endpoint {name}", detail, fix=fix)


def _deployed(
    endpoint: Resource, live: Mapping[str, Any], environment: Environment
) -> Iterator[Difference]:
    name, status = live["EndpointName"], live["EndpointStatus"]
    resource, expected_config = f"endpoint {name}", str(endpoint.properties["EndpointConfigName"])
    if status != "InService":
        log = f"its log group /aws/sagemaker/Endpoints/{name}"
        fix = f"aws sagemaker describe-endpoint --endpoint-name {name}, and {log}"
        yield differs(
            resource, "InService", f"{status}: {live.get('FailureReason', 'no reason')}", fix=fix
        )
    if live["EndpointConfigName"] != expected_config:
        settings = environment.settings
        yield differs(
            f"configuration of {resource}",
            expected_config,
            f"{live['EndpointConfigName']}: SageMaker has rolled the update back, or somebody "
            "changed it by hand",
            fix="see which alarm it was (aws cloudwatch describe-alarm-history); then set "
            f"`serving.model_package_arn` of config/{settings.environment}.yaml back and deploy, "
            "or: " + _update(name, expected_config),
        )
        return  # the other differences follow from it
    expected = {
        str(item.properties["Image"]) for item in environment.templates.of_type("Custom::Preflight")
    }
    images = {
        image["SpecifiedImage"]
        for variant in live["ProductionVariants"]
        for image in variant.get("DeployedImages", ())
    }
    for image in sorted(images - expected):
        yield differs(f"image of {resource}", ", ".join(sorted(expected)), image, fix=_REDEPLOY)
    yield from _captured(resource, expected_config, live, environment)


def _captured(
    resource: str, config: str, live_endpoint: Mapping[str, Any], environment: Environment
) -> Iterator[Difference]:
    (capture_config,) = [
        item.properties.get("DataCaptureConfig")
        for item in environment.templates.of_type("AWS::SageMaker::EndpointConfig")
        if item.properties["EndpointConfigName"] == config
    ]
    live = live_endpoint.get("DataCaptureConfig") or {}
    expected = {member: (capture_config or {}).get(key) for key, member in _CAPTURE.items()}
    actual = {member: live.get(member) for member in expected}
    if capture_config:
        expected["CaptureStatus"], actual["CaptureStatus"] = "Started", live.get("CaptureStatus")
    if differing := [key for key in expected if expected[key] != actual[key]]:
        detail = [f"{key}: expected {expected[key]}, found {actual[key]}" for key in differing]
        fix = _update(live_endpoint["EndpointName"], config)
        yield Difference("differs", f"capture of {resource}", "; ".join(detail), fix=fix)


def _update(name: str, config: str) -> str:
    excluded = shlex.quote(json.dumps([{"VariantPropertyType": "DataCaptureConfig"}]))
    return (
        f"aws sagemaker update-endpoint --endpoint-name {name} --endpoint-config-name {config} "
        f"--retain-all-variant-properties --exclude-retained-variant-properties {excluded}"
    )


def _scaled(name: str, live: Mapping[str, Any], environment: Environment) -> Iterator[Difference]:
    for target in environment.templates.of_type("AWS::ApplicationAutoScaling::ScalableTarget"):
        properties = target.properties
        _, endpoint, _, variant = str(properties["ResourceId"]).split("/")
        if endpoint != name:
            continue
        least, most = int(properties["MinCapacity"]), int(properties["MaxCapacity"])
        for item in live["ProductionVariants"]:
            count = item.get("DesiredInstanceCount", 0)
            one, wanted_count = {"VariantName": variant}, min(max(count, least), most)
            if item["VariantName"] == variant and not least <= count <= most:
                weights = shlex.quote(json.dumps([{**one, "DesiredInstanceCount": wanted_count}]))
                fix = (
                    "aws sagemaker update-endpoint-weights-and-capacities --endpoint-name "
                    f"{name} --desired-weights-and-capacities {weights}"
                )
                yield differs(f"instances of endpoint {name}", f"{least} to {most}", count, fix=fix)


def _kept_awake(account: Account, name: str, environment: Environment) -> Iterator[Difference]:
    """Yields the minimum that an update has left of an endpoint that sleeps."""
    for target in environment.templates.of_type("AWS::ApplicationAutoScaling::ScalableTarget"):
        properties = target.properties
        resource = str(properties["ResourceId"])
        if int(properties["MinCapacity"]) or resource.split("/")[1] != name:
            continue
        call = ("application-autoscaling", "describe_scalable_targets", "ScalableTargets")
        targets = account.pages(*call, ServiceNamespace="sagemaker", ResourceIds=[resource])
        for item in targets:
            if least := int(item["MinCapacity"]):
                fix = (
                    "aws application-autoscaling register-scalable-target --service-namespace "
                    f"sagemaker --resource-id {resource} --scalable-dimension "
                    f"{properties['ScalableDimension']} --min-capacity 0"
                )
                yield differs(f"least instances of endpoint {name}", "0", least, fix=fix)
