"""Bedrock."""

from typing import Any

from ..engine.resources import Place, Properties, ResourceType, changed_tags

# A template's policies -> the API's, and where its answers have their rules.
_POLICIES = {
    "ContentPolicyConfig": ("contentPolicy", "filters", "FiltersConfig"),
    "SensitiveInformationPolicyConfig": (
        "sensitiveInformationPolicy",
        "piiEntities",
        "PiiEntitiesConfig",
    ),
}


class Guardrail(ResourceType):
    name = "AWS::Bedrock::Guardrail"
    updated = frozenset(
        {
            "BlockedInputMessaging", "BlockedOutputsMessaging", "ContentPolicyConfig",
            "Description", "Name", "SensitiveInformationPolicyConfig", "Tags",
        }
    )  # fmt: skip
    handled = updated

    def create(self, place: Place, desired: Properties) -> str:
        created = place.aws("bedrock").create_guardrail(**_lower(desired))
        return str(created["guardrailArn"])

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        arguments = {key: value for key, value in _lower(new).items() if key != "tags"}
        place.aws("bedrock").update_guardrail(guardrailIdentifier=physical_id, **arguments)
        _retag(place, physical_id, old, new)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("bedrock").delete_guardrail(guardrailIdentifier=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        description = place.aws("bedrock").get_guardrail(guardrailIdentifier=physical_id)
        policies = {
            name: {rules: [_upper(item) for item in description[policy][member]]}
            for name, (policy, member, rules) in _POLICIES.items()
            if policy in description
        }
        return {
            "Name": description["name"],
            "Description": description["description"],
            "BlockedInputMessaging": description["blockedInputMessaging"],
            "BlockedOutputsMessaging": description["blockedOutputsMessaging"],
            "Tags": _tags(place, physical_id),
            **policies,
        }

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        return {
            "GuardrailArn": physical_id,
            "GuardrailId": physical_id.rpartition("/")[2],
            "Version": "DRAFT",
        }


class GuardrailVersion(ResourceType):
    name = "AWS::Bedrock::GuardrailVersion"
    handled = frozenset({"Description", "GuardrailIdentifier"})

    def create(self, place: Place, desired: Properties) -> str:
        created = place.aws("bedrock").create_guardrail_version(**_lower(desired))
        return f"{created['guardrailId']}|{created['version']}"

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        identifier, version = physical_id.split("|")
        place.aws("bedrock").delete_guardrail(
            guardrailIdentifier=identifier, guardrailVersion=version
        )

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        identifier, version = physical_id.split("|")
        description = place.aws("bedrock").get_guardrail(
            guardrailIdentifier=identifier, guardrailVersion=version
        )
        return {"GuardrailIdentifier": identifier, "Description": description["description"]}

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        identifier, version = physical_id.split("|")
        arn = f"arn:aws:bedrock:{place.region}:{place.account}:guardrail/{identifier}"
        return {"GuardrailArn": arn, "GuardrailId": identifier, "Version": version}


class ApplicationInferenceProfile(ResourceType):
    name = "AWS::Bedrock::ApplicationInferenceProfile"
    updated = frozenset({"Tags"})
    handled = updated | {"Description", "InferenceProfileName", "ModelSource"}

    def create(self, place: Place, desired: Properties) -> str:
        created = place.aws("bedrock").create_inference_profile(**_lower(desired))
        return str(created["inferenceProfileArn"])

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        _retag(place, physical_id, old, new)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("bedrock").delete_inference_profile(inferenceProfileIdentifier=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        description = place.aws("bedrock").get_inference_profile(
            inferenceProfileIdentifier=physical_id
        )
        return {
            "InferenceProfileName": description["inferenceProfileName"],
            "Description": description["description"],
            "ModelSource": {"CopyFrom": description["models"][0]["modelArn"]},
            "Tags": _tags(place, physical_id),
        }

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        return {"InferenceProfileArn": physical_id, "InferenceProfileIdentifier": physical_id}


def _tags(place: Place, arn: str) -> list[dict[str, str]]:
    tags = place.aws("bedrock").list_tags_for_resource(resourceARN=arn)["tags"]
    return [{"Key": tag["key"], "Value": tag["value"]} for tag in tags]


def _retag(place: Place, arn: str, old: Properties, new: Properties) -> None:
    removed_keys, tags = changed_tags(old, new)
    if removed_keys:
        place.aws("bedrock").untag_resource(resourceARN=arn, tagKeys=removed_keys)
    if tags:
        place.aws("bedrock").tag_resource(resourceARN=arn, tags=_lower(tags))


def _lower(value: Any) -> Any:
    """The API's members are the template's, with another first letter."""
    if isinstance(value, dict):
        return {key[0].lower() + key[1:]: _lower(item) for key, item in value.items()}
    return [_lower(item) for item in value] if isinstance(value, list) else value


def _upper(value: dict[str, Any]) -> dict[str, Any]:
    return {key[0].upper() + key[1:]: item for key, item in value.items()}


TYPES = (ApplicationInferenceProfile, Guardrail, GuardrailVersion)
