"""EC2: networks, endpoints, flow logs, security groups and their rules."""

import json
from typing import Any

from ..engine.resources import (
    AbsentError,
    Place,
    Properties,
    ResourceError,
    ResourceType,
    changed_tags,
)
from .api import Api, words


def _retag(place: Place, physical_id: str, old: Properties, new: Properties) -> None:
    removed_keys, tags = changed_tags(old, new)
    keys = [{"Key": key} for key in removed_keys]
    if keys:
        place.aws("ec2").delete_tags(Resources=[physical_id], Tags=keys)
    if tags:
        place.aws("ec2").create_tags(Resources=[physical_id], Tags=tags)


class Ec2(Api):
    """A resource of EC2: tags come with its creation, by a call of their own later."""

    def create(self, place: Place, desired: Properties) -> str:
        arguments = {key: item for key, item in desired.items() if key != "Tags"}
        if tags := desired.get("Tags"):
            kind = {"flow_logs": "vpc-flow-log"}.get(self.noun, self.noun.replace("_", "-"))
            arguments["TagSpecifications"] = [{"ResourceType": kind, "Tags": tags}]
        return super().create(place, arguments)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        _retag(place, physical_id, old, new)


class Vpc(Ec2):
    def create(self, place: Place, desired: Properties) -> str:
        vpc = super().create(place, desired)
        for key in self.left_out & desired.keys():
            place.aws("ec2").modify_vpc_attribute(VpcId=vpc, **{key: {"Value": desired[key]}})
        return vpc

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        vpc, ec2 = super().read(place, physical_id, desired), place.aws("ec2")
        for key in self.left_out:
            name = key[0].lower() + key[1:]
            answer = ec2.describe_vpc_attribute(VpcId=physical_id, Attribute=name)
            vpc[key] = answer[key]["Value"]
        return vpc

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        in_vpc = [{"Name": "vpc-id", "Values": [physical_id]}]
        default_group = [*in_vpc, {"Name": "group-name", "Values": ["default"]}]
        groups = place.aws("ec2").describe_security_groups(Filters=default_group)["SecurityGroups"]
        acls = place.aws("ec2").describe_network_acls(Filters=in_vpc)["NetworkAcls"]
        return {
            "VpcId": physical_id,
            "CidrBlock": desired.get("CidrBlock"),
            "DefaultSecurityGroup": groups[0]["GroupId"],
            "DefaultNetworkAcl": acls[0]["NetworkAclId"],
        }


class Subnet(Ec2):
    def create(self, place: Place, desired: Properties) -> str:
        subnet = super().create(place, desired)
        public = {"Value": desired.get("MapPublicIpOnLaunch", False)}
        place.aws("ec2").modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch=public)
        return subnet


