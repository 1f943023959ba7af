"""Checks of an existing network: what the account may see of it; each one only reads.

A participant of a shared VPC may describe subnets, route tables and groups, and sees no endpoint of
the owner ("Responsibilities and permissions for owners and participants", Amazon VPC User Guide):
that is `unknown` here, and what the probe job is for.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network, collapse_addresses
from itertools import product
from typing import Any, Final

from sashiko.account.access.environment_access import Environment
from sashiko.account.access.policy_evaluation import Request, allows, denies, statements
from sashiko.account.account import Account
from sashiko.account.names import prefix
from sashiko.account.templates import SERVICES
from sashiko.doctor.services import Check, Status, run_check
from sashiko.settings.environment import Settings, file_of

_PROBE: Final = "add --probe-network: a job tries it"


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
    subnets = {one.id: of_vpc | in_vpc | {"AvailabilityZone": one.zone} for one in network.subnets}
    places: dict[str, Mapping[str, Any]] = {
        "vpcs": {str(network.vpc_id): of_vpc},
        "subnets": subnets,
        "security_groups": dict.fromkeys(network.security_groups, in_vpc),
    }
    for kind, expected in places.items():
        yield from run_check(kind, partial(_compare, account, settings, kind, expected))
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
    free = sum(int(item["AvailableIpAddressCount"]) for item in _subnets(account, settings))
    detail = f"{free}, and up to {instances} instances at once need {2 * instances}"
    faults = [detail] if free < 2 * instances else []
    return _check("free addresses", faults, detail, f"add a subnet to {_key(settings)}")


def _check(
    name: str, faults: Iterable[str], ok: str, fix: str, *, unknown: str = "", note: str = ""
) -> Check:
    failed = list(faults)
    status: Status = "failed" if failed else "unknown" if unknown else "note" if note else "ok"
    detail = "; ".join(filter(None, [*failed, unknown, note]))
    return Check(name, status, detail or ok, fix=fix if failed else _PROBE if unknown else "")


def _key(settings: Settings, key: str = "subnets") -> str:
    return f"`network.{key}` in {file_of('network', settings.environment)}"


def _describe(account: Account, kind: str, key: str, values: Sequence[str]) -> list[Any]:
    """Describes what matches a filter: an id that nobody sees is no error then."""
    if not values:
        return []
    member = "".join(part.title() for part in kind.split("_"))
    filters = [{"Name": key, "Values": [*values]}]
    return list(account.pages("ec2", f"describe_{kind}", member, Filters=filters))


def _subnets(account: Account, settings: Settings) -> list[Any]:
    ids = [subnet.id for subnet in settings.network.subnets]
    return _describe(account, "subnets", "subnet-id", ids)


_IDS = {"vpcs": "vpc-id", "subnets": "subnet-id", "security_groups": "group-id"}


def _compare(
    account: Account, settings: Settings, kind: str, expected: Mapping[str, Any]
) -> Iterator[Check]:
    """Yields a check of each id of `expected`: the account sees it, with those properties."""
    member = _IDS[kind].title().replace("-", "")
    by_id = {one[member]: one for one in _describe(account, kind, _IDS[kind], [*expected])}
    for name, due in expected.items():
        item = by_id.get(name, {})
        faults = [f"{k} is {item.get(k)}, not {v}" for k, v in due.items() if item.get(k) != v]
        ok = ", ".join([*map(str, due.values()), item.get("AvailabilityZoneId", "seen")])
        faults = faults if item else ["the account does not see it"]
        yield _check(name, faults, ok, f"correct {_key(settings, kind.replace('vpcs', 'vpc_id'))}")


def _dns(account: Account, settings: Settings) -> Iterator[Check]:
    """Endpoints have private names only with both ("DNS attributes for your VPC", User Guide)."""
    vpc = settings.network.vpc_id
    for name in ("enableDnsSupport", "enableDnsHostnames"):
        answer = account.read("ec2", "describe_vpc_attribute", VpcId=vpc, Attribute=name)
        value = (answer or {}).get(name[0].upper() + name[1:], {}).get("Value")
        faults = [] if value else ["off: the private names of endpoints do not resolve"]
        yield _check(name, faults, "on", "the VPC's owner turns it on")


def _routes(account: Account, settings: Settings) -> Iterator[Check]:
    """Yields where routes lead, and whether groups of theirs allow the way to S3."""
    network, ours = settings.network, settings.network.endpoints == "ours"
    s3 = network.s3_prefix_lists.get(settings.region, "whose prefix list the settings lack")
    tables = _describe(account, "route_tables", "vpc-id", [str(network.vpc_id)])
    # The main table, whose association has no subnet, is of subnets without one of their own.
    pairs = [(one, table) for table in tables for one in table.get("Associations", ())]
    of_subnets = {one.get("SubnetId"): table for one, table in pairs if "GatewayId" not in one}
    by_gateway = ours
    for subnet in network.subnets:
        name, fix = f"routes of {subnet.id}", "the VPC's owner adds a gateway endpoint of S3"
        table = of_subnets.get(subnet.id, of_subnets.get(None))
        if table is None:
            yield Check(name, "unknown", "the account sees no route table of it", fix=_PROBE)
            continue
        table_id, routes = str(table["RouteTableId"]), table.get("Routes", ())
        live = [route for route in routes if route.get("State") != "blackhole"]
        lists = [r for r in live if "DestinationPrefixListId" in r and _target(r)[:5] == "vpce-"]
        to_s3 = s3 in [route["DestinationPrefixListId"] for route in lists]
        onward = ", ".join(sorted({_target(r) for r in live if r not in lists} - {"local"}))
        by_gateway, faults, unknown = by_gateway or to_s3, list[str](), ""
        # A blackhole drops what is for S3, also where a route of fewer bits leads on.
        dead = s3 in [r.get("DestinationPrefixListId") for r in routes if r not in live]
        if ours and subnet.route_table != table_id:
            fix = f"route_table: {table_id} in {_key(settings)}"
            faults = [f"its route table is {table_id}"]
        elif not (ours or to_s3) and onward and not dead:
            unknown = f"not seen from here: {onward} may lead to S3"
        elif not (ours or to_s3):
            faults = [f"{table_id} has no route to S3, {s3}{', but a blackhole' * dead}"]
        note = f"{table_id} leads to {onward}: groups alone limit where jobs go" if onward else ""
        yield _check(name, faults, f"{table_id} leads to S3 alone", fix, unknown=unknown, note=note)
    if by_gateway and (ids := network.security_groups):
        allowed = _allow(_read_rules(account, ids), [s3], ["0.0.0.0/0"])
        faults, fix = [] if allowed else ["no rule allows it"], "their owner adds a rule"
        yield _check("egress to S3", faults, ", ".join(ids), fix)


def _target(route: Mapping[str, Any]) -> str:
    """Returns what a route of IPv4 leads to, by which jobs call AWS; `local` for others."""
    ends = ("GatewayId", "NetworkArn", "InterfaceId", "ConnectionId")
    keys = [] if "DestinationIpv6CidrBlock" in route else [*route]
    return next((str(route[key]) for key in keys if key.endswith(ends)), "local")


def _read_rules(
    account: Account, groups: Iterable[str], *, egress: bool = True, port: int = 443
) -> list[Any]:
    """Returns rules of groups for a port, with what each is for as `Peer` and `Cidrs`."""
    entries = partial(account.pages, "ec2", "get_managed_prefix_list_entries", "Entries")
    rules = []
    for rule in _describe(account, "security_group_rules", "group-id", sorted(groups)):
        within = rule["IpProtocol"] == "tcp" and port in range(rule["FromPort"], rule["ToPort"] + 1)
        if rule["IsEgress"] == egress and (within or rule["IpProtocol"] == "-1"):
            peer, cidrs = rule.get("PrefixListId"), [rule.get("CidrIpv4", "")]
            if peer:
                cidrs = [one["Cidr"] for one in entries(PrefixListId=peer)]
            peer = peer or rule.get("ReferencedGroupInfo", {}).get("GroupId")
            rules.append(rule | {"Cidrs": [one for one in cidrs if "." in one], "Peer": peer})
    return rules


def _allow(rules: Sequence[Any], peers: Collection[str], addresses: Collection[str]) -> bool:
    """Says whether a rule is for one of `peers`, or rules together for all `addresses`.

    "The rules from each security group are aggregated" ("Security group rules", VPC User Guide).
    """
    networks = [*collapse_addresses(IPv4Network(it) for rule in rules for it in rule["Cidrs"])]
    covered = [any(IPv4Network(it).subnet_of(one) for one in networks) for it in addresses]
    return any(rule["Peer"] in peers for rule in rules) or (bool(covered) and all(covered))


def _rules(account: Account, settings: Settings) -> Iterator[Check]:
    """Yields what groups of theirs allow beside S3 and single endpoints of theirs."""
    network, ids = settings.network, settings.network.security_groups
    for port in sorted({443, network.proxy.port if network.proxy else 443}) if ids else ():
        known = (*ids, network.s3_prefix_lists.get(settings.region))
        rules = _read_rules(account, ids, port=port)
        others = [rule for rule in rules if rule["Peer"] not in known]
        faults, fix = [] if others else ["no rule allows it"], "their owner adds a rule"
        yield _check(f"egress to port {port}", faults, ", ".join(ids), fix)
    every = [rule for way in (True, False) for rule in _read_rules(account, ids, egress=way)]
    inside = [one for one in every if one["IpProtocol"] == "-1" and one["Peer"] == one["GroupId"]]
    if ids and {one["IsEgress"] for one in inside} != {True, False}:
        detail = "no group lets its members send each other anything, which several nodes need"
        yield Check("nodes of one job", "note", detail)


def _endpoints(
    account: Account, settings: Settings, services: Mapping[str, Any]
) -> Iterator[Check]:
    network, title, ids = settings.network, "VPC endpoints", settings.network.security_groups
    listed = _describe(account, "vpc_endpoints", "vpc-id", [str(network.vpc_id)])
    endpoints = [item for item in listed if item["State"].lower() != "deleted"]
    whole = any(item["VpcEndpointType"] == "Interface" for item in endpoints)
    if network.endpoints == "ours":
        # A service's private name is of one endpoint of a VPC, and a table has one route to S3.
        own = {"Key": "project", "Value": settings.project}
        others = [item for item in endpoints if own not in item.get("Tags", ())]
        rivals = [i["VpcEndpointId"] for i in others if i["ServiceName"] in services]
        faults = [f"{', '.join(rivals)} of others serve what ours would"] if rivals else []
        yield _check(title, faults, "none of others is in the way", _key(settings, "endpoints"))
        endpoints, whole = [item for item in endpoints if item not in others], False
    elif not whole:
        detail = f"the account sees none in {network.vpc_id}: they are its owner's, or elsewhere"
        yield Check(title, "unknown", detail, fix=_PROBE)
    of_ours = _describe(account, "security_groups", "group-name", [f"{prefix(settings)}-jobs"])
    groups = ids or [one["GroupId"] for one in of_ours if one["VpcId"] == network.vpc_id]
    # A group of ours will have this rule.
    out = _read_rules(account, groups) or [{"Peer": "", "Cidrs": network.egress}]
    cidrs = [subnet["CidrBlock"] for subnet in _subnets(account, settings)]
    jobs = _Jobs(groups=groups, cidrs=cidrs, out=out)
    for service, called in services.items():
        matching = [item for item in endpoints if item["ServiceName"] == service]
        # Jobs use the one with the private name, and of S3 the gateway if there are both.
        matching.sort(key=lambda one: (one["VpcEndpointType"], not one.get("PrivateDnsEnabled")))
        absent = whole and not service.endswith(".s3")  # of S3 the routes tell
        fix = "the VPC's owner changes it"
        if matching:
            best, name = matching[0], matching[0]["VpcEndpointId"]
            unknown = "" if best.get("PolicyDocument") else "it shows no policy"
            yield _check(service, _faults(account, best, called, jobs), name, fix, unknown=unknown)
        elif absent and network.proxy:
            yield Check(service, "note", "no endpoint: calls go by the proxy")
        elif absent:
            yield Check(service, "failed", f"no endpoint in {network.vpc_id}", fix=fix)


@dataclass(frozen=True)
class _Jobs:
    """What decides which endpoints jobs reach."""

    groups: Collection[str]
    cidrs: Sequence[str]  # of their subnets
    out: Sequence[Any]  # the rules of their groups


def _faults(account: Account, item: Any, called: Any, jobs: _Jobs) -> Iterator[str]:
    """Yields what keeps jobs from an endpoint: state, private name, groups, policy.

    The private name answers with the addresses of all interfaces, in whichever zone ("Access an AWS
    service using an interface VPC endpoint", AWS PrivateLink Guide).
    """
    name = item["VpcEndpointId"]
    if item["State"].lower() != "available":  # `Available` in botocore's model, not in answers
        yield f"{name} is {item['State']}"
    if item["VpcEndpointType"] == "Interface":
        ids, peers = item["NetworkInterfaceIds"], {group["GroupId"] for group in item["Groups"]}
        interfaces = _describe(account, "network_interfaces", "network-interface-id", ids)
        addresses = [one["PrivateIpAddress"] for one in interfaces]
        if not item.get("PrivateDnsEnabled"):
            yield f"{name} has no private DNS"
        if not addresses:
            yield f"{name} has no network interface"
        elif not _allow(jobs.out, peers, addresses):
            yield f"no rule lets jobs out to {name}"
        if not _allow(_read_rules(account, peers, egress=False), jobs.groups, jobs.cidrs):
            yield f"{', '.join(sorted(peers))} of {name} let no job in"
    policy = statements(json.loads(item.get("PolicyDocument") or "{}"))
    for role, action in product(called["roles"], called["actions"]) if policy else ():
        context = {"aws:principalarn": role, "aws:principalaccount": account.number}
        whose = (role, account.number, f"arn:aws:iam::{account.number}:root")
        own = [one for one in policy if any(one.is_for(who) for who in whose)]
        request = Request(action=action, resource=called["resource"], context=context)
        if not allows(own, request) or denies(own, request):
            yield f"{name} denies {action} to {role.rpartition('/')[2]}"
