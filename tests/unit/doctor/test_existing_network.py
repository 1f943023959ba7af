"""What an account sees of an existing network: each check passes, fails, and does not know."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from sashiko.account.templates import SERVICES
from sashiko.doctor.existing_network import check_addresses, check_network
from tests.infra.variants import settings_of
from tests.unit.account.fake_account import FakeAccount

VPC, OWNER, ACCOUNT = "vpc-0123456789abcdef0", "777788889999", "111122223333"
A, B = "subnet-0123456789abcdef1", "subnet-0123456789abcdef3"
GROUP, OTHER, DOORS = (f"sg-0123456789abcdef{number}" for number in (1, 2, 3))
LIST, OTHER_LIST = "pl-63a5400a", "pl-0123456789abcdef0"
ENTRIES = {LIST: ["52.216.0.0/15"], OTHER_LIST: ["10.2.0.0/16", "::/0"]}
ATHENA, S3 = "com.amazonaws.us-east-1.athena", "com.amazonaws.us-east-1.s3"
BROKER = f"arn:aws:iam::{ACCOUNT}:role/sashiko-dev-broker"
CALLED = {
    ATHENA: {"actions": ["athena:GetWorkGroup"], "roles": [BROKER], "resource": "*"},
    S3: {"actions": ["s3:GetObject"], "roles": [BROKER], "resource": "arn:aws:s3:::sashiko-dev-*"},
}
TEMPLATE = SimpleNamespace(template={"Metadata": {SERVICES: CALLED}})
ENVIRONMENT: Any = SimpleNamespace(templates=SimpleNamespace(stacks={"p": TEMPLATE}))
FULL = json.dumps(
    {"Statement": [{"Effect": "Allow", "Action": "*", "Principal": "*", "Resource": "*"}]}
)


def subnet(name, zone, **changes):
    return {
        "SubnetId": name, "AvailabilityZone": zone, "AvailabilityZoneId": "use1-az4",
        "State": "available", "VpcId": VPC, "OwnerId": OWNER, "AvailableIpAddressCount": 20,
        "CidrBlock": f"10.1.{int(zone == 'us-east-1b')}.0/24",
    } | changes  # fmt: skip


def endpoint(name, service, kind="Interface", **changes):
    return {
        "VpcEndpointId": name, "ServiceName": service, "VpcEndpointType": kind,
        "State": "available", "PrivateDnsEnabled": kind == "Interface", "PolicyDocument": FULL,
        "Groups": [{"GroupId": DOORS}], "NetworkInterfaceIds": ["eni-1", "eni-2"],
    } | changes  # fmt: skip


def rule(port, peer="", *, out=True, protocol="tcp", group=GROUP):
    one = {"GroupId": group, "IsEgress": out, "IpProtocol": protocol, "FromPort": port}
    sides: dict[str, dict[str, Any]] = {
        "sg": {"ReferencedGroupInfo": {"GroupId": peer}}, "pl": {"PrefixListId": peer},
        "": {"CidrIpv6": "::/0"},
    }  # fmt: skip
    return one | {"ToPort": port} | sides.get(peer.partition("-")[0], {"CidrIpv4": peer})


SELF = [rule(-1, GROUP, out=out, protocol="-1") for out in (True, False)]
TO_DOORS, TO_LIST, TO_PROXY = rule(443, DOORS), rule(443, LIST), rule(3128, "10.9.0.0/16")
INTO = rule(443, GROUP, out=False, group=DOORS)
TO_S3 = {"DestinationPrefixListId": LIST, "GatewayId": "vpce-1", "State": "active"}
OUT = {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "active"}
ONWARD = {"TransitGatewayId": "tgw-1", "State": "active"}
DEAD = TO_S3 | {"State": "blackhole"}


def rules(*items):
    """EC2's answer: the rules of the groups that a request names."""
    named = lambda request: request["Filters"][0]["Values"]  # noqa: E731 - a line is enough
    found = lambda request: [one for one in items if one["GroupId"] in named(request)]  # noqa: E731
    return (
        "describe_security_group_rules",
        lambda request: {"SecurityGroupRules": found(request)},
    )


