"""CloudWatch Logs."""

from typing import Any

from ..engine.resources import Place, Properties, ResourceType


class LogGroup(ResourceType):
    name = "AWS::Logs::LogGroup"
    handled = frozenset({"KmsKeyId", "LogGroupClass", "LogGroupName", "RetentionInDays", "Tags"})

    def create(self, at: Place, wanted: Properties) -> str:
        name = wanted.get("LogGroupName") or at.generated_name(512)
        given = {"kmsKeyId": wanted["KmsKeyId"]} if "KmsKeyId" in wanted else {}
        tags = {tag["Key"]: tag["Value"] for tag in wanted.get("Tags", [])}
        at.aws("logs").create_log_group(logGroupName=name, tags=tags, **given)
        self._retain(at, name, wanted)
        return str(name)

    def _retain(self, at: Place, name: str, wanted: Properties) -> None:
        if days := wanted.get("RetentionInDays"):
            at.aws("logs").put_retention_policy(logGroupName=name, retentionInDays=days)
        else:
            at.aws("logs").delete_retention_policy(logGroupName=name)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        self._retain(at, physical_id, new)
        tags = {tag["Key"]: tag["Value"] for tag in new.get("Tags", [])}
        at.aws("logs").tag_log_group(logGroupName=physical_id, tags=tags)
        if new.get("KmsKeyId") != old.get("KmsKeyId"):
            at.aws("logs").associate_kms_key(logGroupName=physical_id, kmsKeyId=new["KmsKeyId"])

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("logs").delete_log_group(logGroupName=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        found = at.aws("logs").describe_log_groups(logGroupNamePrefix=physical_id)["logGroups"]
        for group in found:
            if group["logGroupName"] == physical_id:
                return group
        raise LookupError(f"no log group {physical_id}")

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        return {"Arn": f"arn:aws:logs:{at.region}:{at.account}:log-group:{physical_id}:*"}


TYPES = (LogGroup,)
