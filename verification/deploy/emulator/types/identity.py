"""IAM: roles, their policies, and what IAM asks of a role's trust."""

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
from .api import call, described, words

# "Identity-provider controls for shared OIDC providers" of the IAM User Guide: the claim that a
# trust policy must evaluate, by issuer.
_CONTROLS = {"token.actions.githubusercontent.com": "sub"}


def check_assumable(place: Place, arn: str, service: str) -> None:
    """Refuses a role that does not exist, or that a service may not assume, as services do."""
    try:
        role = place.aws("iam").get_role(RoleName=arn.rpartition("/")[2])["Role"]
    except place.aws("iam").exceptions.NoSuchEntityException as error:
        raise ResourceError(f"there is no role {arn}") from error
    if service not in json.dumps(role["AssumeRolePolicyDocument"]):
        raise ResourceError(f"{service} is not authorized to assume the provided role {arn}")


def _check_trust(place: Place, document: Properties) -> None:
    """Refuses a role's trust in an issuer that others share, unless it evaluates who calls.

    Whether IAM also refuses a provider that is not there is not documented; it is refused here.
    """
    for statement in document["Statement"]:
        principal = statement.get("Principal", {})
        provider = principal.get("Federated", "") if isinstance(principal, dict) else ""
        issuer = provider.partition(":oidc-provider/")[2]
        if not issuer:
            continue
        known = place.aws("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"]
        if provider not in [item["Arn"] for item in known]:
            raise ResourceError(f"there is no OIDC provider {provider}")
        keys = {key for pairs in statement.get("Condition", {}).values() for key in pairs}
        claim = _CONTROLS.get(issuer)
        if claim and f"{issuer}:{claim}" not in keys:
            raise ResourceError(
                f"the trust policy must evaluate {issuer}:{claim}, as the issuer has many tenants"
            )


def _attach(place: Place, arn: str, before: set[str], after: set[str], *, roles: bool) -> None:
    iam = place.aws("iam")
    for item in before ^ after:
        attach = iam.attach_role_policy if item in after else iam.detach_role_policy
        attach(
            **(
                {"RoleName": item, "PolicyArn": arn}
                if roles
                else {"RoleName": arn, "PolicyArn": item}
            )
        )


