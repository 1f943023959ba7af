"""What `Bedrock` and an import need: Region, no log; and what is wrong with imported models."""

from collections.abc import Iterator
from typing import Final

from sashiko.account.access.environment_access import Environment
from sashiko.account.access.live import Difference, differs
from sashiko.account.account import Account
from sashiko.account.names import key_alias, prefix
from sashiko.doctor.services import Check
from sashiko.settings.environment import Settings, file_of
from sashiko_packs.bedrock.checkpoint import read_import_facts
from sashiko_packs.bedrock.settings import IMPORT_ROLE, KEY, BedrockSection

_LOGGING: Final = "Bedrock's invocation log"
_NO_MODEL = ("ResourceNotFoundException",)
_NO_PACKAGE = ("ValidationException",)


def check_bedrock(account: Account, settings: Settings) -> Iterator[Check]:
    """Yields what an environment with `bedrock.enabled` needs; one result where it is off."""
    if not settings.section(BedrockSection).enabled:
        yield Check("Bedrock", "ok", "not used: `bedrock.enabled` is false")
        return
    facts = read_import_facts()
    has = settings.region in facts.regions
    detail = f"{', '.join(facts.regions)} as of {facts.read}"
    yield Check(
        "Custom Model Import",
        "ok" if has else "failed",
        f"{settings.region} has {'it' if has else 'none'}: {detail}",
        fix=""
        if has
        else "choose one of these as `region`, or turn `bedrock.enabled` off in "
        f"{file_of('bedrock', settings.environment)}",
    )
    yield _logging(account, settings)


def _logging(account: Account, settings: Settings) -> Check:
    """Checks that Bedrock copies no text that it is asked about into a log of the account's.

    "Monitor model invocation using CloudWatch Logs and Amazon S3", Amazon Bedrock User Guide: the
    setting is of the account and Region, and off until somebody turns it on.
    """
    answer = account.read("bedrock", "get_model_invocation_logging_configuration") or {}
    logging = answer.get("loggingConfig", {})
    places = [
        *([f"the log group {logging['cloudWatchConfig']['logGroupName']}"]
          if "cloudWatchConfig" in logging else []),
        *([f"the bucket {logging['s3Config']['bucketName']}"] if "s3Config" in logging else []),
    ]  # fmt: skip
    if not places or logging.get("textDataDeliveryEnabled") is False:
        return Check(_LOGGING, "ok", "no text is copied to a log")
    return Check(
        _LOGGING,
        "failed",
        detail=f"each text sent to Bedrock is copied to {' and '.join(places)}, where this "
        "project's retention and access rules do not hold",
        fix="aws bedrock delete-model-invocation-logging-configuration --region "
        f"{settings.region}, or have its owner leave text out (textDataDeliveryEnabled)",
    )


def compare_models(account: Account, environment: Environment) -> Iterator[Difference]:
    """Yields what is wrong with the imported models: CloudFormation has no type for one.

    Without a guardrail in the templates nothing is asked: the Region may have no Bedrock.
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
    model = account.read("bedrock", "get_imported_model", absent=_NO_MODEL, modelIdentifier=arn)
    if model is None:  # deleted in between
        return
    resource = f"imported model {model['modelName']}"
    remove = f"aws bedrock delete-imported-model --model-identifier {arn}"
    answer = account.read("bedrock", "list_tags_for_resource", resourceARN=arn)
    tags = {item["key"]: item["value"] for item in (answer or {}).get("tags", ())}
    name, call = tags.get("model-package", "none"), ("sagemaker", "describe_model_package")
    package = account.read(*call, absent=_NO_PACKAGE, ModelPackageName=name)
    manifest = (package or {}).get("CustomerMetadataProperties", {}).get("manifest_sha256")
    if package is None or manifest != tags.get("manifest-sha256"):
        detail = "it has no registered version: `sashiko model bedrock import` did not make it"
        yield Difference("extra", resource, detail, fix=remove)
        return
    if package["ModelApprovalStatus"] != "Approved":
        detail = f"its version is {package['ModelApprovalStatus']}, not Approved"
        yield Difference("extra", resource, detail, fix=remove)
    call = ("bedrock", "get_model_import_job")
    job = account.read(*call, absent=_NO_MODEL, jobIdentifier=model["jobArn"])
    key = account.read("kms", "describe_key", KeyId=key_alias(settings, KEY))
    expected = {
        "key": ((key or {}).get("KeyMetadata", {}).get("Arn"), model.get("modelKmsKeyArn")),
        "role": (settings.role_arn(IMPORT_ROLE), (job or {}).get("roleArn")),
    }
    for what, (want, have) in expected.items():
        if want != have and (job or what == "key"):
            fix = f"{remove}, then sashiko model bedrock import"
            yield differs(f"{what} of {resource}", want, have, fix=fix)
