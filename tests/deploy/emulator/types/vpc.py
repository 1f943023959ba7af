"""EC2's networking."""

import json
from typing import Any, ClassVar

from ..engine.errors import ResourceError
from ..engine.resources import Place, Properties, ResourceType


class _Described(ResourceType):
    """A resource that one call makes, one describes by id, and one deletes.

    Attributes:
        create_call, describe_call, delete_call: the client's methods.
        tagged: what `TagSpecifications` calls it.
        answer: the member of the creation's answer that holds it; None: the answer itself.
        id_key: the member that holds its id.
        found: the path of the ids in the description.
        ids, one: the arguments for several ids and for one.
    """

    create_call: ClassVar[str]
    describe_call: ClassVar[str]
    delete_call: ClassVar[str]
    tagged: ClassVar[str]
    answer: ClassVar[str | None]
    id_key: ClassVar[str]
    found: ClassVar[str]
    ids: ClassVar[str]
    one: ClassVar[str]

    def arguments(self, wanted: Properties) -> Properties:
        return {key: item for key, item in wanted.items() if key != "Tags"}

    def create(self, at: Place, wanted: Properties) -> str:
        given = self.arguments(wanted)
        if tags := wanted.get("Tags"):
            given["TagSpecifications"] = [{"ResourceType": self.tagged, "Tags": tags}]
        made = getattr(at.aws("ec2"), self.create_call)(**given)
        return str((made[self.answer] if self.answer else made)[self.id_key])

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        changed = {key for key in {*old, *new} if old.get(key) != new.get(key)}
        if changed != {"Tags"}:
            raise ResourceError(f"the emulator can't update {sorted(changed)} of {self.name}")
        at.aws("ec2").create_tags(Resources=[physical_id], Tags=new.get("Tags", []))

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        getattr(at.aws("ec2"), self.delete_call)(**{self.one: physical_id})

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        answer = getattr(at.aws("ec2"), self.describe_call)(**{self.ids: [physical_id]})
        if not answer[self.found]:
            raise LookupError(f"no {self.tagged} {physical_id}")
        return answer[self.found][0]


class Vpc(_Described):
    name = "AWS::EC2::VPC"
    create_call, describe_call, delete_call = "create_vpc", "describe_vpcs", "delete_vpc"
    tagged, answer, id_key, found, ids, one = "vpc", "Vpc", "VpcId", "Vpcs", "VpcIds", "VpcId"
    _dns = ("EnableDnsHostnames", "EnableDnsSupport")

    def arguments(self, wanted: Properties) -> Properties:
        return {k: v for k, v in wanted.items() if k not in (*self._dns, "Tags")}

    def create(self, at: Place, wanted: Properties) -> str:
        made = super().create(at, wanted)
        for key in self._dns:
            if key in wanted:
                at.aws("ec2").modify_vpc_attribute(VpcId=made, **{key: {"Value": wanted[key]}})
        return made

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


class Subnet(_Described):
    name = "AWS::EC2::Subnet"
    create_call, describe_call, delete_call = "create_subnet", "describe_subnets", "delete_subnet"
    tagged, answer, id_key = "subnet", "Subnet", "SubnetId"
    found, ids, one = "Subnets", "SubnetIds", "SubnetId"

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


class RouteTable(_Described):
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

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        tables = at.aws("ec2").describe_route_tables(RouteTableIds=[wanted["RouteTableId"]])
        for item in tables["RouteTables"][0]["Associations"]:
            if item["RouteTableAssociationId"] == physical_id:
                return item
        raise LookupError(f"no association {physical_id}")


def _permission(rule: Properties) -> Properties:
    made: Properties = {"IpProtocol": rule["IpProtocol"]}
    made.update({key: rule[key] for key in ("FromPort", "ToPort") if key in rule})
    text = {"Description": rule["Description"]} if "Description" in rule else {}
    if "CidrIp" in rule:
        made["IpRanges"] = [{"CidrIp": rule["CidrIp"], **text}]
    for key in ("SourceSecurityGroupId", "DestinationSecurityGroupId"):
        if key in rule:
            made["UserIdGroupPairs"] = [{"GroupId": rule[key], **text}]
    for key in ("SourcePrefixListId", "DestinationPrefixListId"):
        if key in rule:
            made["PrefixListIds"] = [{"PrefixListId": rule[key], **text}]
    return made


