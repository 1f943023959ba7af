"""Glue's data quality rulesets, which moto lacks. Their tags are in moto, as all of Glue's."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from .json_api import Handler, ServiceError


class Glue:
    """The rulesets of one account in one region."""

    def __init__(self, account: str, region: str, aws: Callable[[str], Any]) -> None:
        self._arn = f"arn:aws:glue:{region}:{account}:dataQualityRuleset"
        self._aws = aws
        self._rulesets: dict[str, dict[str, Any]] = {}
        self.operations: dict[str, Handler] = {
            "CreateDataQualityRuleset": self._create,
            "GetDataQualityRuleset": lambda request: self._get(request["Name"]),
            "UpdateDataQualityRuleset": self._update,
            "DeleteDataQualityRuleset": self._delete,
            "ListDataQualityRulesets": lambda _: {"Rulesets": list(self._rulesets.values())},
        }

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["Name"]
        if name in self._rulesets:
            raise ServiceError("AlreadyExistsException", f"Data quality ruleset {name} exists")
        _check_dqdl(request["Ruleset"])
        if table := request.get("TargetTable"):
            try:
                self._aws("glue").get_table(
                    DatabaseName=table["DatabaseName"], Name=table["TableName"]
                )
            except ClientError as error:
                raise ServiceError("EntityNotFoundException", f"no table {table}") from error
        members = (
            "Name",
            "Description",
            "Ruleset",
            "TargetTable",
            "DataQualitySecurityConfiguration",
        )
        self._rulesets[name] = {key: request[key] for key in members if key in request}
        self._aws("glue").tag_resource(
            ResourceArn=f"{self._arn}/{name}", TagsToAdd=request.get("Tags") or {}
        )
        return {"Name": name}

    def _get(self, name: str) -> dict[str, Any]:
        if name not in self._rulesets:
            raise ServiceError("EntityNotFoundException", f"Data quality ruleset {name} not found")
        return self._rulesets[name]

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        ruleset = self._get(request["Name"])
        _check_dqdl(request.get("Ruleset", ruleset["Ruleset"]))
        ruleset.update(request)
        return ruleset

    def _delete(self, request: dict[str, Any]) -> None:
        del self._rulesets[self._get(request["Name"])["Name"]]
        arn = f"{self._arn}/{request['Name']}"
        tags = self._aws("glue").get_tags(ResourceArn=arn)["Tags"]
        self._aws("glue").untag_resource(ResourceArn=arn, TagsToRemove=list(tags))


def _check_dqdl(text: str) -> None:
    """Checks the frame of a ruleset, not its rules, which only Glue can judge."""
    body = "".join(text.split())
    if not (body.startswith("Rules=[") and body.endswith("]")) or body == "Rules=[]":
        raise ServiceError("InvalidInputException", "Ruleset: expected Rules = [ rule, ... ]")
