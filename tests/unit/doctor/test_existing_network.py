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
GROUP, OTHER = "sg-0123456789abcdef1", "sg-0123456789abcdef2"
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
    } | changes  # fmt: skip


def endpoint(name, service, kind="Interface", **changes):
    return {
        "VpcEndpointId": name, "ServiceName": service, "VpcEndpointType": kind,
        "State": "available", "PrivateDnsEnabled": kind == "Interface", "PolicyDocument": FULL,
    } | changes  # fmt: skip


def rule(port, *, out=True, protocol="tcp", group=GROUP, peer=None):
    one = {"GroupId": group, "IsEgress": out, "IpProtocol": protocol, "FromPort": port}
    return one | {"ToPort": port} | ({"ReferencedGroupInfo": {"GroupId": peer}} if peer else {})


SELF = [rule(-1, out=out, protocol="-1", peer=GROUP) for out in (True, False)]
TO_S3 = {"DestinationPrefixListId": "pl-63a5400a", "GatewayId": "vpce-1"}
OUT = {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1"}
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
    "describe_security_group_rules": {
        "SecurityGroupRules": [rule(443), rule(3128, group=OTHER), *SELF]
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
    assert len(results) == 13  # a VPC; two of subnets, groups, DNS, routes, ports and endpoints
    (one,) = [check for check in results if check.name == A]
    assert "use1-az4" in one.detail and OWNER in one.detail


def answer(kind, *items):
    return f"describe_{kind}", {"".join(part.title() for part in kind.split("_")): [*items]}


def subnets(**changes):
    return answer("subnets", subnet(A, "us-east-1a", **changes), subnet(B, "us-east-1b"))


def routes(*items):
    return answer("route_tables", MAIN | {"Routes": [*items]})


def endpoints(**changes):
    items = [endpoint("vpce-2", ATHENA, **changes)] if changes else []
    return answer("vpc_endpoints", *items, endpoint("vpce-1", S3, "Gateway"))


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
        (routes(OUT), "note", "default route"),
        (routes({"DestinationIpv6CidrBlock": "::/0"}), "note", "default route"),
        (answer("security_groups", *ELSEWHERE), "failed", "VpcId is vpc-1"),
        (answer("security_group_rules", rule(443), *SELF[1:]), "failed", "no rule allows it"),
        (answer("security_group_rules", rule(-1, protocol="-1")), "note", "several nodes need"),
        (answer("vpc_endpoints"), "unknown", "sees none"),
        (endpoints(), "note", "by the proxy"),
        (endpoints(State="pending"), "failed", "vpce-2 is pending"),
        (endpoints(PrivateDnsEnabled=False), "failed", "vpce-2 has no private DNS"),
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