class Role(ResourceType):
    name = "AWS::IAM::Role"
    updated = words(
        "AssumeRolePolicyDocument Description ManagedPolicyArns MaxSessionDuration "
        "PermissionsBoundary Policies Tags"
    )
    handled = updated | {"Path", "RoleName"}

    def create(self, place: Place, desired: Properties) -> str:
        _check_trust(place, desired["AssumeRolePolicyDocument"])
        name = desired.get("RoleName") or place.generated_name(64)
        alone = {k: v for k, v in desired.items() if k not in ("ManagedPolicyArns", "Policies")}
        call(place.aws("iam"), "create_role", {**alone, "RoleName": name})
        place.created_ids.append(name)
        self._put_policies(place, name, {}, desired)
        return str(name)

    def _put_policies(self, place: Place, name: str, old: Properties, new: Properties) -> None:
        before, after = ({*side.get("ManagedPolicyArns", [])} for side in (old, new))
        _attach(place, name, before, after, roles=False)
        iam, names = place.aws("iam"), {item["PolicyName"] for item in new.get("Policies", [])}
        for policy in old.get("Policies", []):
            if policy["PolicyName"] not in names:
                iam.delete_role_policy(RoleName=name, PolicyName=policy["PolicyName"])
        for policy in new.get("Policies", []):
            call(iam, "put_role_policy", {"RoleName": name, **policy})

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        document, iam = new["AssumeRolePolicyDocument"], place.aws("iam")
        _check_trust(place, document)
        iam.update_assume_role_policy(RoleName=physical_id, PolicyDocument=json.dumps(document))
        iam.update_role(
            RoleName=physical_id,
            Description=new.get("Description", ""),
            MaxSessionDuration=new.get("MaxSessionDuration", 3600),
        )
        if boundary := new.get("PermissionsBoundary"):
            iam.put_role_permissions_boundary(RoleName=physical_id, PermissionsBoundary=boundary)
        elif "PermissionsBoundary" in old:
            iam.delete_role_permissions_boundary(RoleName=physical_id)
        removed_keys, tags = changed_tags(old, new)
        iam.untag_role(RoleName=physical_id, TagKeys=removed_keys)
        iam.tag_role(RoleName=physical_id, Tags=tags)
        self._put_policies(place, physical_id, old, new)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        self._put_policies(place, physical_id, properties, {})
        place.aws("iam").delete_role(RoleName=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        iam, by_name = place.aws("iam"), {"RoleName": physical_id}
        role = iam.get_role(**by_name)["Role"]
        inline = [
            iam.get_role_policy(**by_name, PolicyName=name)
            for name in iam.list_role_policies(**by_name)["PolicyNames"]
        ]
        attached = iam.list_attached_role_policies(**by_name)["AttachedPolicies"]
        boundary = role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        answer = {
            **role,
            "PermissionsBoundary": boundary,
            "Policies": inline,
            "ManagedPolicyArns": [item["PolicyArn"] for item in attached],
        }
        return described(self.name, place, answer)

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        role = place.aws("iam").get_role(RoleName=physical_id)["Role"]
        return {"Arn": role["Arn"], "RoleId": role["RoleId"]}


class ManagedPolicy(ResourceType):
    name = "AWS::IAM::ManagedPolicy"
    updated = words("PolicyDocument Roles")
    handled = updated | {"Description", "ManagedPolicyName", "Path"}

    def create(self, place: Place, desired: Properties) -> str:
        name = desired.get("ManagedPolicyName") or place.generated_name(128)
        alone = {k: v for k, v in desired.items() if k not in ("ManagedPolicyName", "Roles")}
        answer = call(place.aws("iam"), "create_policy", {**alone, "PolicyName": name})
        arn = str(answer["Policy"]["Arn"])
        place.created_ids.append(arn)
        _attach(place, arn, set(), {*desired.get("Roles", [])}, roles=True)
        return arn

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        iam, by_arn = place.aws("iam"), {"PolicyArn": physical_id}
        if old["PolicyDocument"] != new["PolicyDocument"]:
            document = json.dumps(new["PolicyDocument"])
            iam.create_policy_version(**by_arn, PolicyDocument=document, SetAsDefault=True)
            for version in iam.list_policy_versions(**by_arn)["Versions"]:
                if not version["IsDefaultVersion"]:
                    iam.delete_policy_version(**by_arn, VersionId=version["VersionId"])
        before, after = ({*side.get("Roles", [])} for side in (old, new))
        _attach(place, physical_id, before, after, roles=True)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        iam, by_arn = place.aws("iam"), {"PolicyArn": physical_id}
        _attach(place, physical_id, {*properties.get("Roles", [])}, set(), roles=True)
        if iam.list_entities_for_policy(**by_arn)["PolicyRoles"]:  # moto would leave it attached
            raise ResourceError("Cannot delete a policy attached to entities.")
        iam.delete_policy(**by_arn)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        iam, by_arn = place.aws("iam"), {"PolicyArn": physical_id}
        policy = iam.get_policy(**by_arn)["Policy"]
        version = iam.get_policy_version(**by_arn, VersionId=policy["DefaultVersionId"])
        roles = iam.list_entities_for_policy(**by_arn, EntityFilter="Role")["PolicyRoles"]
        answer = {
            **policy,
            "ManagedPolicyName": policy["PolicyName"],
            "PolicyDocument": version["PolicyVersion"]["Document"],
            "Roles": [role["RoleName"] for role in roles],
        }
        return described(self.name, place, answer)

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        return {"PolicyArn": physical_id}


class Policy(ResourceType):
    """A policy put inline into the roles that it names."""

    name = "AWS::IAM::Policy"
    handled = updated = words("PolicyDocument PolicyName Roles")

    def physical_id(self, desired: Properties) -> str:
        return str(desired["PolicyName"])

    def roles(self, properties: Properties) -> list[str]:
        return list(properties.get("Roles", []))

    def create(self, place: Place, desired: Properties) -> str:
        self.update(place, "", {}, desired)
        return self.physical_id(desired)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        renamed = old.get("PolicyName", new["PolicyName"]) != new["PolicyName"]
        for role in {*self.roles(old)} - {*(() if renamed else self.roles(new))}:
            place.aws("iam").delete_role_policy(RoleName=role, PolicyName=old["PolicyName"])
        policy = {key: new[key] for key in ("PolicyName", "PolicyDocument")}
        for role in self.roles(new):
            call(place.aws("iam"), "put_role_policy", {"RoleName": role, **policy})

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        for role in self.roles(properties):
            place.aws("iam").delete_role_policy(RoleName=role, PolicyName=properties["PolicyName"])

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        policies = [
            place.aws("iam").get_role_policy(RoleName=role, PolicyName=desired["PolicyName"])
            for role in self.roles(desired)
        ]
        if any(item["PolicyDocument"] != policies[0]["PolicyDocument"] for item in policies):
            raise AbsentError(f"{desired['PolicyName']} differs between roles")
        return {**policies[0], "Roles": [item["RoleName"] for item in policies]}


class RolePolicy(Policy):
    name = "AWS::IAM::RolePolicy"
    updated = words("PolicyDocument")
    handled = updated | {"PolicyName", "RoleName"}

    def physical_id(self, desired: Properties) -> str:
        return f"{desired['PolicyName']}|{desired['RoleName']}"

    def roles(self, properties: Properties) -> list[str]:
        return [properties["RoleName"]] if properties else []


TYPES = (ManagedPolicy(), Policy(), Role(), RolePolicy())
