"""CloudWatch Logs."""

from typing import Any

from ..engine.errors import AbsentError
from ..engine.resources import Place, Properties, ResourceType, changed_tags, tags_of


class LogGroup(ResourceType):
    name = "AWS::Logs::LogGroup"
    updated = frozenset({"KmsKeyId", "RetentionInDays", "Tags"})
    handled = updated | {"LogGroupName"}

    def create(self, place: Place, desired: Properties) -> str:
        name = desired.get("LogGroupName") or place.generated_name(512)
        encryption = {"kmsKeyId": desired["KmsKeyId"]} if "KmsKeyId" in desired else {}
        tags = {tag["Key"]: tag["Value"] for tag in desired.get("Tags", [])}
        place.aws("logs").create_log_group(logGroupName=name, tags=tags, **encryption)
        place.created_ids.append(name)
        if "RetentionInDays" in desired:
            self._retain(place, name, desired)
        return str(name)

    def _retain(self, place: Place, name: str, desired: Properties) -> None:
        if days := desired.get("RetentionInDays"):
            place.aws("logs").put_retention_policy(logGroupName=name, retentionInDays=days)
        else:
            place.aws("logs").delete_retention_policy(logGroupName=name)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        logs = place.aws("logs")
        self._retain(place, physical_id, new)
        removed_keys, tags = changed_tags(old, new)
        logs.untag_log_group(logGroupName=physical_id, tags=removed_keys)
        logs.tag_log_group(
            logGroupName=physical_id, tags={tag["Key"]: tag["Value"] for tag in tags}
        )
        if "KmsKeyId" in new:
            logs.associate_kms_key(logGroupName=physical_id, kmsKeyId=new["KmsKeyId"])
        elif "KmsKeyId" in old:
            logs.disassociate_kms_key(logGroupName=physical_id)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("logs").delete_log_group(logGroupName=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        logs = place.aws("logs")
        for group in logs.describe_log_groups(logGroupNamePrefix=physical_id)["logGroups"]:
            if group["logGroupName"] == physical_id:
                tags = logs.list_tags_log_group(logGroupName=physical_id)["tags"]
                return {
                    "LogGroupName": physical_id,
                    "RetentionInDays": group.get("retentionInDays"),
                    "KmsKeyId": group.get("kmsKeyId"),
                    "Tags": tags_of(tags),
                }
        raise AbsentError(f"no log group {physical_id}")

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        return {"Arn": f"arn:aws:logs:{place.region}:{place.account}:log-group:{physical_id}:*"}


TYPES = (LogGroup,)
