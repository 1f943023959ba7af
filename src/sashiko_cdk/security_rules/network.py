"""Rules of the network and of models in it."""

from collections.abc import Iterator, Sequence

from sashiko_cdk.security_rules.rule import Finding, Rule
from sashiko_cdk.security_rules.template import Resource, text, values_at

_WAYS_OUT = frozenset(
    {
        "AWS::EC2::EgressOnlyInternetGateway",
        "AWS::EC2::EIP",
        "AWS::EC2::InternetGateway",
        "AWS::EC2::NatGateway",
    }
)
_EVERYWHERE = {"0.0.0.0/0", "::/0"}


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


RULES = (
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
