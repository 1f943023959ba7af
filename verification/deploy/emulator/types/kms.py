"""KMS."""

import json
from typing import Any

from ..engine.errors import AbsentError, ResourceError
from ..engine.resources import Place, Properties, ResourceType, changed_tags


class Key(ResourceType):
    name = "AWS::KMS::Key"
    # Neither Enabled nor RotationPeriodInDays: moto drops the latter.
    updated = frozenset(
        {"Description", "EnableKeyRotation", "KeyPolicy", "PendingWindowInDays", "Tags"}
    )
    handled = updated | {"KeySpec", "KeyUsage"}

    def create(self, place: Place, desired: Properties) -> str:
        arguments = {
            key: desired[key] for key in ("Description", "KeySpec", "KeyUsage") if key in desired
        }
        if "KeyPolicy" in desired:
            arguments["Policy"] = json.dumps(desired["KeyPolicy"])
        tags = [{"TagKey": t["Key"], "TagValue": t["Value"]} for t in desired.get("Tags", [])]
        key_id = place.aws("kms").create_key(**arguments, Tags=tags)["KeyMetadata"]["KeyId"]
        place.created_ids.append(key_id)
        self._rotate(place, key_id, desired)
        return str(key_id)

    def _rotate(self, place: Place, key_id: str, desired: Properties) -> None:
        if desired.get("KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT":
            return  # KMS rotates symmetric keys only
        if desired.get("EnableKeyRotation"):
            place.aws("kms").enable_key_rotation(KeyId=key_id)
        else:
            place.aws("kms").disable_key_rotation(KeyId=key_id)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        kms = place.aws("kms")
        if new.get("KeyPolicy") != old.get("KeyPolicy"):
            policy = json.dumps(new["KeyPolicy"])
            kms.put_key_policy(KeyId=physical_id, PolicyName="default", Policy=policy)
        kms.update_key_description(KeyId=physical_id, Description=new.get("Description", ""))
        removed_keys, tags = changed_tags(old, new)
        if removed_keys:
            kms.untag_resource(KeyId=physical_id, TagKeys=removed_keys)
        pairs = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in tags]
        kms.tag_resource(KeyId=physical_id, Tags=pairs)
        self._rotate(place, physical_id, new)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("kms").schedule_key_deletion(
            KeyId=physical_id, PendingWindowInDays=properties.get("PendingWindowInDays", 30)
        )

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        kms, by_id = place.aws("kms"), {"KeyId": physical_id}
        metadata = kms.describe_key(**by_id)["KeyMetadata"]
        if metadata["KeyState"] == "PendingDeletion":
            raise AbsentError(f"key {physical_id} is to be deleted")
        symmetric = metadata["KeySpec"] == "SYMMETRIC_DEFAULT"
        rotation = kms.get_key_rotation_status(**by_id) if symmetric else {}
        tags = kms.list_resource_tags(**by_id)["Tags"]
        return {
            **{key: metadata.get(key) for key in ("Description", "KeySpec", "KeyUsage")},
            "KeyPolicy": json.loads(kms.get_key_policy(**by_id, PolicyName="default")["Policy"]),
            "EnableKeyRotation": rotation.get("KeyRotationEnabled"),
            "Tags": [{"Key": tag["TagKey"], "Value": tag["TagValue"]} for tag in tags],
        }

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        arn = f"arn:aws:kms:{place.region}:{place.account}:key/{physical_id}"
        return {"Arn": arn, "KeyId": physical_id}


class Alias(ResourceType):
    name = "AWS::KMS::Alias"
    updated = frozenset({"TargetKeyId"})

    def create(self, place: Place, desired: Properties) -> str:
        place.aws("kms").create_alias(**desired)
        return str(desired["AliasName"])

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        kms = place.aws("kms")
        # "UpdateAlias", KMS API Reference; moto moves an alias to any key.
        both = [
            kms.describe_key(KeyId=key)["KeyMetadata"] for key in (physical_id, new["TargetKeyId"])
        ]
        # moto knows no default of a key's usage.
        kinds = {
            (key.get("KeyUsage", "ENCRYPT_DECRYPT"), key["KeySpec"] == "SYMMETRIC_DEFAULT")
            for key in both
        }
        if len(kinds) > 1:
            raise ResourceError(f"{physical_id} names a key of another type or usage")
        kms.update_alias(**new)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("kms").delete_alias(AliasName=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        for alias in place.aws("kms").get_paginator("list_aliases").paginate().search("Aliases"):
            if alias["AliasName"] == physical_id:
                # A template may give the key's ARN where KMS answers with its id.
                target = alias["TargetKeyId"]
                if desired.get("TargetKeyId", "").startswith("arn:"):
                    target = place.aws("kms").describe_key(KeyId=target)["KeyMetadata"]["Arn"]
                return {"AliasName": physical_id, "TargetKeyId": target}
        raise AbsentError(f"no alias {physical_id}")


TYPES = (Alias, Key)
