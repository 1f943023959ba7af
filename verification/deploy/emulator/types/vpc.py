"""EC2's networks: VPCs, their subnets and route tables."""

from typing import Any

from ..engine.errors import AbsentError
from ..engine.resources import Place, Properties, ResourceType
from .ec2 import Described


class Vpc(Described):
    name = "AWS::EC2::VPC"
    create_call, describe_call, delete_call = "create_vpc", "describe_vpcs", "delete_vpc"
    tag_type, result_key, id_key = "vpc", "Vpc", "VpcId"
    list_key, ids_argument, id_argument = "Vpcs", "VpcIds", "VpcId"
    _dns = ("EnableDnsHostnames", "EnableDnsSupport")
    handled = frozenset({"CidrBlock", "InstanceTenancy", "Tags", *_dns})

    def arguments(self, desired: Properties) -> Properties:
        return {k: v for k, v in desired.items() if k not in (*self._dns, "Tags")}

    def create(self, place: Place, desired: Properties) -> str:
        vpc = super().create(place, desired)
        for key in self._dns:
            if key in desired:
                place.aws("ec2").modify_vpc_attribute(VpcId=vpc, **{key: {"Value": desired[key]}})
        return vpc

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        vpc, ec2 = super().read(place, physical_id, desired), place.aws("ec2")
        for key in self._dns:
            name = key[0].lower() + key[1:]
            response = ec2.describe_vpc_attribute(VpcId=physical_id, Attribute=name)
            vpc[key] = response[key]["Value"]
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


class Subnet(Described):
    name = "AWS::EC2::Subnet"
    create_call, describe_call, delete_call = "create_subnet", "describe_subnets", "delete_subnet"
    tag_type, result_key, id_key = "subnet", "Subnet", "SubnetId"
    list_key, ids_argument, id_argument = "Subnets", "SubnetIds", "SubnetId"
    handled = frozenset({"AvailabilityZone", "CidrBlock", "MapPublicIpOnLaunch", "Tags", "VpcId"})

    def arguments(self, desired: Properties) -> Properties:
        return {k: v for k, v in desired.items() if k not in ("Tags", "MapPublicIpOnLaunch")}

    def create(self, place: Place, desired: Properties) -> str:
        subnet = super().create(place, desired)
        public = {"Value": desired.get("MapPublicIpOnLaunch", False)}
        place.aws("ec2").modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch=public)
        return subnet

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        zone, network = desired.get("AvailabilityZone"), desired.get("CidrBlock")
        return {"SubnetId": physical_id, "AvailabilityZone": zone, "CidrBlock": network}


class RouteTable(Described):
    name = "AWS::EC2::RouteTable"
    create_call, delete_call = "create_route_table", "delete_route_table"
    describe_call = "describe_route_tables"
    tag_type, result_key, id_key = "route-table", "RouteTable", "RouteTableId"
    list_key, ids_argument, id_argument = "RouteTables", "RouteTableIds", "RouteTableId"

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        return {"RouteTableId": physical_id}


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


TYPES = (RouteTable, Subnet, SubnetRouteTableAssociation, Vpc)
