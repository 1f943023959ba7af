"""KMS."""

import json
from typing import Any

from ..engine.resources import Place, Properties, ResourceType


class Key(ResourceType):
    name = "AWS::KMS::Key"
    handled = frozenset(
        {
            "Description", "EnableKeyRotation", "Enabled", "KeyPolicy", "KeySpec", "KeyUsage",
            "PendingWindowInDays", "RotationPeriodInDays", "Tags",
        }
    )  # fmt: skip

    def create(self, at: Place, wanted: Properties) -> str:
        given = {
            key: wanted[key] for key in ("Description", "KeySpec", "KeyUsage") if key in wanted
        }
        if "KeyPolicy" in wanted:
            given["Policy"] = json.dumps(wanted["KeyPolicy"])
        made = at.aws("kms").create_key(**given, Tags=_tags(wanted))
        key_id = made["KeyMetadata"]["KeyId"]
        self._rotate(at, key_id, wanted)
        return str(key_id)

    def _rotate(self, at: Place, key_id: str, wanted: Properties) -> None:
        if wanted.get("KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT":
            return  # KMS rotates no other
        if wanted.get("EnableKeyRotation"):
            at.aws("kms").enable_key_rotation(
                KeyId=key_id, RotationPeriodInDays=wanted.get("RotationPeriodInDays", 365)
            )
        else:
            at.aws("kms").disable_key_rotation(KeyId=key_id)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        kms = at.aws("kms")
        if new.get("KeyPolicy") != old.get("KeyPolicy"):
            policy = json.dumps(new["KeyPolicy"])
            kms.put_key_policy(KeyId=physical_id, PolicyName="default", Policy=policy)
        kms.update_key_description(KeyId=physical_id, Description=new.get("Description", ""))
        if gone := {tag["TagKey"] for tag in _tags(old)} - {tag["TagKey"] for tag in _tags(new)}:
            kms.untag_resource(KeyId=physical_id, TagKeys=sorted(gone))
        kms.tag_resource(KeyId=physical_id, Tags=_tags(new))
        self._rotate(at, physical_id, new)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("kms").schedule_key_deletion(
            KeyId=physical_id, PendingWindowInDays=had.get("PendingWindowInDays", 30)
        )

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        found = at.aws("kms").describe_key(KeyId=physical_id)["KeyMetadata"]
        if found["KeyState"] == "PendingDeletion":
            raise LookupError(f"key {physical_id} is to be deleted")
        return found

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        arn = f"arn:aws:kms:{at.region}:{at.account}:key/{physical_id}"
        return {"Arn": arn, "KeyId": physical_id}


def _tags(properties: Properties) -> list[dict[str, str]]:
    return [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in properties.get("Tags", [])]


class Alias(ResourceType):
    name = "AWS::KMS::Alias"

    def create(self, at: Place, wanted: Properties) -> str:
        at.aws("kms").create_alias(**wanted)
        return str(wanted["AliasName"])

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        at.aws("kms").update_alias(**new)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("kms").delete_alias(AliasName=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        for alias in at.aws("kms").get_paginator("list_aliases").paginate().search("Aliases"):
            if alias["AliasName"] == physical_id:
                return alias
        raise LookupError(f"no alias {physical_id}")


TYPES = (Alias, Key)
