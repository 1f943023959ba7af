"""What KMS says of a version's provenance, for `sashiko model lineage`."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from sashiko.account.names import key_alias
from sashiko.pipeline.witness import AccountWitness
from sashiko.registry.chain import Link
from sashiko.registry.versions import to_version
from tests.infra.variants import recipes_of, settings_of
from tests.unit.registry.model_packages.account import replace_signing_key

SETTINGS = settings_of("dev")
DIGEST = hashlib.sha256(b"a statement").digest()


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The environment's KMS, with its first key."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        client = boto3.client("kms", region_name=SETTINGS.region)
        key = client.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]
        alias = key_alias(SETTINGS, "signing")
        client.create_alias(AliasName=alias, TargetKeyId=key["KeyId"])
        yield client


def witness(*numbers: int, signature: bytes) -> Link:
    settings = SETTINGS.model_copy(update={"signing_keys": numbers})
    version = to_version("group", 1, status="Approved", tags={}, aliases=())
    (recipe,) = recipes_of(settings)
    known = AccountWitness(settings, recipe, home=Path(), version=version)
    return known.signature(DIGEST, signature)


def test_an_earlier_keys_signature_is_verified_until_that_key_is_distrusted(kms: Any) -> None:
    alias = key_alias(SETTINGS, "signing")
    signed = kms.sign(
        KeyId=alias, Message=DIGEST, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256"
    )
    replace_signing_key(kms, alias)

    link = witness(1, 2, signature=signed["Signature"])
    assert (link.state, link.detail) == ("verified", f"signed by {signed['KeyId']}")
    link = witness(2, signature=signed["Signature"])
    assert (link.state, link.detail) == ("broken", f"its signature is not of {alias}")
