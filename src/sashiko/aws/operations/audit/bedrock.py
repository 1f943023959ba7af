"""Differences on Amazon Bedrock: the guardrail's version, profiles, and imported models.

CloudFormation has no imported models, and a version of a guardrail can be made by hand.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sashiko.aws.operations.access.environment import Environment
from sashiko.aws.operations.audit.difference import Difference, listed
from sashiko.aws.operations.templates import Resource
from sashiko.aws.resources.account import Account
from sashiko.aws.resources.names import key_alias, prefix

_ABSENT = ("ResourceNotFoundException",)
_NO_PACKAGE = ("ValidationException",)
_REDEPLOY = "deploy the stack Bedrock; where it says no change, destroy and deploy it"
_FILTERS = {"Type": "type", "InputStrength": "inputStrength", "OutputStrength": "outputStrength"}
_ENTITIES = {"Type": "type", "InputAction": "inputAction", "OutputAction": "outputAction"}


def bedrock(account: Account, environment: Environment) -> Iterator[Difference]:
    """Yields every difference between the templates' Bedrock and the account's.

    Without a guardrail in the templates nothing is asked: the Region may have no Bedrock.

    Raises:
        InputError: as `Account.read` does.
    """
    guardrails = list(environment.templates.of_type("AWS::Bedrock::Guardrail"))
    if not guardrails:
        return
    for guardrail in guardrails:
        yield from _guardrail(account, guardrail)
    for profile in environment.templates.of_type("AWS::Bedrock::ApplicationInferenceProfile"):
        yield from _profile(account, profile)
    yield from _imported(account, environment)


def _guardrail(account: Account, guardrail: Resource) -> Iterator[Difference]:
    name = str(guardrail.properties["Name"])
    resource = f"guardrail {name}"
    ids = [
        item["id"]
        for item in account.pages("bedrock", "list_guardrails", "guardrails")
        if item["name"] == name
    ]
    if not ids:
        yield Difference(kind="missing", resource=resource, detail="", fix=_REDEPLOY)
        return
    versions = account.pages("bedrock", "list_guardrails", "guardrails", guardrailIdentifier=ids[0])
    numbers = [int(item["version"]) for item in versions if item["version"].isdecimal()]
    if not numbers:
        yield Difference(
            kind="missing",
            resource=f"version of {resource}",
            detail="it has a draft alone, which who may invoke models cannot name",
            fix=_REDEPLOY,
        )
        return
    newest = str(max(numbers))
    live = account.read(
        "bedrock", "get_guardrail", guardrailIdentifier=ids[0], guardrailVersion=newest
    )
    expected, actual = _rules(guardrail.properties), _live_rules(live or {})
    for what in expected:
        if expected[what] != actual[what]:
            yield Difference(
                kind="differs",
                resource=f"{what} of {resource}, version {newest}",
                detail=f"expected {listed(expected[what])}, found {listed(actual[what])}",
                fix=_REDEPLOY,
            )


def _rules(properties: Mapping[str, Any]) -> Mapping[str, set[str]]:
    content = properties.get("ContentPolicyConfig", {}).get("FiltersConfig", ())
    personal = properties.get("SensitiveInformationPolicyConfig", {}).get("PiiEntitiesConfig", ())
    return {
        "filters": {" ".join(str(item.get(key)) for key in _FILTERS) for item in content},
        "personal data": {" ".join(str(item.get(key)) for key in _ENTITIES) for item in personal},
    }


def _live_rules(live: Mapping[str, Any]) -> Mapping[str, set[str]]:
    content = live.get("contentPolicy", {}).get("filters", ())
    personal = live.get("sensitiveInformationPolicy", {}).get("piiEntities", ())
    return {
        "filters": {" ".join(str(item.get(key)) for key in _FILTERS.values()) for item in content},
        "personal data": {
            " ".join(str(item.get(key)) for key in _ENTITIES.values()) for item in personal
        },
    }


def _profile(account: Account, profile: Resource) -> Iterator[Difference]:
    name = str(profile.properties["InferenceProfileName"])
    resource = f"inference profile {name}"
    arns = [
        item["inferenceProfileArn"]
        for item in account.pages(
            "bedrock",
            "list_inference_profiles",
            "inferenceProfileSummaries",
            typeEquals="APPLICATION",
        )
        if item["inferenceProfileName"] == name
    ]
    if not arns:
        yield Difference(kind="missing", resource=resource, detail="", fix=_REDEPLOY)
        return
    tags = _tags(account, arns[0])
    expected = {item["Key"]: item["Value"] for item in profile.properties.get("Tags", ())}
    wrong = {key: value for key, value in expected.items() if tags.get(key) != value}
    if wrong:
        current = {key: tags.get(key) for key in wrong}
        pairs = " ".join(f"key={key},value={value}" for key, value in sorted(wrong.items()))
        yield Difference(
            kind="differs",
            resource=f"tags of {resource}",
            detail=f"expected {wrong}, found {current}: its use is not on this environment's bill",
            fix=f"aws bedrock tag-resource --resource-arn {arns[0]} --tags {pairs}",
        )


def _imported(account: Account, environment: Environment) -> Iterator[Difference]:
    """Yields what is wrong with imported models of the environment: each is an approved version."""
    settings = environment.settings
    ours = f"{prefix(settings)}-"
    models = account.pages("bedrock", "list_imported_models", "modelSummaries", nameContains=ours)
    for summary in models:
        if summary["modelName"].startswith(ours):
            yield from _model(account, environment, str(summary["modelArn"]))


def _model(account: Account, environment: Environment, arn: str) -> Iterator[Difference]:
    settings = environment.settings
    model = account.read("bedrock", "get_imported_model", absent=_ABSENT, modelIdentifier=arn)
    if model is None:  # deleted in between
        return
    resource, remove = f"imported model {model['modelName']}", _removal(arn)
    tags = _tags(account, arn)
    package = account.read(
        "sagemaker",
        "describe_model_package",
        absent=_NO_PACKAGE,
        ModelPackageName=tags.get("model-package", "none"),
    )
    manifest = (package or {}).get("CustomerMetadataProperties", {}).get("manifest_sha256")
    if package is None or manifest != tags.get("manifest-sha256"):
        yield Difference(
            kind="extra",
            resource=resource,
            detail="it is of no registered version: `sashiko model import` did not make it",
            fix=remove,
        )
        return
    if package["ModelApprovalStatus"] != "Approved":
        yield Difference(
            kind="extra",
            resource=resource,
            detail=f"its version is {package['ModelApprovalStatus']}, not Approved",
            fix=remove,
        )
    job = account.read(
        "bedrock", "get_model_import_job", absent=_ABSENT, jobIdentifier=model["jobArn"]
    )
    key = account.read("kms", "describe_key", KeyId=key_alias(settings, "bedrock"))
    expected = {
        "key": ((key or {}).get("KeyMetadata", {}).get("Arn"), model.get("modelKmsKeyArn")),
        "role": (settings.role_arn("bedrock-import"), (job or {}).get("roleArn")),
    }
    for what, (meant, current) in expected.items():
        if meant != current and (job or what == "key"):
            yield Difference(
                kind="differs",
                resource=f"{what} of {resource}",
                detail=f"expected {meant}, found {current}",
                fix=f"{remove}, then sashiko model import",
            )


def _removal(arn: str) -> str:
    return f"aws bedrock delete-imported-model --model-identifier {arn}"


def _tags(account: Account, arn: str) -> dict[str, str]:
    answer = account.read("bedrock", "list_tags_for_resource", resourceARN=arn)
    return {item["key"]: item["value"] for item in (answer or {}).get("tags", ())}
