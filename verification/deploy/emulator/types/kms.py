"""KMS."""

import json
from typing import Any

from ..engine.errors import AbsentError
from ..engine.resources import Place, Properties, ResourceType, changed_tags


class Key(ResourceType):
    name = "AWS::KMS::Key"
    # Neither Enabled nor RotationPeriodInDays: moto drops the latter.
    updated = frozenset(
        {"Description", "EnableKeyRotation", "KeyPolicy", "PendingWindowInDays", "Tags"}
    )
    handled = updated | {"KeySpec", "KeyUsage"}

    def create(self, at: Place, wanted: Properties) -> str:
        given = {
            key: wanted[key] for key in ("Description", "KeySpec", "KeyUsage") if key in wanted
        }
        if "KeyPolicy" in wanted:
            given["Policy"] = json.dumps(wanted["KeyPolicy"])
        tags = [{"TagKey": t["Key"], "TagValue": t["Value"]} for t in wanted.get("Tags", [])]
        key_id = at.aws("kms").create_key(**given, Tags=tags)["KeyMetadata"]["KeyId"]
        at.made.append(key_id)
        self._rotate(at, key_id, wanted)
        return str(key_id)

    def _rotate(self, at: Place, key_id: str, wanted: Properties) -> None:
        if wanted.get("KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT":
            return  # KMS rotates no other
        if wanted.get("EnableKeyRotation"):
            at.aws("kms").enable_key_rotation(KeyId=key_id)
        else:
            at.aws("kms").disable_key_rotation(KeyId=key_id)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        kms = at.aws("kms")
        if new.get("KeyPolicy") != old.get("KeyPolicy"):
            policy = json.dumps(new["KeyPolicy"])
            kms.put_key_policy(KeyId=physical_id, PolicyName="default", Policy=policy)
        kms.update_key_description(KeyId=physical_id, Description=new.get("Description", ""))
        gone, tags = changed_tags(old, new)
        if gone:
            kms.untag_resource(KeyId=physical_id, TagKeys=gone)
        pairs = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in tags]
        kms.tag_resource(KeyId=physical_id, Tags=pairs)
        self._rotate(at, physical_id, new)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("kms").schedule_key_deletion(
            KeyId=physical_id, PendingWindowInDays=had.get("PendingWindowInDays", 30)
        )

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        kms, one = at.aws("kms"), {"KeyId": physical_id}
        found = kms.describe_key(**one)["KeyMetadata"]
        if found["KeyState"] == "PendingDeletion":
            raise AbsentError(f"key {physical_id} is to be deleted")
        symmetric = found["KeySpec"] == "SYMMETRIC_DEFAULT"
        rotation = kms.get_key_rotation_status(**one) if symmetric else {}
        tags = kms.list_resource_tags(**one)["Tags"]
        return {
            **{key: found.get(key) for key in ("Description", "KeySpec", "KeyUsage")},
            "KeyPolicy": json.loads(kms.get_key_policy(**one, PolicyName="default")["Policy"]),
            "EnableKeyRotation": rotation.get("KeyRotationEnabled"),
            "Tags": [{"Key": tag["TagKey"], "Value": tag["TagValue"]} for tag in tags],
        }

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        arn = f"arn:aws:kms:{at.region}:{at.account}:key/{physical_id}"
        return {"Arn": arn, "KeyId": physical_id}


class Alias(ResourceType):
    name = "AWS::KMS::Alias"
    updated = frozenset({"TargetKeyId"})

    def create(self, at: Place, wanted: Properties) -> str:
        at.aws("kms").create_alias(**wanted)
        return str(wanted["AliasName"])

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        at.aws("kms").update_alias(**new)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("kms").delete_alias(AliasName=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        for alias in at.aws("kms").get_paginator("list_aliases").paginate().search("Aliases"):
            if alias["AliasName"] == physical_id:
                # A template may give the key's ARN where KMS answers with its id.
                target = alias["TargetKeyId"]
                if wanted.get("TargetKeyId", "").startswith("arn:"):
                    target = at.aws("kms").describe_key(KeyId=target)["KeyMetadata"]["Arn"]
                return {"AliasName": physical_id, "TargetKeyId": target}
        raise AbsentError(f"no alias {physical_id}")


TYPES = (Alias, Key)
