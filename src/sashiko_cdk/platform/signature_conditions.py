"""Conditions of the policies that let a role sign and verify."""

from typing import Any, Final

from sashiko.account.names import key_alias
from sashiko.settings.environment import Settings

DIGESTS: Final = {"kms:MessageType": "DIGEST", "kms:SigningAlgorithm": "ECDSA_SHA_256"}


def by_alias(settings: Settings) -> dict[str, Any]:
    """Limits verification to digests and the signing keys' aliases, where no key's id is known."""
    alias = key_alias(settings, "signing")
    return {"StringEquals": DIGESTS, "StringLike": {"kms:RequestAlias": [alias, f"{alias}-*"]}}
