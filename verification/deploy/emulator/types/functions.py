"""Lambda: functions, and who may call them."""

import json
from typing import Any

from ..engine.errors import AbsentError
from ..engine.resources import Place, Properties, ResourceType, changed_tags, tags_of

_SETTINGS = ("Description", "Handler", "MemorySize", "Role", "Runtime", "Timeout")


class Function(ResourceType):
    name = "AWS::Lambda::Function"
    # Neither Environment nor VpcConfig: no function of ours has one.
    updated = frozenset({*_SETTINGS, "Code", "Tags"})
    handled = updated | {"Architectures", "FunctionName", "LoggingConfig"}

    def create(self, at: Place, wanted: Properties) -> str:
        given = {key: item for key, item in wanted.items() if key != "Tags"}
        given.setdefault("FunctionName", at.generated_name(64))
        tags = {tag["Key"]: tag["Value"] for tag in wanted.get("Tags", [])}
        self._check_absent(at, given["FunctionName"])
        return str(at.aws("lambda").create_function(**given, Tags=tags)["FunctionName"])

    def _check_absent(self, at: Place, name: str) -> None:
        """moto replaces a function of the same name, where Lambda refuses."""
        lambda_ = at.aws("lambda")
        try:
            lambda_.get_function(FunctionName=name)
        except lambda_.exceptions.ResourceNotFoundException:
            return
        raise lambda_.exceptions.ResourceConflictException(
            {"Error": {"Message": f"Function already exist: {name}"}}, "CreateFunction"
        )

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        lambda_, one = at.aws("lambda"), {"FunctionName": physical_id}
        if old["Code"] != new["Code"]:
            lambda_.update_function_code(**one, **new["Code"])
        given = {key: new[key] for key in _SETTINGS if key in new}
        lambda_.update_function_configuration(**one, **given)
        arn = self.attributes(at, physical_id, new)["Arn"]
        gone, tags = changed_tags(old, new)
        if gone:
            lambda_.untag_resource(Resource=arn, TagKeys=gone)
        lambda_.tag_resource(Resource=arn, Tags={tag["Key"]: tag["Value"] for tag in tags})

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("lambda").delete_function(FunctionName=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        answer = at.aws("lambda").get_function(FunctionName=physical_id)
        found = answer["Configuration"]
        keys = ("Architectures", "FunctionName", *_SETTINGS)
        return {
            **{key: found.get(key) for key in keys},
            "Tags": tags_of(answer.get("Tags", {})),
        }

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        return {"Arn": f"arn:aws:lambda:{at.region}:{at.account}:function:{physical_id}"}


class Permission(ResourceType):
    name = "AWS::Lambda::Permission"
    handled = frozenset({"Action", "FunctionName", "Principal", "SourceAccount", "SourceArn"})

    def create(self, at: Place, wanted: Properties) -> str:
        identifier = at.generated_name(100)
        at.aws("lambda").add_permission(StatementId=identifier, **wanted)
        return identifier

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("lambda").remove_permission(
            FunctionName=had["FunctionName"], StatementId=physical_id
        )

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        policy = at.aws("lambda").get_policy(FunctionName=wanted["FunctionName"])["Policy"]
        for statement in json.loads(policy)["Statement"]:
            if statement["Sid"] == physical_id:
                # A template may give the name where the policy has the ARN.
                named = (statement["Resource"], statement["Resource"].rpartition(":")[2])
                principal, conditions = statement["Principal"], statement.get("Condition", {})
                return {
                    "Action": statement["Action"],
                    "FunctionName": named[":" not in wanted["FunctionName"]],
                    "Principal": principal if isinstance(principal, str) else principal["Service"],
                    "SourceAccount": conditions.get("StringEquals", {}).get("AWS:SourceAccount"),
                    "SourceArn": conditions.get("ArnLike", {}).get("AWS:SourceArn"),
                }
        raise AbsentError(f"{wanted['FunctionName']} has no permission {physical_id}")


TYPES = (Function, Permission)
