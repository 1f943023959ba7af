"""Checks of an account before a deploy; each one only reads, and names a fix."""

from collections.abc import Iterator, Mapping, Sequence

from sashiko.account.access.cap import cap_fault
from sashiko.account.access.environment_access import Environment
from sashiko.account.access.lake_governance import EVERYBODY, LakeSettings
from sashiko.account.access.live import read_settings
from sashiko.account.access.settings_commands import (
    add_administrator,
    add_reader,
    drop_administrators,
    put_defaults,
)
from sashiko.account.account import Account
from sashiko.account.emptying import closed_buckets
from sashiko.account.leftovers import Leftover, leftovers
from sashiko.account.names import exec_role_arn, prefix
from sashiko.doctor.check_result import Check, run_check
from sashiko.doctor.services import check_trail
from sashiko.settings.environment import Settings, file_of


def _without(unknown: Sequence[str], settings: Settings) -> str:
    mlflow = (settings.network.mlflow_service or "").replace("{region}", settings.region)
    if list(unknown) == [mlflow]:
        return (
            f"network: {{mlflow_service: null}} in {file_of('network', settings.environment)}: "
            "runs are then not tracked, and go on"
        )
    return "leave it out of src/sashiko_cdk/network/vpc_endpoints.py, with the steps that call it"


def check_endpoints(account: Account, environment: Environment) -> Iterator[Check]:
    """Asks EC2 for the zones of each endpoint service of the templates.

    A zone's letter means a different zone in each account, so a static list cannot help
    ("Availability Zone IDs for your AWS resources" of the AWS RAM User Guide;
    DescribeVpcEndpointServices).
    """
    settings = environment.settings
    file = file_of("network", settings.environment)
    services = sorted(
        {
            item.properties["ServiceName"]
            for item in environment.templates.of_type("AWS::EC2::VPCEndpoint")
            if item.properties.get("VpcEndpointType") == "Interface"
        }
    )
    details = account.pages("ec2", "describe_vpc_endpoint_services", "ServiceDetails")
    available_zones = {item["ServiceName"]: set(item["AvailabilityZones"]) for item in details}
    if unknown := [name for name in services if name not in available_zones]:
        yield Check(
            name="endpoint services",
            status="failed",
            detail=f"EC2 lists no {', '.join(unknown)} in {settings.region}: the Network stack "
            "would fail",
            fix=_without(unknown, settings),
        )
        return
    zones = {f"{settings.region}{letter}" for letter in settings.network.zones}
    missing = {
        name: absent for name in services if (absent := sorted(zones - available_zones[name]))
    }
    if not missing:
        detail = f"all {len(services)} in {', '.join(sorted(zones))}"
        yield Check(name="endpoint services", status="ok", detail=detail)
        return
    common = set.intersection(*(available_zones[name] for name in services))
    letters = ", ".join(sorted(zone.removeprefix(settings.region) for zone in common))
    summary = "; ".join(f"{name} is not in {', '.join(absent)}" for name, absent in missing.items())
    yield Check(
        name="endpoint services",
        status="failed",
        detail=summary,
        fix=f"choose zones that have all of them as `network.zones` in {file}: "
        f"{letters or 'none has; leave one service out'}",
    )


CAP = "who assumes the roles"
_BOOTSTRAP_VERSION = 6  # the minimum of CDK's templates
# Types that `cdk deploy --import-existing-resources` cannot import: it needs names, not ids.
_BY_ID = {"AWS::KMS::Alias"}


def examine(account: Account, environment: Environment) -> Iterator[Check]:
    """Yields the result of each check; the first one checks the account of the credentials.

    Raises:
        InputError: if the account cannot be read, or is another one.
    """
    caller = account.check_identity()
    yield Check(name="credentials", status="ok", detail=caller)
    yield from run_check("CDK bootstrap", lambda: check_bootstrap(account, environment.settings))
    yield from run_check(CAP, lambda: check_cap(account, environment.settings))
    if environment.settings.lake_formation.mode == "enforced":
        yield from run_check(
            "Lake Formation", lambda: _lake_formation(account, environment, caller)
        )
    yield from run_check("endpoint services", lambda: check_endpoints(account, environment))
    yield from run_check("CloudTrail", lambda: check_trail(account, environment.settings))
    yield from run_check("closed buckets", lambda: _closed(account, environment))
    yield from run_check("names", lambda: _names(account, environment))


