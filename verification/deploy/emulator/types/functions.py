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

    def create(self, place: Place, desired: Properties) -> str:
        arguments = {key: item for key, item in desired.items() if key != "Tags"}
        arguments.setdefault("FunctionName", place.generated_name(64))
        tags = {tag["Key"]: tag["Value"] for tag in desired.get("Tags", [])}
        self._check_absent(place, arguments["FunctionName"])
        return str(place.aws("lambda").create_function(**arguments, Tags=tags)["FunctionName"])

    def _check_absent(self, place: Place, name: str) -> None:
        """moto replaces a function of the same name, where Lambda refuses."""
        lambda_ = place.aws("lambda")
        try:
            lambda_.get_function(FunctionName=name)
        except lambda_.exceptions.ResourceNotFoundException:
            return
        raise lambda_.exceptions.ResourceConflictException(
            {"Error": {"Message": f"Function already exist: {name}"}}, "CreateFunction"
        )

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        lambda_, by_name = place.aws("lambda"), {"FunctionName": physical_id}
        if old["Code"] != new["Code"]:
            lambda_.update_function_code(**by_name, **new["Code"])
        settings = {key: new[key] for key in _SETTINGS if key in new}
        lambda_.update_function_configuration(**by_name, **settings)
        arn = self.attributes(place, physical_id, new)["Arn"]
        removed_keys, tags = changed_tags(old, new)
        if removed_keys:
            lambda_.untag_resource(Resource=arn, TagKeys=removed_keys)
        lambda_.tag_resource(Resource=arn, Tags={tag["Key"]: tag["Value"] for tag in tags})

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("lambda").delete_function(FunctionName=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        response = place.aws("lambda").get_function(FunctionName=physical_id)
        configuration = response["Configuration"]
        keys = ("Architectures", "FunctionName", *_SETTINGS)
        return {
            **{key: configuration.get(key) for key in keys},
            "Tags": tags_of(response.get("Tags", {})),
        }

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        return {"Arn": f"arn:aws:lambda:{place.region}:{place.account}:function:{physical_id}"}


class Permission(ResourceType):
    name = "AWS::Lambda::Permission"
    handled = frozenset({"Action", "FunctionName", "Principal", "SourceAccount", "SourceArn"})

    def create(self, place: Place, desired: Properties) -> str:
        identifier = place.generated_name(100)
        place.aws("lambda").add_permission(StatementId=identifier, **desired)
        return identifier

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("lambda").remove_permission(
            FunctionName=properties["FunctionName"], StatementId=physical_id
        )

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        policy = place.aws("lambda").get_policy(FunctionName=desired["FunctionName"])["Policy"]
        for statement in json.loads(policy)["Statement"]:
            if statement["Sid"] == physical_id:
                # A template may give the name where the policy has the ARN.
                named = (statement["Resource"], statement["Resource"].rpartition(":")[2])
                principal, conditions = statement["Principal"], statement.get("Condition", {})
                return {
                    "Action": statement["Action"],
                    "FunctionName": named[":" not in desired["FunctionName"]],
                    "Principal": principal if isinstance(principal, str) else principal["Service"],
                    "SourceAccount": conditions.get("StringEquals", {}).get("AWS:SourceAccount"),
                    "SourceArn": conditions.get("ArnLike", {}).get("AWS:SourceArn"),
                }
        raise AbsentError(f"{desired['FunctionName']} has no permission {physical_id}")


TYPES = (Function, Permission)
