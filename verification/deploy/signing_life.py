"""The life of a signing key below an endpoint that serves: sign, replace, distrust."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sashiko.aws.functions.preflight.check import check
from sashiko.aws.functions.preflight.signed_files import Clients
from sashiko.aws.operations.expected_version import expected_of
from sashiko.aws.resources.names import key_alias
from verification.deploy import served
from verification.deploy.hosted import endpoint, hosting_names, served_arn
from verification.deploy.process import Emulator
from verification.deploy.stacks import Stacks

ALIAS = key_alias(served.serving_settings(), "signing")
STACKS = ("Platform", "Serving", "--exclusively", "--require-approval=never")


def check_signing_life(account: Emulator, first: str, new: Callable[[str], Path]) -> None:
    """Nothing that is deployed is replaced, and the endpoint serves from beginning to end.

    Args:
        account: where all but serving is deployed.
        first: ARN of an approved version, which the first key has signed.
        new: makes an empty folder.
    """
    key = key_of(account, ALIAS)
    account.cdk("deploy", *STACKS, folder=served.synthesize(new("one-key"), first))
    replaced, names = Stacks(account).replacements(), hosting_names(account)

    # Replaced: what the first key has signed is served as before, and it signs nothing more.
    both = {"signing_keys": (1, 2)}
    account.cdk("deploy", *STACKS, folder=served.synthesize(new("two-keys"), first, **both))
    assert key_of(account, f"{ALIAS}-1") == key != key_of(account, ALIAS)
    assert Stacks(account).replacements() == replaced
    check_serves(account, first, names)
    assert signer_of(account, first, **both) == key
    with pytest.raises(ClientError, match="AccessDenied"):
        sign(account, key)
    second = served.register(account, new("second") / "files", execution="by the second key")
    assert signer_of(account, second, **both) == key_of(account, ALIAS)

    # Distrusted: its version is refused, which changes nothing, and the other one is served.
    only_second = {"signing_keys": (2,)}
    folder = served.synthesize(new("distrusted"), first, **only_second)
    output = account.cdk("deploy", *STACKS, folder=folder, status=1)
    assert f"preflight refused: {first}: " in output
    assert f"has no valid signature of {ALIAS}; it says that it is of {key}." in output
    assert "`sashiko run`" in output
    check_serves(account, first, names)
    account.cdk("deploy", *STACKS, folder=served.synthesize(new("next"), second, **only_second))
    assert served_arn(account) == second
    assert key_of(account, f"{ALIAS}-1") == key  # kept, to be read


def key_of(account: Emulator, alias: str) -> str:
    """Returns the ARN of the key that an alias names."""
    metadata = account.client("kms").describe_key(KeyId=alias)["KeyMetadata"]
    assert metadata["KeyState"] == "Enabled"
    return str(metadata["Arn"])


def signer_of(account: Emulator, arn: str, **change: Any) -> str:
    """Returns the ARN of the key that has signed a version, as the preflight finds it."""
    clients = Clients(
        sagemaker=account.client("sagemaker"),
        s3=account.client("s3"),
        kms=account.client("kms"),
        scaling=account.client("application-autoscaling"),
    )
    expected = expected_of(served.serving_settings(**change), served.recipe(), arn)
    return check(clients, expected).judged.files.signed_by


def sign(account: Emulator, key: str) -> None:
    """Signs a digest as Register does."""
    account.client("kms").sign(
        KeyId=key, Message=bytes(32), MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256"
    )


def check_serves(account: Emulator, arn: str, names: list[str]) -> None:
    """The endpoint serves that version, by the same model and configuration as before."""
    assert endpoint(account)["EndpointStatus"] == "InService"
    assert served_arn(account) == arn
    assert hosting_names(account) == names
