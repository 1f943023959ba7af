"""What KMS refuses and moto does not.

A signature that is not of the requested key is an error ("Verify", KMS API Reference), where
moto answers that it is not valid. And a key whose policy denies everybody to sign, without a
condition, does not sign. No other policy of a key refuses anything here.
"""

import json

from moto.core.exceptions import JsonRESTError
from moto.kms.models import KmsBackend

_moto_sign = KmsBackend.sign
_moto_verify = KmsBackend.verify


def install() -> None:
    """Lets moto's KMS refuse both."""
    KmsBackend.sign = _sign
    KmsBackend.verify = _verify


def _sign(
    self: KmsBackend, key_id: str, message: bytes, signing_algorithm: str
) -> tuple[str, bytes, str]:
    key = self.describe_key(key_id)
    for item in json.loads(key.policy)["Statement"]:
        if item["Effect"] == "Deny" and "kms:Sign" in item["Action"] and "Condition" not in item:
            raise JsonRESTError(
                "AccessDeniedException",
                f"not authorized to perform: kms:Sign on resource: {key.arn} with an explicit deny "
                "in a resource-based policy",
            )
    return _moto_sign(self, key_id, message, signing_algorithm)


def _verify(
    self: KmsBackend, key_id: str, message: bytes, signature: bytes, signing_algorithm: str
) -> tuple[str, bool, str]:
    answer = _moto_verify(self, key_id, message, signature, signing_algorithm)
    if not answer[1]:
        raise JsonRESTError("KMSInvalidSignatureException", "")
    return answer
