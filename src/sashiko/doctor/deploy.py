"""Checks of an account before a deploy; each one only reads, and names a fix."""

from collections.abc import Iterator
from typing import Final

from sashiko.account.access import lake_governance as lake
from sashiko.account.access.environment_access import Environment
from sashiko.account.access.live import cap_fault, read_settings
from sashiko.account.access.policy_evaluation import statements
from sashiko.account.account import Account
from sashiko.account.names import BootstrapRole, bootstrap_role_arn, exec_role_arn
from sashiko.doctor.existing_network import check_network
from sashiko.doctor.services import Check, check_trail, run_check
from sashiko.settings.environment import Settings, file_of
from sashiko.settings.tools import stages_tools

CAP = "who assumes the roles"
_BOOTSTRAP_VERSION = 6  # the minimum of CDK's templates
_FROM_OUTSIDE: Final[tuple[BootstrapRole, ...]] = ("deploy", "file-publishing", "lookup")


def check_endpoints(account: Account, environment: Environment) -> Iterator[Check]:
    """Asks EC2 for the zones of each endpoint service of the templates.

    A zone's letter means a different zone in each account, so a static list cannot help
    ("Availability Zone IDs for your AWS resources" of the AWS RAM User Guide;
    DescribeVpcEndpointServices).
    """
    settings, title = environment.settings, "endpoint services"
    network, region = settings.network, settings.region
    file = file_of("network", settings.environment)
    services = sorted(
        {
            item.properties["ServiceName"]
            for item in environment.templates.of_type("AWS::EC2::VPCEndpoint")
            if item.properties.get("VpcEndpointType") == "Interface"
        }
    )
    details = account.pages("ec2", "describe_vpc_endpoint_services", "ServiceDetails")
    available = {item["ServiceName"]: set(item["AvailabilityZones"]) for item in details}
    if unknown := [name for name in services if name not in available]:
        file_ = "src/sashiko_cdk/network/isolated_network.py"
        fix = f"leave it out of {file_}, with the steps that call it"
        if unknown == [(network.mlflow_service or "").replace("{region}", region)]:
            fix = (
                f"network: {{mlflow_service: null}} in {file}: runs are then not tracked, and go on"
            )
        detail = f"EC2 lists no {', '.join(unknown)} in {region}: the Network stack would fail"
        yield Check(title, "failed", detail, fix=fix)
        return
    zones = set(settings.zone_names)
    missing = {name: gone for name in services if (gone := sorted(zones - available[name]))}
    if not missing:
        yield Check(title, "ok", f"all {len(services)} in {', '.join(sorted(zones))}")
        return
    common = set.intersection(*(available[name] for name in services))
    letters = ", ".join(sorted(zone.removeprefix(region) for zone in common))
    yield Check(
        title,
        "failed",
        "; ".join(f"{name} is not in {', '.join(gone)}" for name, gone in missing.items()),
        fix=f"choose zones that have all of them as `network.zones`, or subnets, in {file}: "
        f"{letters or 'none has; leave one service out'}",
    )


def examine(
    account: Account, settings: Settings, environment: Environment | None
) -> Iterator[Check]:
    """Yields the result of each check; without templates, those that need none.

    The first one checks the account of the credentials: InputError if it cannot be read, or is
    another one.
    """
    caller = account.check_identity()
    yield Check("credentials", "ok", caller)
    yield from run_check("CDK bootstrap", lambda: check_bootstrap(account, settings))
    yield from run_check(CAP, lambda: check_cap(account, settings))
    yield from run_check("trust", lambda: check_trust(account, settings))
    yield from run_check("CloudTrail", lambda: check_trail(account, settings))
    if settings.network.vpc_id:
        yield from check_network(account, settings, environment)
    if environment is None:
        return
    if settings.lake_formation.mode == "enforced":
        yield from run_check(
            "Lake Formation", lambda: _lake_formation(account, environment, caller)
        )
    yield from run_check("endpoint services", lambda: check_endpoints(account, environment))


def _lake_formation(account: Account, environment: Environment, caller: str) -> Iterator[Check]:
    settings = read_settings(account)
    if not settings.lists_all_to(caller):
        _, session, rest = caller.partition(":assumed-role/")
        principal = caller
        if session:  # the ARN of a session lacks its role's path
            role = account.read("iam", "get_role", RoleName=rest.partition("/")[0]) or {}
            principal = role["Role"]["Arn"]
        yield Check(
            "what Lake Formation shows",
            "note",
            detail="Lake Formation shows a caller who is no administrator, not even a read-only "
            "one, only its own grants: what is missing below may be there",
            fix=f"make the caller a read-only one: {lake.add_reader(principal)}",
        )
    administrators = ", ".join(sorted(settings.admins)) or "none"
    yield Check("data-lake administrators", "note", administrators)
    gone = sorted(admin for admin in settings.admins if not _exists(account, environment, admin))
    if gone:
        detail = f"{', '.join(gone)}: a deploy ends with `Invalid principal`"
        fix = lake.drop_administrators(gone)
        yield Check("administrators that are gone", "failed", detail, fix=fix)
    yield _defaults(environment, settings)
    if not environment.settings.lake_formation.account_stack:
        title, deployer = (
            "CloudFormation's role is an administrator",
            exec_role_arn(environment.settings),
        )
        if deployer in settings.admins:
            yield Check(title, "ok", deployer)
        else:
            detail = f"{deployer} is not one: it may neither make the database nor grant on it"
            yield Check(title, "failed", detail, fix=lake.add_administrator(deployer))
        yield from _tags(account, environment)


