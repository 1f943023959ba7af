"""EC2's networks: VPCs, their subnets and route tables."""

from typing import Any

from ..engine.errors import AbsentError
from ..engine.resources import Place, Properties, ResourceType
from .ec2 import Described


class Vpc(Described):
    name = "AWS::EC2::VPC"
    create_call, describe_call, delete_call = "create_vpc", "describe_vpcs", "delete_vpc"
    tagged, answer, id_key, found, ids, one = "vpc", "Vpc", "VpcId", "Vpcs", "VpcIds", "VpcId"
    _dns = ("EnableDnsHostnames", "EnableDnsSupport")
    handled = frozenset({"CidrBlock", "InstanceTenancy", "Tags", *_dns})

    def arguments(self, wanted: Properties) -> Properties:
        return {k: v for k, v in wanted.items() if k not in (*self._dns, "Tags")}

    def create(self, at: Place, wanted: Properties) -> str:
        made = super().create(at, wanted)
        for key in self._dns:
            if key in wanted:
                at.aws("ec2").modify_vpc_attribute(VpcId=made, **{key: {"Value": wanted[key]}})
        return made

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found, ec2 = super().read(at, physical_id, wanted), at.aws("ec2")
        for key in self._dns:
            name = key[0].lower() + key[1:]
            answer = ec2.describe_vpc_attribute(VpcId=physical_id, Attribute=name)
            found[key] = answer[key]["Value"]
        return found

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        wanted_vpc = [{"Name": "vpc-id", "Values": [physical_id]}]
        default = [*wanted_vpc, {"Name": "group-name", "Values": ["default"]}]
        groups = at.aws("ec2").describe_security_groups(Filters=default)["SecurityGroups"]
        acls = at.aws("ec2").describe_network_acls(Filters=wanted_vpc)["NetworkAcls"]
        return {
            "VpcId": physical_id,
            "CidrBlock": wanted.get("CidrBlock"),
            "DefaultSecurityGroup": groups[0]["GroupId"],
            "DefaultNetworkAcl": acls[0]["NetworkAclId"],
        }


class Subnet(Described):
    name = "AWS::EC2::Subnet"
    create_call, describe_call, delete_call = "create_subnet", "describe_subnets", "delete_subnet"
    tagged, answer, id_key = "subnet", "Subnet", "SubnetId"
    found, ids, one = "Subnets", "SubnetIds", "SubnetId"
    handled = frozenset({"AvailabilityZone", "CidrBlock", "MapPublicIpOnLaunch", "Tags", "VpcId"})

    def arguments(self, wanted: Properties) -> Properties:
        return {k: v for k, v in wanted.items() if k not in ("Tags", "MapPublicIpOnLaunch")}

    def create(self, at: Place, wanted: Properties) -> str:
        made = super().create(at, wanted)
        public = {"Value": wanted.get("MapPublicIpOnLaunch", False)}
        at.aws("ec2").modify_subnet_attribute(SubnetId=made, MapPublicIpOnLaunch=public)
        return made

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        zone, network = wanted.get("AvailabilityZone"), wanted.get("CidrBlock")
        return {"SubnetId": physical_id, "AvailabilityZone": zone, "CidrBlock": network}


class RouteTable(Described):
    name = "AWS::EC2::RouteTable"
    create_call, delete_call = "create_route_table", "delete_route_table"
    describe_call = "describe_route_tables"
    tagged, answer, id_key = "route-table", "RouteTable", "RouteTableId"
    found, ids, one = "RouteTables", "RouteTableIds", "RouteTableId"

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        return {"RouteTableId": physical_id}


class SubnetRouteTableAssociation(ResourceType):
    name = "AWS::EC2::SubnetRouteTableAssociation"

    def create(self, at: Place, wanted: Properties) -> str:
        return str(at.aws("ec2").associate_route_table(**wanted)["AssociationId"])

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("ec2").disassociate_route_table(AssociationId=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        tables = at.aws("ec2").describe_route_tables(RouteTableIds=[wanted["RouteTableId"]])
        for item in tables["RouteTables"][0]["Associations"]:
            if item["RouteTableAssociationId"] == physical_id:
                return dict(item)
        raise AbsentError(f"no association {physical_id}")


TYPES = (RouteTable, Subnet, SubnetRouteTableAssociation, Vpc)
