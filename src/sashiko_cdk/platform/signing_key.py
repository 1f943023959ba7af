"""The key that a model's manifest is signed with: the registrar signs, the preflight verifies."""

from typing import Final

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from sashiko.aws.resources.names import key_alias, prefix
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import allow
from sashiko_cdk.identity.role_policy import RolePolicy
from sashiko_cdk.identity.role_table import registering

__all__ = ["SigningKey"]

DIGESTS: Final = {"kms:MessageType": "DIGEST", "kms:SigningAlgorithm": "ECDSA_SHA_256"}


class SigningKey(Construct):
    """An asymmetric key under a fixed alias.

    Its policy denies a signature to everybody but the registrar, and in an environment that takes
    versions from another one the promoter, so that no later policy of another role makes it worth
    less.
    """

    def __init__(
        self, scope: Construct, id: str, *, settings: Settings, removal_policy: RemovalPolicy
    ) -> None:
        """Makes the key, lets the registrar sign with it and the preflight verify."""
        super().__init__(scope, id)
        signers = registering(settings)
        # KMS rotates no asymmetric key: what it signed must stay verifiable.
        key = kms.Key(
            self,
            "Key",
            description=f"{prefix(settings)}: signs the manifests of models",
            key_spec=kms.KeySpec.ECC_NIST_P256,
            key_usage=kms.KeyUsage.SIGN_VERIFY,
            removal_policy=removal_policy,
        )
        key.add_alias(key_alias(settings, "signing")).apply_removal_policy(removal_policy)
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="OnlyTheRegistrarSigns",
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["kms:Sign"],
                resources=["*"],  # of a key's policy: the key itself
                conditions={
                    "ArnNotEquals": {
                        "aws:PrincipalArn": [settings.role_arn(role) for role in signers]
                    },
                },
            )
        )
        self.key = key
        digests = {"StringEquals": DIGESTS}
        for role in signers:
            RolePolicy(
                self,
                "Sign" if role == "registrar" else "SignPromoted",
                settings=settings,
                role=role,
                description="Signs the manifest of a model",
                statements=[
                    allow(["kms:Sign"], [key.key_arn], conditions=digests),
                    allow(["kms:DescribeKey", "kms:GetPublicKey"], [key.key_arn]),
                ],
            )
        RolePolicy(
            self,
            "Verify",
            settings=settings,
            role="preflight",
            description="Verifies the manifest of a model",
            statements=[allow(["kms:Verify"], [key.key_arn], conditions=digests)],
        )
