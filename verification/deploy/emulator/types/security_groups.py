"""EC2's security groups and their rules."""

import json
from typing import Any

from ..engine.errors import AbsentError, ResourceError
from ..engine.resources import Place, Properties, ResourceType
from .ec2 import Described, retag

# A rule's other side: its member in a template -> in the API, a list of one and the member there.
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
    made: Properties = {key: rule[key] for key in _PORTS if key in rule}
    text = {"Description": rule["Description"]} if "Description" in rule else {}
    for key, (several, one) in _SIDES.items():
        if key in rule:
            made[several] = [{one: rule[key], **text}]
    return made


def _rules(permissions: list[Properties], end: str) -> list[Properties]:
    """The other way round; `end` is what the template calls a rule's other side."""
    return [
        {
            **{key: permission[key] for key in _PORTS if key in permission},
            **({"Description": side["Description"]} if side.get("Description") else {}),
            name: side[one],
        }
        for permission in permissions
        for name, (several, one) in _SIDES.items()
        if name.startswith(("Cidr", end))
        for side in permission.get(several, [])
    ]


class SecurityGroup(Described):
    name = "AWS::EC2::SecurityGroup"
    create_call, delete_call = "create_security_group", "delete_security_group"
    describe_call = "describe_security_groups"
    tagged, answer, id_key = "security-group", None, "GroupId"
    found, ids, one = "SecurityGroups", "GroupIds", "GroupId"
    updated = frozenset({"SecurityGroupEgress", "SecurityGroupIngress", "Tags"})
    handled = updated | {"GroupDescription", "GroupName", "VpcId"}

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
        retag(at, physical_id, old, new)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = self.described(at, physical_id)
        return {
            "GroupName": found["GroupName"],
            "GroupDescription": found["Description"],
            "VpcId": found["VpcId"],
            "Tags": found["Tags"],
            "SecurityGroupIngress": _rules(found["IpPermissions"], "Source"),
            "SecurityGroupEgress": _rules(found["IpPermissionsEgress"], "Destination"),
        }

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        return {"GroupId": physical_id, "Id": physical_id, "VpcId": wanted.get("VpcId")}


class SecurityGroupIngress(ResourceType):
    name = "AWS::EC2::SecurityGroupIngress"
    kind = "ingress"
    end = "Source"

    def create(self, at: Place, wanted: Properties) -> str:
        made = getattr(at.aws("ec2"), f"authorize_security_group_{self.kind}")(
            GroupId=wanted["GroupId"], IpPermissions=[_permission(wanted)]
        )
        return str(made["SecurityGroupRules"][0]["SecurityGroupRuleId"])

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        getattr(at.aws("ec2"), f"revoke_security_group_{self.kind}")(
            GroupId=had["GroupId"], SecurityGroupRuleIds=[physical_id]
        )

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        by_group = [{"Name": "group-id", "Values": [wanted["GroupId"]]}]
        rules = at.aws("ec2").describe_security_group_rules(Filters=by_group)
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