MAIN = {
    "RouteTableId": "rtb-0123456789abcdef1",
    "Associations": [{"Main": True}],
    "Routes": [TO_S3],
}
GOOD: dict[str, Any] = {
    "describe_vpcs": {"Vpcs": [{"VpcId": VPC, "State": "available", "OwnerId": OWNER}]},
    "describe_subnets": {"Subnets": [subnet(A, "us-east-1a"), subnet(B, "us-east-1b")]},
    "describe_vpc_attribute": {
        "EnableDnsSupport": {"Value": True}, "EnableDnsHostnames": {"Value": True}
    },
    "describe_route_tables": {"RouteTables": [MAIN]},
    "describe_security_groups": {
        "SecurityGroups": [{"GroupId": name, "VpcId": VPC} for name in (GROUP, OTHER)]
    },
    **dict([rules(TO_DOORS, TO_LIST, TO_PROXY, INTO, *SELF)]),
    "get_managed_prefix_list_entries": lambda request: {
        "Entries": [{"Cidr": one} for one in ENTRIES[request["PrefixListId"]]]
    },
    "describe_network_interfaces": {
        "NetworkInterfaces": [{"PrivateIpAddress": f"10.2.{number}.5"} for number in (0, 1)]
    },
    "describe_vpc_endpoints": {
        "VpcEndpoints": [endpoint("vpce-2", ATHENA), endpoint("vpce-1", S3, "Gateway")]
    },
}  # fmt: skip


def checks(variant="shared", settings=None, **answers):
    table = {("ec2", name): answer for name, answer in (GOOD | answers).items()}
    settings = settings or settings_of(variant)
    return list(check_network(FakeAccount(table, settings), settings, ENVIRONMENT))


def test_a_network_as_it_should_be_passes_and_says_the_ids_of_zones():
    results = checks()
    assert {check.status for check in results} == {"ok"}
    # A VPC; two of subnets, groups, DNS, routes, ports and endpoints; the way to S3.
    assert len(results) == 14
    (one,) = [check for check in results if check.name == A]
    assert "use1-az4" in one.detail and OWNER in one.detail


def answer(kind, *items):
    return f"describe_{kind}", {"".join(part.title() for part in kind.split("_")): [*items]}


def subnets(**changes):
    return answer("subnets", subnet(A, "us-east-1a", **changes), subnet(B, "us-east-1b"))


def routes(*items):
    return answer("route_tables", MAIN | {"Routes": [*items]})


def endpoints(*items, **changes):
    items = (endpoint("vpce-2", ATHENA, **changes), *items) if changes else items
    return answer("vpc_endpoints", *items, endpoint("vpce-1", S3, "Gateway"))


def group_rules(*items):
    """The rules of the good network, of which these replace those for endpoints and S3."""
    return rules(TO_PROXY, *SELF, *items)


def policy(old, new):
    assert old in FULL
    return endpoints(PolicyDocument=FULL.replace(old, new))