def _closed(account: Account, environment: Environment) -> Iterator[Check]:
    """Yields a failure for buckets that an aborted destroy left closed for writes."""
    if closed := closed_buckets(environment.settings, account):
        yield Check(
            name="closed buckets",
            status="failed",
            detail=f"{', '.join(closed)}: emptied for a destroy that did not come, and closed",
            fix=f"sashiko empty --undo --env {environment.settings.environment}",
        )


def _lake_formation(account: Account, environment: Environment, caller: str) -> Iterator[Check]:
    settings = read_settings(account)
    if not settings.lists_all_to(caller):
        yield Check(
            name="what Lake Formation shows",
            status="note",
            detail="to who is no administrator, nor a read-only one, what they were granted "
            "alone: what is missing below may be there",
            fix=f"to become a read-only one: {add_reader(_principal(account, caller))}",
        )
    administrators = ", ".join(sorted(settings.admins)) or "none"
    yield Check(name="data-lake administrators", status="note", detail=administrators)
    deleted = sorted(admin for admin in settings.admins if not _exists(account, environment, admin))
    if deleted:
        yield Check(
            name="administrators that are gone",
            status="failed",
            detail=f"{', '.join(deleted)}: a deploy ends with `Invalid principal`",
            fix=drop_administrators(deleted),
        )
    yield _defaults(environment, settings)
    if not environment.settings.lake_formation.account_stack:
        yield _exec_role(environment, settings)
        yield from _tags(account, environment)


def _principal(account: Account, caller: str) -> str:
    """Returns the user or role behind a caller; the ARN of a session lacks its role's path."""
    _, session, rest = caller.partition(":assumed-role/")
    if not session:
        return caller
    role = account.read("iam", "get_role", RoleName=rest.partition("/")[0]) or {}
    return str(role["Role"]["Arn"])


def check_bootstrap(account: Account, settings: Settings) -> Check:
    """Checks that the account is prepared for the CDK.

    Raises:
        InputError: if the account cannot be read.
    """
    qualifier = settings.qualifier
    name = f"/cdk-bootstrap/{qualifier}/version"
    response = account.read("ssm", "get_parameter", absent=("ParameterNotFound",), Name=name)
    version = int(response["Parameter"]["Value"]) if response else 0
    fix = f"make bootstrap ENV={settings.environment}"
    if version >= _BOOTSTRAP_VERSION:
        return Check(name="CDK bootstrap", status="ok", detail=f"{qualifier}, version {version}")
    detail = f"version {version}, {_BOOTSTRAP_VERSION} is needed" if response else f"no {name}"
    return Check(name="CDK bootstrap", status="failed", detail=detail, fix=fix)


def check_cap(account: Account, settings: Settings) -> Check:
    """Checks that no deploy may change who assumes the project's roles.

    Raises:
        InputError: if the account cannot be read.
    """
    if fault := cap_fault(account, settings):
        return Check(
            name=CAP,
            status="failed",
            detail=f"a deploy may change it: {fault}",
            fix=f"make bootstrap ENV={settings.environment}",
        )
    return Check(name=CAP, status="ok", detail="no deploy changes it")


def _exists(account: Account, environment: Environment, admin: str) -> bool:
    """Says whether an administrator still exists; a deleted role is listed as a bare id."""
    kind, _, path = admin.partition(f":{environment.templates.account}:")[2].partition("/")
    if not admin.startswith("arn:"):
        return False
    if kind != "role":  # a user, a group, another account: not looked up
        return True
    name = path.rpartition("/")[2]
    return account.read("iam", "get_role", absent=("NoSuchEntity",), RoleName=name) is not None


