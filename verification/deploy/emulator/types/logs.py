"""CloudWatch Logs."""

from typing import Any

from ..engine.errors import AbsentError
from ..engine.resources import Place, Properties, ResourceType, changed_tags, tags_of


class LogGroup(ResourceType):
    name = "AWS::Logs::LogGroup"
    updated = frozenset({"KmsKeyId", "RetentionInDays", "Tags"})
    handled = updated | {"LogGroupName"}

    def create(self, at: Place, wanted: Properties) -> str:
        name = wanted.get("LogGroupName") or at.generated_name(512)
        given = {"kmsKeyId": wanted["KmsKeyId"]} if "KmsKeyId" in wanted else {}
        tags = {tag["Key"]: tag["Value"] for tag in wanted.get("Tags", [])}
        at.aws("logs").create_log_group(logGroupName=name, tags=tags, **given)
        at.made.append(name)
        if "RetentionInDays" in wanted:
            self._retain(at, name, wanted)
        return str(name)

    def _retain(self, at: Place, name: str, wanted: Properties) -> None:
        if days := wanted.get("RetentionInDays"):
            at.aws("logs").put_retention_policy(logGroupName=name, retentionInDays=days)
        else:
            at.aws("logs").delete_retention_policy(logGroupName=name)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        logs = at.aws("logs")
        self._retain(at, physical_id, new)
        gone, tags = changed_tags(old, new)
        logs.untag_log_group(logGroupName=physical_id, tags=gone)
        logs.tag_log_group(
            logGroupName=physical_id, tags={tag["Key"]: tag["Value"] for tag in tags}
        )
        if "KmsKeyId" in new:
            logs.associate_kms_key(logGroupName=physical_id, kmsKeyId=new["KmsKeyId"])
        elif "KmsKeyId" in old:
            logs.disassociate_kms_key(logGroupName=physical_id)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("logs").delete_log_group(logGroupName=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        logs = at.aws("logs")
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

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        return {"Arn": f"arn:aws:logs:{at.region}:{at.account}:log-group:{physical_id}:*"}


TYPES = (LogGroup,)
