"""Differences of the models that Amazon Bedrock has imported: each is an approved version.

CloudFormation has no type for an imported model.
"""

from collections.abc import Iterator

from sashiko.account.access.environment import Environment
from sashiko.account.account import Account
from sashiko.account.names import key_alias, prefix
from sashiko_packs.operations.audit.difference import Difference

_ABSENT = ("ResourceNotFoundException",)
_NO_PACKAGE = ("ValidationException",)


def imported_models(account: Account, environment: Environment) -> Iterator[Difference]:
    """Yields what is wrong with the imported models of the environment.

    Without a guardrail in the templates nothing is asked: the Region may have no Bedrock.

    Raises:
        InputError: as `Account.read` does.
    """
    if not any(environment.templates.of_type("AWS::Bedrock::Guardrail")):
        return
    ours = f"{prefix(environment.settings)}-"
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
