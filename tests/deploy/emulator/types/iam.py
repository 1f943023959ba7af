"""IAM: roles, managed policies, inline policies."""

import json
from typing import Any

from ..engine.resources import Place, Properties, ResourceType


class Role(ResourceType):
    name = "AWS::IAM::Role"

    def create(self, at: Place, wanted: Properties) -> str:
        name = wanted.get("RoleName") or at.generated_name(64)
        keys = ("Path", "Description", "MaxSessionDuration", "PermissionsBoundary", "Tags")
        at.aws("iam").create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps(wanted["AssumeRolePolicyDocument"]),
            **{key: wanted[key] for key in keys if key in wanted},
        )
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
        keys = ("Description", "MaxSessionDuration")
        iam.update_role(RoleName=physical_id, **{key: new[key] for key in keys if key in new})
        if boundary := new.get("PermissionsBoundary"):
            iam.put_role_permissions_boundary(RoleName=physical_id, PermissionsBoundary=boundary)
        elif "PermissionsBoundary" in old:
            iam.delete_role_permissions_boundary(RoleName=physical_id)
        gone = {t["Key"] for t in old.get("Tags", [])} - {t["Key"] for t in new.get("Tags", [])}
        iam.untag_role(RoleName=physical_id, TagKeys=sorted(gone))
        iam.tag_role(RoleName=physical_id, Tags=new.get("Tags", []))
        self._attach(at, physical_id, old, new)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        self._attach(at, physical_id, had, {})
        at.aws("iam").delete_role(RoleName=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        return at.aws("iam").get_role(RoleName=physical_id)["Role"]

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        found = self.read(at, physical_id, wanted)
        return {"Arn": found["Arn"], "RoleId": found["RoleId"]}


class ManagedPolicy(ResourceType):
    name = "AWS::IAM::ManagedPolicy"
    handled = frozenset({"Description", "ManagedPolicyName", "Path", "PolicyDocument", "Roles"})

    def create(self, at: Place, wanted: Properties) -> str:
        made = at.aws("iam").create_policy(
            PolicyName=wanted.get("ManagedPolicyName") or at.generated_name(128),
            PolicyDocument=json.dumps(wanted["PolicyDocument"]),
            **{key: wanted[key] for key in ("Path", "Description") if key in wanted},
        )
        arn = made["Policy"]["Arn"]
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

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        return at.aws("iam").get_policy(PolicyArn=physical_id)["Policy"]

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        return {"PolicyArn": physical_id}


class Policy(ResourceType):
    """A policy put inline into the roles that it names."""

    name = "AWS::IAM::Policy"
    handled = frozenset({"PolicyDocument", "PolicyName", "Roles"})

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

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        return [
            at.aws("iam").get_role_policy(RoleName=role, PolicyName=wanted["PolicyName"])
            for role in wanted["Roles"]
        ]


class RolePolicy(ResourceType):
    name = "AWS::IAM::RolePolicy"

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

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        return at.aws("iam").get_role_policy(
            RoleName=wanted["RoleName"], PolicyName=wanted["PolicyName"]
        )


TYPES = (ManagedPolicy, Policy, Role, RolePolicy)
