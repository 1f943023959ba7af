"""IAM: roles, managed policies, inline policies."""

import json
from typing import Any

from ..engine.errors import AbsentError, ResourceError
from ..engine.resources import Place, Properties, ResourceType, changed_tags
from .oidc import check_trust


class Role(ResourceType):
    name = "AWS::IAM::Role"
    updated = frozenset(
        {
            "AssumeRolePolicyDocument", "Description", "ManagedPolicyArns", "MaxSessionDuration",
            "PermissionsBoundary", "Policies", "Tags",
        }
    )  # fmt: skip
    handled = updated | {"Path", "RoleName"}

    def create(self, place: Place, desired: Properties) -> str:
        check_trust(place, desired["AssumeRolePolicyDocument"])
        name = desired.get("RoleName") or place.generated_name(64)
        keys = ("Path", "Description", "MaxSessionDuration", "PermissionsBoundary", "Tags")
        place.aws("iam").create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps(desired["AssumeRolePolicyDocument"]),
            **{key: desired[key] for key in keys if key in desired},
        )
        place.created_ids.append(name)
        self._attach(place, name, {}, desired)
        return str(name)

    def _attach(self, place: Place, name: str, old: Properties, new: Properties) -> None:
        iam = place.aws("iam")
        before, after = (set(side.get("ManagedPolicyArns", [])) for side in (old, new))
        for arn in before - after:
            iam.detach_role_policy(RoleName=name, PolicyArn=arn)
        for arn in after - before:
            iam.attach_role_policy(RoleName=name, PolicyArn=arn)
        policy_names = {policy["PolicyName"] for policy in new.get("Policies", [])}
        for policy in old.get("Policies", []):
            if policy["PolicyName"] not in policy_names:
                iam.delete_role_policy(RoleName=name, PolicyName=policy["PolicyName"])
        for policy in new.get("Policies", []):
            document = json.dumps(policy["PolicyDocument"])
            iam.put_role_policy(
                RoleName=name, PolicyName=policy["PolicyName"], PolicyDocument=document
            )

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        check_trust(place, new["AssumeRolePolicyDocument"])
        iam = place.aws("iam")
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
        removed_keys, tags = changed_tags(old, new)
        iam.untag_role(RoleName=physical_id, TagKeys=removed_keys)
        iam.tag_role(RoleName=physical_id, Tags=tags)
        self._attach(place, physical_id, old, new)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        self._attach(place, physical_id, properties, {})
        place.aws("iam").delete_role(RoleName=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        iam, by_name = place.aws("iam"), {"RoleName": physical_id}
        role = iam.get_role(**by_name)["Role"]
        keys = ("AssumeRolePolicyDocument", "Description", "MaxSessionDuration", "Path", "RoleName")
        inline = [
            iam.get_role_policy(**by_name, PolicyName=name)
            for name in iam.list_role_policies(**by_name)["PolicyNames"]
        ]
        attached = iam.list_attached_role_policies(**by_name)["AttachedPolicies"]
        return {
            **{key: role.get(key) for key in keys},
            "PermissionsBoundary": role.get("PermissionsBoundary", {}).get(
                "PermissionsBoundaryArn"
            ),
            "Policies": [
                {"PolicyName": item["PolicyName"], "PolicyDocument": item["PolicyDocument"]}
                for item in inline
            ],
            "ManagedPolicyArns": [item["PolicyArn"] for item in attached],
            "Tags": role.get("Tags", []),
        }

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        role = place.aws("iam").get_role(RoleName=physical_id)["Role"]
        return {"Arn": role["Arn"], "RoleId": role["RoleId"]}


class ManagedPolicy(ResourceType):
    name = "AWS::IAM::ManagedPolicy"
    updated = frozenset({"PolicyDocument", "Roles"})
    handled = updated | {"Description", "ManagedPolicyName", "Path"}

    def create(self, place: Place, desired: Properties) -> str:
        response = place.aws("iam").create_policy(
            PolicyName=desired.get("ManagedPolicyName") or place.generated_name(128),
            PolicyDocument=json.dumps(desired["PolicyDocument"]),
            **{key: desired[key] for key in ("Path", "Description") if key in desired},
        )
        arn = response["Policy"]["Arn"]
        place.created_ids.append(arn)
        self._attach(place, arn, {}, desired)
        return str(arn)

    def _attach(self, place: Place, arn: str, old: Properties, new: Properties) -> None:
        before, after = (set(side.get("Roles", [])) for side in (old, new))
        for role in before - after:
            place.aws("iam").detach_role_policy(RoleName=role, PolicyArn=arn)
        for role in after - before:
            place.aws("iam").attach_role_policy(RoleName=role, PolicyArn=arn)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        iam = place.aws("iam")
        if old["PolicyDocument"] != new["PolicyDocument"]:
            document = json.dumps(new["PolicyDocument"])
            iam.create_policy_version(
                PolicyArn=physical_id, PolicyDocument=document, SetAsDefault=True
            )
            for version in iam.list_policy_versions(PolicyArn=physical_id)["Versions"]:
                if not version["IsDefaultVersion"]:
                    iam.delete_policy_version(PolicyArn=physical_id, VersionId=version["VersionId"])
        self._attach(place, physical_id, old, new)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        self._attach(place, physical_id, properties, {})
        place.aws("iam").delete_policy(PolicyArn=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        iam, by_arn = place.aws("iam"), {"PolicyArn": physical_id}
        policy = iam.get_policy(**by_arn)["Policy"]
        version = iam.get_policy_version(**by_arn, VersionId=policy["DefaultVersionId"])
        roles = iam.list_entities_for_policy(**by_arn, EntityFilter="Role")["PolicyRoles"]
        return {
            "ManagedPolicyName": policy["PolicyName"],
            "Path": policy["Path"],
            "Description": policy.get("Description"),
            "PolicyDocument": version["PolicyVersion"]["Document"],
            "Roles": [role["RoleName"] for role in roles],
        }

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        return {"PolicyArn": physical_id}


class Policy(ResourceType):
    """A policy put inline into the roles that it names."""

    name = "AWS::IAM::Policy"
    handled = updated = frozenset({"PolicyDocument", "PolicyName", "Roles"})

    def create(self, place: Place, desired: Properties) -> str:
        self.update(place, desired["PolicyName"], {}, desired)
        return str(desired["PolicyName"])

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        renamed = old.get("PolicyName", new["PolicyName"]) != new["PolicyName"]
        for role in set(old.get("Roles", [])) - set(() if renamed else new["Roles"]):
            place.aws("iam").delete_role_policy(RoleName=role, PolicyName=old["PolicyName"])
        for role in new["Roles"]:
            place.aws("iam").put_role_policy(
                RoleName=role,
                PolicyName=new["PolicyName"],
                PolicyDocument=json.dumps(new["PolicyDocument"]),
            )

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        for role in properties["Roles"]:
            place.aws("iam").delete_role_policy(RoleName=role, PolicyName=properties["PolicyName"])

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        policies = [
            place.aws("iam").get_role_policy(RoleName=role, PolicyName=desired["PolicyName"])
            for role in desired["Roles"]
        ]
        (document, *others) = [item["PolicyDocument"] for item in policies]
        if any(other != document for other in others):
            raise AbsentError(f"{desired['PolicyName']} differs between roles")
        return {
            "PolicyName": policies[0]["PolicyName"],
            "PolicyDocument": document,
            "Roles": [item["RoleName"] for item in policies],
        }


class RolePolicy(ResourceType):
    name = "AWS::IAM::RolePolicy"
    updated = frozenset({"PolicyDocument"})

    def create(self, place: Place, desired: Properties) -> str:
        self.update(place, "", {}, desired)
        return f"{desired['PolicyName']}|{desired['RoleName']}"

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        document = json.dumps(new["PolicyDocument"])
        place.aws("iam").put_role_policy(
            RoleName=new["RoleName"], PolicyName=new["PolicyName"], PolicyDocument=document
        )

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("iam").delete_role_policy(
            RoleName=properties["RoleName"], PolicyName=properties["PolicyName"]
        )

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        policy = place.aws("iam").get_role_policy(
            RoleName=desired["RoleName"], PolicyName=desired["PolicyName"]
        )
        return {key: policy[key] for key in ("RoleName", "PolicyName", "PolicyDocument")}


def check_assumable(place: Place, arn: str, service: str) -> None:
    """Refuses a role that does not exist, or that a service may not assume, as services do."""
    name = arn.rpartition("/")[2]
    try:
        role = place.aws("iam").get_role(RoleName=name)["Role"]
    except place.aws("iam").exceptions.NoSuchEntityException as error:
        raise ResourceError(f"there is no role {arn}") from error
    if service not in json.dumps(role["AssumeRolePolicyDocument"]):
        raise ResourceError(f"{service} is not authorized to assume the provided role {arn}")


TYPES = (ManagedPolicy, Policy, Role, RolePolicy)