def _defaults(environment: Environment, settings: LakeSettings) -> Check:
    name = "default permissions"
    if EVERYBODY not in settings.database_defaults | settings.table_defaults:
        return Check(name=name, status="ok", detail=f"{EVERYBODY} gets nothing")
    detail = f"{EVERYBODY} gets all on what is new"
    if environment.settings.lake_formation.account_stack:
        detail += "; the LakeFormationAccount stack takes it away"
        return Check(name=name, status="note", detail=detail)
    return Check(
        name=name,
        status="failed",
        detail=detail,
        fix=put_defaults("Database", "Table"),
    )


def _exec_role(environment: Environment, settings: LakeSettings) -> Check:
    role = exec_role_arn(environment.settings)
    name = "CloudFormation's role is an administrator"
    if role in settings.admins:
        return Check(name=name, status="ok", detail=role)
    return Check(
        name=name,
        status="failed",
        detail=f"{role} is none: it may neither make the database nor grant on it",
        fix=add_administrator(role),
    )


def _tags(account: Account, environment: Environment) -> Iterator[Check]:
    """Checks the LF-Tags that another environment's stack, or a person, has to create."""
    existing = {
        tag["TagKey"]: frozenset(tag["TagValues"])
        for tag in account.pages("lakeformation", "list_lf_tags", "LFTags")
    }
    for key, values in sorted(_needed(environment).items()):
        missing = sorted(values - existing.get(key, frozenset()))
        name = f"LF-Tag {key}"
        if not missing:
            yield Check(name=name, status="ok", detail=", ".join(sorted(values)))
            continue
        values_text = " ".join(missing)
        call = (
            f"update-lf-tag --tag-key {key} --tag-values-to-add {values_text}"
            if key in existing
            else f"create-lf-tag --tag-key {key} --tag-values {values_text}"
        )
        yield Check(
            name=name,
            status="failed",
            detail=f"lacks {', '.join(missing)}",
            fix=f"aws lakeformation {call}",
        )


def _needed(environment: Environment) -> Mapping[str, set[str]]:
    needed: dict[str, set[str]] = {}
    for tags in environment.governance.assigned.values():
        for key, value in tags.items():
            needed.setdefault(key, set()).add(value)
    for grant in environment.governance.grants:
        for key, values in grant.securable.expression:
            needed.setdefault(key, set()).update(values)
    return needed


def _names(account: Account, environment: Environment) -> Iterator[Check]:
    """Checks for names of the templates that retained resources already have."""
    all_leftovers = list(leftovers(account, environment.templates))
    foreign = [item.name for item in all_leftovers if item.foreign]
    adoptable = [item for item in all_leftovers if not item.foreign]
    if foreign:
        yield Check(
            name="bucket names",
            status="failed",
            detail=f"{', '.join(foreign)}: another account's, or closed to you",
            fix=f"choose another `project` in config/{environment.settings.environment}.yaml",
        )
    if adoptable:
        detail = (
            f"{', '.join(item.name for item in adoptable)} exist and belong to no stack of these"
        )
        yield Check(
            name="names", status="failed", detail=detail, fix=_adoption(environment, adoptable)
        )
    elif not foreign:
        yield Check(name="names", status="ok", detail="none is taken by what no stack owns")


def _adoption(environment: Environment, adoptable: list[Leftover]) -> str:
    settings = environment.settings
    deploy = f"make deploy ENV={settings.environment} ARGS=--import-existing-resources"
    stacks = sorted({item.stack for item in adoptable if item.type in _BY_ID})
    if not stacks:
        return f"adopt them: {deploy}"
    ids = [stack.removeprefix(f"{prefix(settings)}-") for stack in stacks]
    imports = [f"npx --no-install cdk import {id_} -c env={settings.environment}" for id_ in ids]
    return (
        "adopt them; first what has an id and no name, or the environment gets new keys while its "
        f'objects need the old ones: {", ".join(imports)} (docs/emulator.md, "After a destroy that '
        f'retained", says what to answer); then {deploy}'
    )
