"""EC2's security groups and their rules."""

import json
from typing import Any

from ..engine.errors import AbsentError, ResourceError
from ..engine.resources import Place, Properties, ResourceType
from .ec2 import Described, retag

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


class SecurityGroup(Described):
    name = "AWS::EC2::SecurityGroup"
    create_call, delete_call = "create_security_group", "delete_security_group"
    describe_call = "describe_security_groups"
    tag_type, result_key, id_key = "security-group", None, "GroupId"
    list_key, ids_argument, id_argument = "SecurityGroups", "GroupIds", "GroupId"
    updated = frozenset({"SecurityGroupEgress", "SecurityGroupIngress", "Tags"})
    handled = updated | {"GroupDescription", "GroupName", "VpcId"}

    def create(self, place: Place, desired: Properties) -> str:
        group = super().create(place, desired)
        if "SecurityGroupEgress" in desired:
            allow_all = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
            place.aws("ec2").revoke_security_group_egress(GroupId=group, IpPermissions=allow_all)
        self._allow(place, group, desired)
        return group

    def arguments(self, desired: Properties) -> Properties:
        name = desired.get("GroupName") or f"group-{abs(hash(json.dumps(desired))):x}"
        return {
            "GroupName": name,
            "Description": desired["GroupDescription"],
            "VpcId": desired["VpcId"],
        }

    def _allow(self, place: Place, group: str, desired: Properties) -> None:
        for kind in ("ingress", "egress"):
            rules = desired.get(f"SecurityGroup{kind.capitalize()}", [])
            if rules:
                getattr(place.aws("ec2"), f"authorize_security_group_{kind}")(
                    GroupId=group, IpPermissions=[_permission(rule) for rule in rules]
                )

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        for kind in ("ingress", "egress"):
            rules = old.get(f"SecurityGroup{kind.capitalize()}", [])
            if rules:
                getattr(place.aws("ec2"), f"revoke_security_group_{kind}")(
                    GroupId=physical_id, IpPermissions=[_permission(rule) for rule in rules]
                )
        self._allow(place, physical_id, new)
        retag(place, physical_id, old, new)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        group = self.described(place, physical_id)
        return {
            "GroupName": group["GroupName"],
            "GroupDescription": group["Description"],
            "VpcId": group["VpcId"],
            "Tags": group["Tags"],
            "SecurityGroupIngress": _rules(group["IpPermissions"], "Source"),
            "SecurityGroupEgress": _rules(group["IpPermissionsEgress"], "Destination"),
        }

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        return {"GroupId": physical_id, "Id": physical_id, "VpcId": desired.get("VpcId")}


class SecurityGroupIngress(ResourceType):
    name = "AWS::EC2::SecurityGroupIngress"
    kind = "ingress"
    end = "Source"

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
                side = rule.get("ReferencedGroupInfo", {}).get("GroupId")
                return {
                    **rule,
                    "CidrIp": rule.get("CidrIpv4"),
                    f"{self.end}SecurityGroupId": side,
                    f"{self.end}PrefixListId": rule.get("PrefixListId"),
                }
        raise AbsentError(f"no rule {physical_id}")


class SecurityGroupEgress(SecurityGroupIngress):
    name = "AWS::EC2::SecurityGroupEgress"
    kind = "egress"
    end = "Destination"


TYPES = (SecurityGroup, SecurityGroupEgress, SecurityGroupIngress)