VPC_OF_ACCOUNT = {"VpcId": VPC, "State": "available", "OwnerId": ACCOUNT}
ELSEWHERE = [{"GroupId": name, "VpcId": "vpc-1"} for name in (GROUP, OTHER)]
DENIED = "denies athena:GetWorkGroup to sashiko-dev-broker"


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        (answer("vpcs"), "failed", "does not see it"),
        (answer("vpcs", VPC_OF_ACCOUNT), "failed", f"OwnerId is {ACCOUNT}, not {OWNER}"),
        (("describe_vpc_attribute", {"EnableDnsSupport": {"Value": True}}), "failed", "not resol"),
        (answer("subnets", subnet(A, "us-east-1a")), "failed", "does not see it"),
        (subnets(State="pending"), "failed", "State is pending"),
        (subnets(VpcId="vpc-1"), "failed", "VpcId is vpc-1"),
        (subnets(AvailabilityZone="us-east-1c"), "failed", "us-east-1c, not us-east-1a"),
        (answer("route_tables"), "unknown", "no route table"),
        (routes(), "failed", "no route to S3"),
        (routes(OUT, TO_S3), "note", "leads to nat-1: groups alone limit"),
        (routes(OUT), "unknown", "not seen from here: nat-1 may lead to S3"),
        (routes({"DestinationCidrBlock": "10.0.0.0/8", **ONWARD}), "unknown", "tgw-1 may lead"),
        (routes({"DestinationPrefixListId": LIST, **ONWARD}), "unknown", "tgw-1 may lead to S3"),
        (routes(DEAD), "failed", "no route to S3, pl-63a5400a, but a blackhole"),
        (routes(DEAD, OUT), "failed", "no route to S3, pl-63a5400a, but a blackhole"),
        (routes(OUT | {"State": "blackhole"}), "failed", "no route to S3"),
        (routes({"DestinationIpv6CidrBlock": "::/0", **ONWARD}), "failed", "no route to S3"),
        (routes(TO_S3 | {"DestinationPrefixListId": OTHER_LIST}), "failed", "no route to S3"),
        (answer("security_groups", *ELSEWHERE), "failed", "VpcId is vpc-1"),
        (rules(TO_DOORS, TO_LIST, INTO, *SELF), "failed", "no rule allows it"),
        (rules(TO_DOORS, TO_LIST, TO_PROXY, INTO), "note", "several nodes need"),
        (answer("vpc_endpoints"), "unknown", "sees none"),
        (endpoints(), "unknown", "sees none"),
        (endpoints(endpoint("vpce-3", "com.amazonaws.us-east-1.kms")), "note", "by the proxy"),
        (endpoints(State="pending"), "failed", "vpce-2 is pending"),
        (endpoints(PrivateDnsEnabled=False), "failed", "vpce-2 has no private DNS"),
        (endpoints(NetworkInterfaceIds=[]), "failed", "vpce-2 has no network interface"),
        (endpoints(PolicyDocument=""), "unknown", "shows no policy"),
        (policy('"Principal": "*"', '"Principal": {"AWS": "123456789012"}'), "failed", DENIED),
        (policy('"Action": "*"', '"Action": "s3:*"'), "failed", DENIED),
    ],
)
def test_what_is_wrong_is_named(change, status, said):
    results = [check for check in checks(**dict([change])) if check.status != "ok"]
    (worst, *_) = [check for check in results if said in check.detail]
    assert worst.status == status
    assert {check.status for check in results} <= {status, "note"}
    assert status != "failed" or worst.fix


@pytest.mark.parametrize("operation", GOOD)
def test_what_the_caller_may_not_read_is_unknown(operation):
    results = [
        check for check in checks(**{operation: "UnauthorizedOperation"}) if check.status != "ok"
    ]
    assert {check.status for check in results} == {"unknown"}
    assert all("is denied" in check.detail for check in results)


ALL = rule(-1, "0.0.0.0/0", protocol="-1")
IN = {"out": False, "group": DOORS}


@pytest.mark.parametrize(
    ("items", "failing"),
    [
        ([TO_DOORS, TO_LIST, INTO], set()),
        ([ALL, INTO], set()),
        ([rule(443, "10.2.0.0/24"), rule(443, "10.2.1.0/24"), TO_LIST, INTO], set()),
        ([rule(443, OTHER_LIST), TO_LIST, INTO], set()),
        ([TO_DOORS, TO_LIST, rule(443, "10.1.0.0/23", **IN)], set()),
        ([TO_DOORS, TO_LIST, rule(-1, OTHER, protocol="-1", **IN)], set()),
        # Of S3 alone, of another group, of one of two interfaces, of another port or protocol.
        ([TO_LIST, INTO], {ATHENA, "egress to port 443"}),
        ([rule(443, "sg-0123456789abcdef9"), TO_LIST, INTO], {ATHENA}),
        ([rule(443, "10.2.0.0/24"), TO_LIST, INTO], {ATHENA}),
        ([rule(80, DOORS), TO_LIST, INTO], {ATHENA, "egress to port 443"}),
        ([rule(443, DOORS, protocol="udp"), TO_LIST, INTO], {ATHENA, "egress to port 443"}),
        ([TO_DOORS, INTO], {"egress to S3"}),
        ([TO_DOORS, rule(443, OTHER_LIST), INTO], {"egress to S3"}),
        # Nobody's, one of two subnets, another group, and what endpoints may send.
        ([TO_DOORS, TO_LIST], {ATHENA}),
        ([TO_DOORS, TO_LIST, rule(443, "10.1.0.0/24", **IN)], {ATHENA}),
        ([TO_DOORS, TO_LIST, rule(443, "sg-0123456789abcdef9", **IN)], {ATHENA}),
        ([TO_DOORS, TO_LIST, rule(443, GROUP, group=DOORS)], {ATHENA}),
        ([TO_DOORS, TO_LIST, rule(443, **IN)], {ATHENA}),
    ],
)
def test_rules_let_jobs_out_to_endpoints_and_s3_and_in_at_endpoints(items, failing):
    results = checks(**dict([group_rules(*items)]))
    assert {check.name for check in results if check.status != "ok"} == failing