class SecurityGroup(_Described):
    name = "AWS::EC2::SecurityGroup"
    create_call, delete_call = "create_security_group", "delete_security_group"
    describe_call = "describe_security_groups"
    tagged, answer, id_key = "security-group", None, "GroupId"
    found, ids, one = "SecurityGroups", "GroupIds", "GroupId"
    handled = frozenset(
        {
            "GroupDescription", "GroupName", "SecurityGroupEgress", "SecurityGroupIngress",
            "Tags", "VpcId",
        }
    )  # fmt: skip

    def create(self, at: Place, wanted: Properties) -> str:
        made = super().create(at, wanted)
        if "SecurityGroupEgress" in wanted:
            everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
            at.aws("ec2").revoke_security_group_egress(GroupId=made, IpPermissions=everything)
        self._allow(at, made, wanted)
        return made

    def arguments(self, wanted: Properties) -> Properties:
        name = wanted.get("GroupName") or f"group-{abs(hash(json.dumps(wanted))):x}"
        return {
            "GroupName": name,
            "Description": wanted["GroupDescription"],
            "VpcId": wanted["VpcId"],
        }

    def _allow(self, at: Place, group: str, wanted: Properties) -> None:
        for kind in ("ingress", "egress"):
            rules = wanted.get(f"SecurityGroup{kind.capitalize()}", [])
            if rules:
                getattr(at.aws("ec2"), f"authorize_security_group_{kind}")(
                    GroupId=group, IpPermissions=[_permission(rule) for rule in rules]
                )

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        for kind in ("ingress", "egress"):
            rules = old.get(f"SecurityGroup{kind.capitalize()}", [])
            if rules:
                getattr(at.aws("ec2"), f"revoke_security_group_{kind}")(
                    GroupId=physical_id, IpPermissions=[_permission(rule) for rule in rules]
                )
        self._allow(at, physical_id, new)

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        return {"GroupId": physical_id, "Id": physical_id, "VpcId": wanted.get("VpcId")}


class SecurityGroupIngress(ResourceType):
    name = "AWS::EC2::SecurityGroupIngress"
    kind = "ingress"

    def create(self, at: Place, wanted: Properties) -> str:
        made = getattr(at.aws("ec2"), f"authorize_security_group_{self.kind}")(
            GroupId=wanted["GroupId"], IpPermissions=[_permission(wanted)]
        )
        return str(made["SecurityGroupRules"][0]["SecurityGroupRuleId"])

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        getattr(at.aws("ec2"), f"revoke_security_group_{self.kind}")(
            GroupId=had["GroupId"], SecurityGroupRuleIds=[physical_id]
        )

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        by_group = [{"Name": "group-id", "Values": [wanted["GroupId"]]}]
        rules = at.aws("ec2").describe_security_group_rules(Filters=by_group)
        for rule in rules["SecurityGroupRules"]:
            if rule["SecurityGroupRuleId"] == physical_id:
                return rule
        raise LookupError(f"no rule {physical_id}")


class SecurityGroupEgress(SecurityGroupIngress):
    name = "AWS::EC2::SecurityGroupEgress"
    kind = "egress"


class VpcEndpoint(_Described):
    name = "AWS::EC2::VPCEndpoint"
    create_call, describe_call = "create_vpc_endpoint", "describe_vpc_endpoints"
    tagged, answer, id_key = "vpc-endpoint", "VpcEndpoint", "VpcEndpointId"
    found, ids = "VpcEndpoints", "VpcEndpointIds"
    handled = frozenset(
        {
            "PolicyDocument", "PrivateDnsEnabled", "RouteTableIds", "SecurityGroupIds",
            "ServiceName", "SubnetIds", "Tags", "VpcEndpointType", "VpcId",
        }
    )  # fmt: skip

    def arguments(self, wanted: Properties) -> Properties:
        given = {k: v for k, v in wanted.items() if k not in ("Tags", "PolicyDocument")}
        if policy := wanted.get("PolicyDocument"):
            given["PolicyDocument"] = policy if isinstance(policy, str) else json.dumps(policy)
        return given

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        given = self.arguments(new)
        if "PolicyDocument" in given:
            at.aws("ec2").modify_vpc_endpoint(
                VpcEndpointId=physical_id, PolicyDocument=given["PolicyDocument"]
            )

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("ec2").delete_vpc_endpoints(VpcEndpointIds=[physical_id])

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        found = super().read(at, physical_id, wanted)
        if found["State"] in ("deleted", "deleting"):
            raise LookupError(f"endpoint {physical_id} is deleted")
        return found

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        return {"Id": physical_id}


class FlowLog(ResourceType):
    name = "AWS::EC2::FlowLog"

    def create(self, at: Place, wanted: Properties) -> str:
        given = {k: v for k, v in wanted.items() if k not in ("ResourceId", "Tags")}
        if tags := wanted.get("Tags"):
            given["TagSpecifications"] = [{"ResourceType": "vpc-flow-log", "Tags": tags}]
        made = at.aws("ec2").create_flow_logs(ResourceIds=[wanted["ResourceId"]], **given)
        if made.get("Unsuccessful"):
            raise ResourceError(str(made["Unsuccessful"][0]["Error"]["Message"]))
        return str(made["FlowLogIds"][0])

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        at.aws("ec2").create_tags(Resources=[physical_id], Tags=new.get("Tags", []))

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("ec2").delete_flow_logs(FlowLogIds=[physical_id])

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        found = at.aws("ec2").describe_flow_logs(FlowLogIds=[physical_id])["FlowLogs"]
        if not found:
            raise LookupError(f"no flow log {physical_id}")
        return found[0]


TYPES = (
    FlowLog,
    RouteTable,
    SecurityGroup,
    SecurityGroupEgress,
    SecurityGroupIngress,
    Subnet,
    SubnetRouteTableAssociation,
    Vpc,
    VpcEndpoint,
)
