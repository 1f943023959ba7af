"""IAM: roles, managed policies, inline policies."""

import json
from typing import Any

from ..engine.errors import AbsentError, ResourceError
from ..engine.resources import Place, Properties, ResourceType, changed_tags


class Role(ResourceType):
    name = "AWS::IAM::Role"
    updated = frozenset(
        {
            "AssumeRolePolicyDocument", "Description", "ManagedPolicyArns", "MaxSessionDuration",
            "PermissionsBoundary", "Policies", "Tags",
        }
    )  # fmt: skip
    handled = updated | {"Path", "RoleName"}

    def create(self, at: Place, wanted: Properties) -> str:
        name = wanted.get("RoleName") or at.generated_name(64)
        keys = ("Path", "Description", "MaxSessionDuration", "PermissionsBoundary", "Tags")
        at.aws("iam").create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps(wanted["AssumeRolePolicyDocument"]),
            **{key: wanted[key] for key in keys if key in wanted},
        )
        at.made.append(name)
        self._attach(at, name, {}, wanted)
        return str(name)

    def _attach(self, at: Place, name: str, old: Properties, new: Properties) -> None:
        iam = at.aws("iam")
        before, after = (set(side.get("ManagedPolicyArns", [])) for side in (old, new))
        for arn in before - after:
            iam.detach_role_policy(RoleName=name, PolicyArn=arn)
        for arn in after - before:
            iam.attach_role_policy(RoleName=name, PolicyArn=arn)
        kept = {policy["PolicyName"] for policy in new.get("Policies", [])}
        for policy in old.get("Policies", []):
            if policy["PolicyName"] not in kept:
                iam.delete_role_policy(RoleName=name, PolicyName=policy["PolicyName"])
        for policy in new.get("Policies", []):
            document = json.dumps(policy["PolicyDocument"])
            iam.put_role_policy(
                RoleName=name, PolicyName=policy["PolicyName"], PolicyDocument=document
            )

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        iam = at.aws("iam")
        document = json.dumps(new["AssumeRolePolicyDocument"])
        iam.update_assume_role_policy(RoleName=physical_id, PolicyDocument=document)
        defaults = {"Description": "", "MaxSessionDuration": 3600}
        iam.update_role(
            RoleName=physical_id, **{key: new.get(key, item) for key, item in defaults.items()}
        )
        if boundary := new.get("PermissionsBoundary"):
            iam.put_role_permissions_boundary(RoleName=physical_id, PermissionsBoundary=boundary)
        elif "PermissionsBoundary" in old:
            iam.delete_role_permissions_boundary(RoleName=physical_id)
        gone, tags = changed_tags(old, new)
        iam.untag_role(RoleName=physical_id, TagKeys=gone)
        iam.tag_role(RoleName=physical_id, Tags=tags)
        self._attach(at, physical_id, old, new)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        self._attach(at, physical_id, had, {})
        at.aws("iam").delete_role(RoleName=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        iam, one = at.aws("iam"), {"RoleName": physical_id}
        found = iam.get_role(**one)["Role"]
        keys = ("AssumeRolePolicyDocument", "Description", "MaxSessionDuration", "Path", "RoleName")
        inline = [
            iam.get_role_policy(**one, PolicyName=name)
            for name in iam.list_role_policies(**one)["PolicyNames"]
        ]
        attached = iam.list_attached_role_policies(**one)["AttachedPolicies"]
        return {
            **{key: found.get(key) for key in keys},
            "PermissionsBoundary": found.get("PermissionsBoundary", {}).get(
                "PermissionsBoundaryArn"
            ),
            "Policies": [
                {"PolicyName": item["PolicyName"], "PolicyDocument": item["PolicyDocument"]}
                for item in inline
            ],
            "ManagedPolicyArns": [item["PolicyArn"] for item in attached],
            "Tags": found.get("Tags", []),
        }

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        found = at.aws("iam").get_role(RoleName=physical_id)["Role"]
        return {"Arn": found["Arn"], "RoleId": found["RoleId"]}


class ManagedPolicy(ResourceType):
    name = "AWS::IAM::ManagedPolicy"
    updated = frozenset({"PolicyDocument", "Roles"})
    handled = updated | {"Description", "ManagedPolicyName", "Path"}

    def create(self, at: Place, wanted: Properties) -> str:
        made = at.aws("iam").create_policy(
            PolicyName=wanted.get("ManagedPolicyName") or at.generated_name(128),
            PolicyDocument=json.dumps(wanted["PolicyDocument"]),
            **{key: wanted[key] for key in ("Path", "Description") if key in wanted},
        )
        arn = made["Policy"]["Arn"]
        at.made.append(arn)
        self._attach(at, arn, {}, wanted)
        return str(arn)

    def _attach(self, at: Place, arn: str, old: Properties, new: Properties) -> None:
        before, after = (set(side.get("Roles", [])) for side in (old, new))
        for role in before - after:
            at.aws("iam").detach_role_policy(RoleName=role, PolicyArn=arn)
        for role in after - before:
            at.aws("iam").attach_role_policy(RoleName=role, PolicyArn=arn)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        iam = at.aws("iam")
        if old["PolicyDocument"] != new["PolicyDocument"]:
            document = json.dumps(new["PolicyDocument"])
            iam.create_policy_version(
                PolicyArn=physical_id, PolicyDocument=document, SetAsDefault=True
            )
            for version in iam.list_policy_versions(PolicyArn=physical_id)["Versions"]:
                if not version["IsDefaultVersion"]:
                    iam.delete_policy_version(PolicyArn=physical_id, VersionId=version["VersionId"])
        self._attach(at, physical_id, old, new)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        self._attach(at, physical_id, had, {})
        at.aws("iam").delete_policy(PolicyArn=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        iam, one = at.aws("iam"), {"PolicyArn": physical_id}
        found = iam.get_policy(**one)["Policy"]
        version = iam.get_policy_version(**one, VersionId=found["DefaultVersionId"])
        roles = iam.list_entities_for_policy(**one, EntityFilter="Role")["PolicyRoles"]
        return {
            "ManagedPolicyName": found["PolicyName"],
            "Path": found["Path"],
            "Description": found.get("Description"),
            "PolicyDocument": version["PolicyVersion"]["Document"],
            "Roles": [role["RoleName"] for role in roles],
        }

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        return {"PolicyArn": physical_id}


class Policy(ResourceType):
    """A policy put inline into the roles that it names."""

    name = "AWS::IAM::Policy"
    handled = updated = frozenset({"PolicyDocument", "PolicyName", "Roles"})

    def create(self, at: Place, wanted: Properties) -> str:
        self.update(at, wanted["PolicyName"], {}, wanted)
        return str(wanted["PolicyName"])

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        renamed = old.get("PolicyName", new["PolicyName"]) != new["PolicyName"]
        for role in set(old.get("Roles", [])) - set(() if renamed else new["Roles"]):
            at.aws("iam").delete_role_policy(RoleName=role, PolicyName=old["PolicyName"])
        for role in new["Roles"]:
            at.aws("iam").put_role_policy(
                RoleName=role,
                PolicyName=new["PolicyName"],
                PolicyDocument=json.dumps(new["PolicyDocument"]),
            )

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        for role in had["Roles"]:
            at.aws("iam").delete_role_policy(RoleName=role, PolicyName=had["PolicyName"])

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = [
            at.aws("iam").get_role_policy(RoleName=role, PolicyName=wanted["PolicyName"])
            for role in wanted["Roles"]
        ]
        (document, *others) = [item["PolicyDocument"] for item in found]
        if any(other != document for other in others):
            raise AbsentError(f"{wanted['PolicyName']} differs between roles")
        return {
            "PolicyName": found[0]["PolicyName"],
            "PolicyDocument": document,
            "Roles": [item["RoleName"] for item in found],
        }


class RolePolicy(ResourceType):
    name = "AWS::IAM::RolePolicy"
    updated = frozenset({"PolicyDocument"})

    def create(self, at: Place, wanted: Properties) -> str:
        self.update(at, "", {}, wanted)
        return f"{wanted['PolicyName']}|{wanted['RoleName']}"

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        document = json.dumps(new["PolicyDocument"])
        at.aws("iam").put_role_policy(
            RoleName=new["RoleName"], PolicyName=new["PolicyName"], PolicyDocument=document
        )

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("iam").delete_role_policy(RoleName=had["RoleName"], PolicyName=had["PolicyName"])

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = at.aws("iam").get_role_policy(
            RoleName=wanted["RoleName"], PolicyName=wanted["PolicyName"]
        )
        return {key: found[key] for key in ("RoleName", "PolicyName", "PolicyDocument")}


def check_assumable(at: Place, arn: str, service: str) -> None:
    """Refuses a role that is not there, or that a service may not assume, as services do."""
    name = arn.rpartition("/")[2]
    try:
        role = at.aws("iam").get_role(RoleName=name)["Role"]
    except at.aws("iam").exceptions.NoSuchEntityException as error:
        raise ResourceError(f"there is no role {arn}") from error
    if service not in json.dumps(role["AssumeRolePolicyDocument"]):
        raise ResourceError(f"{service} is not authorized to assume the provided role {arn}")


TYPES = (ManagedPolicy, Policy, Role, RolePolicy)