@pytest.mark.parametrize(
    ("egress", "deployed", "items", "failing"),
    [
        ("10.2.0.0/16", [], [rule(443, "10.1.0.0/16", **IN)], set()),
        ("10.3.0.0/16", [], [rule(443, "10.1.0.0/16", **IN)], {ATHENA}),
        ("10.2.0.0/16", [], [INTO], {ATHENA}),
        ("10.3.0.0/16", [GROUP], [INTO, rule(443, "10.2.0.0/16")], set()),
    ],
)
def test_a_group_of_ours_reaches_endpoints_by_the_settings_until_it_is_deployed(
    egress, deployed, items, failing
):
    settings = settings_of("shared")
    changes = {"security_groups": (), "proxy": None, "egress": (egress,)}
    network = settings.network.model_copy(update=changes)
    groups = answer("security_groups", *({"GroupId": name, "VpcId": VPC} for name in deployed))
    settings = settings.model_copy(update={"network": network})
    results = checks(settings=settings, **dict([rules(*items), groups]))
    assert {check.name for check in results if check.status != "ok"} == failing


def test_of_several_endpoints_those_that_jobs_use_are_judged():
    unnamed = endpoint("vpce-3", ATHENA, PrivateDnsEnabled=False, State="pending")
    other = endpoint("vpce-4", S3, State="pending")
    table = {"RouteTableId": "rtb-1", "Associations": [{"GatewayId": "igw-1"}], "Routes": []}
    results = checks(
        **dict([endpoints(unnamed, other, State="Available")]),
        describe_route_tables={"RouteTables": [MAIN, table]},
    )
    assert {check.status for check in results} == {"ok"}


OURS = [{"Key": "project", "Value": "sashiko"}]


@pytest.mark.parametrize(
    ("tags", "table", "failing"),
    [
        (OURS, "rtb-0123456789abcdef1", set()),
        ([], "rtb-0123456789abcdef1", {"VPC endpoints"}),
        (OURS, "rtb-1", {f"routes of {A}"}),
    ],
)
def test_nothing_of_others_may_be_in_the_way_of_our_endpoints(tags, table, failing):
    subnets = [subnet(f"subnet-0123456789abcdef{n}", z, OwnerId=ACCOUNT)
               for n, z in ((1, "us-east-1a"), (2, "us-east-1a"), (3, "us-east-1b"))]  # fmt: skip
    tables = [
        {"RouteTableId": name, "Associations": [{"SubnetId": f"subnet-0123456789abcdef{n}"}]}
        for n, name in ((1, table), (2, "rtb-0123456789abcdef1"), (3, "rtb-0123456789abcdef3"))
    ]
    results = checks(
        "existing",
        describe_vpcs={"Vpcs": [{"VpcId": VPC, "State": "available", "OwnerId": ACCOUNT}]},
        describe_subnets={"Subnets": subnets},
        describe_route_tables={"RouteTables": tables},
        describe_vpc_endpoints={"VpcEndpoints": [endpoint("vpce-2", ATHENA, Tags=tags)]},
    )
    assert {check.name for check in results if check.status != "ok"} == failing


@pytest.mark.parametrize(("instances", "status"), [(20, "ok"), (21, "failed")])
def test_two_addresses_are_free_for_each_instance(instances, status):
    settings = settings_of("shared")
    account = FakeAccount({("ec2", "describe_subnets"): GOOD["describe_subnets"]}, settings)
    check = check_addresses(account, settings, instances)
    assert (check.status, "40" in check.detail) == (status, True)
