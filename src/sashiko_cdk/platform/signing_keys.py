"""The keys that models' manifests are signed with: the registrar signs, the preflight verifies."""

from collections.abc import Mapping, Sequence

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from sashiko.account.names import earlier_signing_alias, key_alias, prefix, registering
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import allow
from sashiko_cdk.identity.role_policy import RolePolicy
from sashiko_cdk.platform.promotion_policies import share_signatures
from sashiko_cdk.platform.signature_conditions import DIGESTS

__all__ = ["SigningKeys"]


class SigningKeys(Construct):
    """Asymmetric keys under fixed aliases: the newest signs, the earlier ones only verify.

    Each key's policy denies a signature: the newest one's to everybody but the registrar, and in an
    environment that takes versions from another one the promoter; an earlier one's to everybody. No
    later policy of another role makes a signature worth less.

    KMS rotates no asymmetric key, so a new key takes the old one's place under its alias ("Rotate
    keys manually", KMS Developer Guide). Old keys stay, because a signature is verified with the
    key that made it.
    """

    def __init__(
        self, scope: Construct, id: str, *, settings: Settings, removal_policy: RemovalPolicy
    ) -> None:
        """Makes the keys, lets the registrar sign, the preflight and another account verify."""
        super().__init__(scope, id)
        numbers = range(1, settings.signing_keys[-1] + 1)
        keys = {number: self._key(number, settings, removal_policy) for number in numbers}
        *earlier, current = keys.values()
        for key in earlier:
            _deny_signatures(key, "NobodySigns", but=())
        signers = tuple(settings.role_arn(role) for role in registering(settings))
        _deny_signatures(current, "OnlyTheRegistrarSigns", but=signers)
        trusted = [keys[number] for number in settings.signing_keys]
        for key in trusted:
            share_signatures(key, settings=settings)
        self._name(keys, settings, removal_policy)
        self._permit(settings, current, trusted)

    def _key(self, number: int, settings: Settings, removal_policy: RemovalPolicy) -> kms.Key:
        return kms.Key(
            self,
            "Key" if number == 1 else f"Key{number}",
            description=f"{prefix(settings)}: signs the manifests of models",
            key_spec=kms.KeySpec.ECC_NIST_P256,
            key_usage=kms.KeyUsage.SIGN_VERIFY,
            removal_policy=removal_policy,
        )

    def _name(
        self, keys: Mapping[int, kms.Key], settings: Settings, removal_policy: RemovalPolicy
    ) -> None:
        *earlier, current = keys
        # Below the first key, whichever key it names: so its logical id stays.
        alias = kms.Alias(
            keys[1], "Alias", alias_name=key_alias(settings, "signing"), target_key=keys[current]
        )
        alias.apply_removal_policy(removal_policy)
        for number in earlier:
            own = kms.Alias(
                self,
                f"Alias{number}",
                alias_name=earlier_signing_alias(settings, number),
                target_key=keys[number],
            )
            own.apply_removal_policy(removal_policy)
            alias.node.add_dependency(own)  # no moment in which no alias names the key

    def _permit(self, settings: Settings, current: kms.Key, trusted: Sequence[kms.Key]) -> None:
        digests = {"StringEquals": DIGESTS}
        for role in registering(settings):
            RolePolicy(
                self,
                "Sign" if role == "registrar" else "SignPromoted",
                settings=settings,
                role=role,
                description="Signs the manifest of a model",
                statements=[
                    allow(["kms:Sign"], [current.key_arn], conditions=digests),
                    allow(["kms:DescribeKey", "kms:GetPublicKey"], [current.key_arn]),
                ],
            )
        RolePolicy(
            self,
            "Verify",
            settings=settings,
            role="preflight",
            description="Verifies the manifest of a model",
            statements=[
                allow(["kms:Verify"], [key.key_arn for key in trusted], conditions=digests)
            ],
        )


def _deny_signatures(key: kms.Key, sid: str, *, but: tuple[str, ...]) -> None:
    key.add_to_resource_policy(
        iam.PolicyStatement(
            sid=sid,
            effect=iam.Effect.DENY,
            principals=[iam.AnyPrincipal()],
            actions=["kms:Sign"],
            resources=["*"],  # of a key's policy: the key itself
            conditions={"ArnNotEquals": {"aws:PrincipalArn": list(but)}} if but else {},
        )
    )