class SubnetRouteTableAssociation(ResourceType):
    name = "AWS::EC2::SubnetRouteTableAssociation"

    def create(self, place: Place, desired: Properties) -> str:
        return str(place.aws("ec2").associate_route_table(**desired)["AssociationId"])

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("ec2").disassociate_route_table(AssociationId=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        tables = place.aws("ec2").describe_route_tables(RouteTableIds=[desired["RouteTableId"]])
        for item in tables["RouteTables"][0]["Associations"]:
            if item["RouteTableAssociationId"] == physical_id:
                return dict(item)
        raise AbsentError(f"no association {physical_id}")


class VpcEndpoint(Ec2):
    def create(self, place: Place, desired: Properties) -> str:
        ec2, ids, service = place.aws("ec2"), desired.get("SubnetIds", []), desired["ServiceName"]
        subnets = ec2.describe_subnets(SubnetIds=ids)["Subnets"] if ids else []
        if len({item["AvailabilityZone"] for item in subnets}) < len(ids):
            raise ResourceError("DuplicateSubnetsInSameZone")
        for item in ec2.describe_vpc_endpoints()["VpcEndpoints"]:
            there = item["VpcId"] == desired["VpcId"] and item["State"] != "deleted"
            if there and item["ServiceName"] == service and desired.get("PrivateDnsEnabled"):
                raise ResourceError(f"there is already a conflicting DNS domain for {service}")
        return super().create(place, desired)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        changes: Properties = {}
        for key in ("RouteTableIds", "SecurityGroupIds", "SubnetIds"):
            before, after = old.get(key, []), new.get(key, [])
            changes[f"Add{key}"] = [item for item in after if item not in before]
            changes[f"Remove{key}"] = [item for item in before if item not in after]
        arguments = {key: items for key, items in changes.items() if items}
        if new.get("PolicyDocument") != old.get("PolicyDocument"):
            if "PolicyDocument" not in new:
                raise ResourceError("the emulator can't take an endpoint's policy away")
            arguments["PolicyDocument"] = json.dumps(new["PolicyDocument"])
        if arguments:
            place.aws("ec2").modify_vpc_endpoint(VpcEndpointId=physical_id, **arguments)
        _retag(place, physical_id, old, new)


class FlowLog(Ec2):
    def create(self, place: Place, desired: Properties) -> str:
        one = {key: item for key, item in desired.items() if key != "ResourceId"}
        return super().create(place, {**one, "ResourceIds": [desired["ResourceId"]]})

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        flow_log = super().read(place, physical_id, desired)
        kinds = {"vpc": "VPC", "subnet": "Subnet", "eni": "NetworkInterface"}
        return {**flow_log, "ResourceType": kinds[flow_log["ResourceId"].split("-")[0]]}


# A rule's peer: its member in a template -> the API's list and its member there.
_SIDES = {
    "CidrIp": ("IpRanges", "CidrIp"),
    "CidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
    "SourceSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
    "DestinationSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
    "SourcePrefixListId": ("PrefixListIds", "PrefixListId"),
    "DestinationPrefixListId": ("PrefixListIds", "PrefixListId"),
}
_PORTS = ("IpProtocol", "FromPort", "ToPort")


def _permission(rule: Properties) -> Properties:
    if unknown := set(rule) - {*_SIDES, *_PORTS, "Description", "GroupId"}:
        raise ResourceError(f"the emulator does not know {min(unknown)} of a security group's rule")
    permission: Properties = {key: rule[key] for key in _PORTS if key in rule}
    text = {"Description": rule["Description"]} if "Description" in rule else {}
    for key, (list_key, member) in _SIDES.items():
        if key in rule:
            permission[list_key] = [{member: rule[key], **text}]
    return permission


def _rules(permissions: list[Properties], prefix: str) -> list[Properties]:
    """Returns the template's form; `prefix` is the template's name for a rule's peer."""
    return [
        {
            **{key: permission[key] for key in _PORTS if key in permission},
            **({"Description": side["Description"]} if side.get("Description") else {}),
            name: side[member],
        }
        for permission in permissions
        for name, (list_key, member) in _SIDES.items()
        if name.startswith(("Cidr", prefix))
        for side in permission.get(list_key, [])
    ]


class SecurityGroup(Ec2):
    def create(self, place: Place, desired: Properties) -> str:
        group = super().create(place, desired)
        if "SecurityGroupEgress" in desired:
            allow_all = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
            place.aws("ec2").revoke_security_group_egress(GroupId=group, IpPermissions=allow_all)
        self._call_rules(place, "authorize", group, desired)
        return group

    def _call_rules(self, place: Place, verb: str, group: str, properties: Properties) -> None:
        for kind in ("ingress", "egress"):
            if rules := properties.get(f"SecurityGroup{kind.capitalize()}", []):
                getattr(place.aws("ec2"), f"{verb}_security_group_{kind}")(
                    GroupId=group, IpPermissions=[_permission(rule) for rule in rules]
                )

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        self._call_rules(place, "revoke", physical_id, old)
        self._call_rules(place, "authorize", physical_id, new)
        _retag(place, physical_id, old, new)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        group = self._answer(place, physical_id)
        return {
            **super().read(place, physical_id, desired),
            "SecurityGroupIngress": _rules(group["IpPermissions"], "Source"),
            "SecurityGroupEgress": _rules(group["IpPermissionsEgress"], "Destination"),
        }


class SecurityGroupIngress(ResourceType):
    name = "AWS::EC2::SecurityGroupIngress"
    kind, end = "ingress", "Source"

    def create(self, place: Place, desired: Properties) -> str:
        response = getattr(place.aws("ec2"), f"authorize_security_group_{self.kind}")(
            GroupId=desired["GroupId"], IpPermissions=[_permission(desired)]
        )
        return str(response["SecurityGroupRules"][0]["SecurityGroupRuleId"])

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        getattr(place.aws("ec2"), f"revoke_security_group_{self.kind}")(
            GroupId=properties["GroupId"], SecurityGroupRuleIds=[physical_id]
        )

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        by_group = [{"Name": "group-id", "Values": [desired["GroupId"]]}]
        rules = place.aws("ec2").describe_security_group_rules(Filters=by_group)
        for rule in rules["SecurityGroupRules"]:
            if rule["SecurityGroupRuleId"] == physical_id:
                return {
                    **rule,
                    "CidrIp": rule.get("CidrIpv4"),
                    f"{self.end}SecurityGroupId": rule.get("ReferencedGroupInfo", {}).get(
                        "GroupId"
                    ),
                    f"{self.end}PrefixListId": rule.get("PrefixListId"),
                }
        raise AbsentError(f"no rule {physical_id}")


class SecurityGroupEgress(SecurityGroupIngress):
    name = "AWS::EC2::SecurityGroupEgress"
    kind, end = "egress", "Destination"


TYPES = (
    FlowLog(
        name="AWS::EC2::FlowLog", service="ec2", noun="flow_logs", by="FlowLogId", named="",
        calls={"get": "describe_flow_logs"}, id_path="FlowLogIds[0]", result="FlowLogs[0]",
        updated=words("Tags"),
        more=words(
            "DeliverLogsPermissionArn LogDestination LogDestinationType LogFormat LogGroupName "
            "MaxAggregationInterval ResourceId ResourceType TrafficType"
        ),
    ),
    Ec2(
        name="AWS::EC2::RouteTable", service="ec2", noun="route_table", by="RouteTableId",
        calls={"get": "describe_route_tables"}, named="", id_path="RouteTable.RouteTableId",
        result="RouteTables[0]", updated=words("Tags"), more=words("VpcId"),
        values={"RouteTableId": "{id}"},
    ),
    SecurityGroup(
        name="AWS::EC2::SecurityGroup", service="ec2", noun="security_group", by="GroupId",
        calls={"get": "describe_security_groups"}, named="GroupName", id_path="GroupId",
        result="SecurityGroups[0]", renamed={"GroupDescription": "Description"},
        left_out=words("SecurityGroupEgress SecurityGroupIngress"),
        updated=words("SecurityGroupEgress SecurityGroupIngress Tags"),
        more=words("GroupDescription GroupName VpcId"),
        values={"GroupId": "{id}", "Id": "{id}", "VpcId": "{VpcId}"},
    ),
    SecurityGroupEgress(),
    SecurityGroupIngress(),
    Subnet(
        name="AWS::EC2::Subnet", service="ec2", noun="subnet", by="SubnetId",
        calls={"get": "describe_subnets"}, named="", id_path="Subnet.SubnetId",
        result="Subnets[0]", updated=words("Tags"), left_out=words("MapPublicIpOnLaunch"),
        more=words("AvailabilityZone CidrBlock MapPublicIpOnLaunch VpcId"),
        values={"SubnetId": "{id}", "AvailabilityZone": "{AvailabilityZone}",
                "CidrBlock": "{CidrBlock}"},
    ),
    SubnetRouteTableAssociation(),
    Vpc(
        name="AWS::EC2::VPC", service="ec2", noun="vpc", by="VpcId",
        calls={"get": "describe_vpcs"}, named="", id_path="Vpc.VpcId", result="Vpcs[0]",
        updated=words("Tags"), left_out=words("EnableDnsHostnames EnableDnsSupport"),
        more=words("CidrBlock EnableDnsHostnames EnableDnsSupport InstanceTenancy"),
    ),
    VpcEndpoint(
        name="AWS::EC2::VPCEndpoint", service="ec2", noun="vpc_endpoint", by="VpcEndpointId",
        calls={"get": "describe_vpc_endpoints", "delete": "delete_vpc_endpoints"}, named="",
        id_path="VpcEndpoint.VpcEndpointId",
        result="VpcEndpoints[?!starts_with(State, 'delet')] | [0] | "
        "@ && merge(@, {SecurityGroupIds: Groups[].GroupId})",
        # Not PrivateDnsEnabled: moto drops it.
        updated=words("PolicyDocument RouteTableIds SecurityGroupIds SubnetIds Tags"),
        more=words("PrivateDnsEnabled ServiceName VpcEndpointType VpcId"), values={"Id": "{id}"},
    ),
)  # fmt: skip
