"""Checks of what the stack `Bedrock` and an import need: Region, no log."""

from collections.abc import Iterator
from typing import Final

from sashiko.account.account import Account
from sashiko.doctor.services import Check
from sashiko.settings.environment import Settings, file_of
from sashiko_packs.bedrock.checkpoint import read_import_facts
from sashiko_packs.bedrock.settings import BedrockSection

_LOGGING: Final = "Bedrock's invocation log"


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
