"""Checks of an existing network: what the account may see of it; each one only reads.

A participant of a shared VPC may describe subnets, route tables and groups, and sees no endpoint of
the owner ("Responsibilities and permissions for owners and participants", Amazon VPC User Guide):
that is `unknown` here, and what the probe job is for.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

from sashiko.account.access.environment_access import Environment
from sashiko.account.access.policy_evaluation import Request, allows, denies, statements
from sashiko.account.account import Account
from sashiko.account.templates import SERVICES
from sashiko.doctor.services import Check, run_check
from sashiko.settings.environment import Settings, file_of

_PROBE = "sashiko env doctor --env {} --probe-network"


def called_services(environment: Environment) -> Mapping[str, Any]:
    """Returns what jobs call by endpoints, as `SERVICES` describes it; nothing without one."""
    stacks = environment.templates.stacks.values()
    services = [scope.template.get("Metadata", {}).get(SERVICES, {}) for scope in stacks]
    return next(filter(None, services), {})


def check_network(
    account: Account, settings: Settings, environment: Environment | None
) -> Iterator[Check]:
    """Yields the checks of VPC, subnets, groups and routes; with templates, of endpoints."""
    network = settings.network
    of_vpc = {"State": "available", "OwnerId": network.owner or settings.account}
    in_vpc = {"VpcId": network.vpc_id}
    places: dict[str, tuple[str, Mapping[str, Any]]] = {
        "vpc_id": ("vpcs", {str(network.vpc_id): of_vpc}),
        "subnets": (
            "subnets",
            {one.id: of_vpc | in_vpc | {"AvailabilityZone": one.zone} for one in network.subnets},
        ),
        "security_groups": ("security_groups", dict.fromkeys(network.security_groups, in_vpc)),
    }
    for key, (kind, expected) in places.items():
        yield from run_check(kind, partial(_compare, account, settings, key, kind, expected))
    for name, check in {"DNS": _dns, "routes": _routes, "rules of groups": _rules}.items():
        yield from run_check(name, partial(check, account, settings))
    if environment:
        services = called_services(environment)
        yield from run_check("VPC endpoints", partial(_endpoints, account, settings, services))


def check_addresses(account: Account, settings: Settings, instances: int) -> Check:
    """Compares free addresses with the instances that may run at once.

    "Your VPC subnets should have at least two private IP addresses for each instance" ("Give
    SageMaker AI Training Jobs Access to Resources in Your Amazon VPC", Developer Guide).
    """
    ids = [subnet.id for subnet in settings.network.subnets]
    subnets = _describe(account, "subnets", "subnet-id", ids)
    free = sum(int(item["AvailableIpAddressCount"]) for item in subnets)
    detail = f"{free}, and up to {instances} instances at once need {2 * instances}"
    faults = [detail] if free < 2 * instances else []
    return _check("free addresses", faults, detail, f"add a subnet to {_key(settings)}")


def _check(name: str, faults: Sequence[str], ok: str, fix: str) -> Check:
    if faults:
        return Check(name, "failed", "; ".join(faults), fix=fix)
    return Check(name, "ok", ok)


def _key(settings: Settings, key: str = "subnets") -> str:
    return f"`network.{key}` in {file_of('network', settings.environment)}"


def _describe(account: Account, kind: str, key: str, values: Sequence[str]) -> list[Any]:
    """Describes what matches a filter: an id that nobody sees is no error then."""
    member = "".join(part.title() for part in kind.split("_"))
    filters = [{"Name": key, "Values": [*values]}]
    return list(account.pages("ec2", f"describe_{kind}", member, Filters=filters))


_IDS = {"vpcs": "vpc-id", "subnets": "subnet-id", "security_groups": "group-id"}


def _compare(
    account: Account, settings: Settings, key: str, kind: str, expected: Mapping[str, Any]
) -> Iterator[Check]:
    """Yields a check of each id of `expected`: the account sees it, with those properties."""
    member = _IDS[kind].title().replace("-", "")
    items = _describe(account, kind, _IDS[kind], [*expected]) if expected else []
    by_id = {item[member]: item for item in items}
    for name, properties in expected.items():
        item = by_id.get(name, {})
        faults = [
            f"{k} is {item.get(k)}, not {v}" for k, v in properties.items() if item.get(k) != v
        ]
        ok = ", ".join([*map(str, properties.values()), item.get("AvailabilityZoneId", "seen")])
        faults = faults if item else ["the account does not see it"]
        yield _check(name, faults, ok, f"correct {_key(settings, key)}")


def _dns(account: Account, settings: Settings) -> Iterator[Check]:
    """Endpoints have private names only with both ("DNS attributes for your VPC", User Guide)."""
    for name in ("enableDnsSupport", "enableDnsHostnames"):
        answer = account.read(
            "ec2", "describe_vpc_attribute", VpcId=settings.network.vpc_id, Attribute=name
        )
        value = (answer or {}).get(name[0].upper() + name[1:], {}).get("Value")
        faults = [] if value else ["off: the private names of endpoints do not resolve"]
        yield _check(name, faults, "on", "the VPC's owner turns it on")


def _routes(account: Account, settings: Settings) -> Iterator[Check]:
    network, ours = settings.network, settings.network.endpoints == "ours"
    s3 = network.s3_prefix_lists.get(settings.region, "whose prefix list the settings lack")
    tables = _describe(account, "route_tables", "vpc-id", [str(network.vpc_id)])
    # The main table, whose association has no subnet, is of subnets without one of their own.
    of_subnets = {one.get("SubnetId"): it for it in tables for one in it.get("Associations", ())}
    for subnet in network.subnets:
        name = f"routes of {subnet.id}"
        table = of_subnets.get(subnet.id, of_subnets.get(None))
        if table is None:
            yield Check(name, "unknown", "the account sees no route table of it")
            continue
        table_id, routes = str(table["RouteTableId"]), table.get("Routes", ())
        out = any({*route.values()} & {"0.0.0.0/0", "::/0"} for route in routes)
        if ours and subnet.route_table != table_id:
            fix = f"route_table: {table_id} in {_key(settings)}"
            yield Check(name, "failed", f"its route table is {table_id}", fix=fix)
        elif not ours and not out and s3 not in [r.get("DestinationPrefixListId") for r in routes]:
            fix = "the VPC's owner adds a gateway endpoint of S3"
            yield Check(name, "failed", f"{table_id} has no route to S3, {s3}", fix=fix)
        elif out:
            detail = f"{table_id} has a default route: groups alone limit where jobs go"
            yield Check(name, "note", detail)
        else:
            yield Check(name, "ok", f"{table_id} has no default route")


def _rules(account: Account, settings: Settings) -> Iterator[Check]:
    network, ids = settings.network, settings.network.security_groups
    rules = _describe(account, "security_group_rules", "group-id", ids) if ids else []
    for port in sorted({443, network.proxy.port if network.proxy else 443}) if ids else ():
        fix = "their owner adds a rule to the endpoints, S3 or the proxy"
        faults = [] if any(_allows(rule, port) for rule in rules) else ["no rule allows it"]
        yield _check(f"egress to port {port}", faults, ", ".join(ids), fix)
    inside = [r for r in rules if r.get("ReferencedGroupInfo", {}).get("GroupId") == r["GroupId"]]
    if ids and {r["IsEgress"] for r in inside if r["IpProtocol"] == "-1"} != {True, False}:
        detail = "no group lets its members send each other anything, which several nodes need"
        yield Check("nodes of one job", "note", detail)


def _allows(rule: Mapping[str, Any], port: int) -> bool:
    within = rule["IpProtocol"] == "tcp" and port in range(rule["FromPort"], rule["ToPort"] + 1)
    return bool(rule["IsEgress"]) and (within or rule["IpProtocol"] == "-1")


def _endpoints(
    account: Account, settings: Settings, services: Mapping[str, Any]
) -> Iterator[Check]:
    network, title = settings.network, "VPC endpoints"
    endpoints = _describe(account, "vpc_endpoints", "vpc-id", [str(network.vpc_id)])
    if network.endpoints == "ours":
        # A service's private name is of one endpoint of a VPC, and a table has one route to S3.
        own = {"Key": "project", "Value": settings.project}
        others = [item for item in endpoints if own not in item.get("Tags", ())]
        rivals = [i["VpcEndpointId"] for i in others if i["ServiceName"] in services]
        faults = [f"{', '.join(rivals)} of others serve what ours would"] if rivals else []
        yield _check(title, faults, "none of others is in the way", _key(settings, "endpoints"))
        return
    probe = f"try them: {_PROBE.format(settings.environment)}"
    if not endpoints:
        detail = f"the account sees none in {network.vpc_id}: they are its owner's, or elsewhere"
        yield Check(title, "unknown", detail, fix=probe)
        return
    for service, called in services.items():
        matching = [item for item in endpoints if item["ServiceName"] == service]
        faults = [fault for item in matching for fault in _faults(item, called, settings.account)]
        if not matching and network.proxy:
            yield Check(service, "note", "no endpoint: calls go by the proxy", fix=probe)
            continue
        faults = faults if matching else [f"no endpoint in {network.vpc_id}"]
        listing = ", ".join(item["VpcEndpointId"] for item in matching)
        yield _check(service, faults, listing, "the VPC's owner changes it")


def _faults(item: Mapping[str, Any], called: Any, account: str) -> Iterator[str]:
    """Yields what keeps jobs from an endpoint: state, private name, policy."""
    name = item["VpcEndpointId"]
    if item["State"] != "available":
        yield f"{name} is {item['State']}"
    if item.get("VpcEndpointType") == "Interface" and not item.get("PrivateDnsEnabled"):
        yield f"{name} has no private DNS"
    policy = statements(json.loads(item.get("PolicyDocument") or "{}"))
    for role, action in product(called["roles"], called["actions"]):
        context = {"aws:principalarn": role, "aws:principalaccount": account}
        whose = (role, account, f"arn:aws:iam::{account}:root")
        own = [one for one in policy if any(one.is_for(who) for who in whose)]
        request = Request(action=action, resource=called["resource"], context=context)
        if not allows(own, request) or denies(own, request):
            yield f"{name} denies {action} to {role.rpartition('/')[2]}"