def check_bootstrap(account: Account, settings: Settings) -> Check:
    """Checks that the account is prepared for the CDK; InputError if the account cannot be read."""
    title, name = "CDK bootstrap", f"/cdk-bootstrap/{settings.qualifier}/version"
    response = account.read("ssm", "get_parameter", absent=("ParameterNotFound",), Name=name)
    version = int(response["Parameter"]["Value"]) if response else 0
    if version >= _BOOTSTRAP_VERSION:
        return Check(title, "ok", f"{settings.qualifier}, version {version}")
    detail = f"version {version}, {_BOOTSTRAP_VERSION} is needed" if response else f"no {name}"
    return Check(title, "failed", detail, fix=f"make bootstrap ENV={settings.environment}")


def check_cap(account: Account, settings: Settings) -> Check:
    """Checks that no deploy may change who assumes the project's roles; errors as above."""
    if fault := cap_fault(account, settings):
        fix = f"make bootstrap ENV={settings.environment}"
        return Check(CAP, "failed", f"a deploy may change it: {fault}", fix=fix)
    return Check(CAP, "ok", "no deploy changes it")


def check_trust(account: Account, settings: Settings) -> Iterator[Check]:
    """Checks that the bootstrap trusts this account, the tools that deliver to it, and no other."""
    tools, fix = stages_tools(settings), f"make bootstrap ENV={settings.environment}"
    known = {settings.account, *([tools.settings.account] if tools else [])}
    for part in _FROM_OUTSIDE:
        name = bootstrap_role_arn(settings, part).rpartition("/")[2]
        role = account.read("iam", "get_role", absent=("NoSuchEntity",), RoleName=name)
        if role is None:
            continue  # the check of the bootstrap says so
        trust = statements(role["Role"]["AssumeRolePolicyDocument"])
        names = [principal for item in trust for principal in item.principals]
        accounts = {name.split(":")[4] if name.startswith("arn:") else name for name in names}
        of_part = f"the bootstrap's role {part}"
        if missing := sorted(known - accounts):
            detail = f"{of_part} does not trust {', '.join(missing)}"
            yield Check("trust", "failed", detail, fix=fix)
        if others := sorted(accounts - known):
            detail = (
                f"{of_part} trusts {', '.join(others)}, which config/delivery.yaml does not name"
            )
            yield Check("trust", "note", detail, fix=f"{fix}, if unwanted")


def _exists(account: Account, environment: Environment, admin: str) -> bool:
    """Says whether an administrator still exists; a deleted role is listed as a bare id."""
    kind, _, path = admin.partition(f":{environment.templates.account}:")[2].partition("/")
    if not admin.startswith("arn:"):
        return False
    if kind != "role":  # a user, a group, another account: not looked up
        return True
    name = path.rpartition("/")[2]
    return account.read("iam", "get_role", absent=("NoSuchEntity",), RoleName=name) is not None


def _defaults(environment: Environment, settings: lake.LakeSettings) -> Check:
    title, everybody = "default permissions", lake.EVERYBODY
    if everybody not in settings.database_defaults | settings.table_defaults:
        return Check(title, "ok", f"{everybody} gets nothing")
    detail = f"{everybody} gets all permissions on new databases and tables"
    if environment.settings.lake_formation.account_stack:
        return Check(title, "note", f"{detail}; the LakeFormationAccount stack takes it away")
    return Check(title, "failed", detail, fix=lake.put_defaults("Database", "Table"))


def _tags(account: Account, environment: Environment) -> Iterator[Check]:
    """Checks the LF-Tags that another environment's stack, or a person, has to create."""
    existing = lake.tag_values(account.pages("lakeformation", "list_lf_tags", "LFTags"))
    needed: dict[str, set[str]] = {}
    for assigned in environment.governance.assigned.values():
        for key, value in assigned.items():
            needed.setdefault(key, set()).add(value)
    for grant in environment.governance.grants:
        for key, of_grant in grant.securable.expression:
            needed.setdefault(key, set()).update(of_grant)
    for key, values in sorted(needed.items()):
        missing = sorted(values - existing.get(key, frozenset()))
        if not missing:
            yield Check(f"LF-Tag {key}", "ok", ", ".join(sorted(values)))
            continue
        call, option = (
            ("update", "tag-values-to-add") if key in existing else ("create", "tag-values")
        )
        fix = f"aws lakeformation {call}-lf-tag --tag-key {key} --{option} {' '.join(missing)}"
        yield Check(f"LF-Tag {key}", "failed", f"lacks {', '.join(missing)}", fix=fix)
