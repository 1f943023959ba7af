"""The keys that models' manifests are signed with: the registrar signs, others verify."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from sashiko.account.names import earlier_signing_alias, key_alias, prefix, registering
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import RolePolicy, allow
from sashiko_cdk.identity.trust import DIGESTS, share_signatures

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
        """Makes the keys, lets the registrar sign, and others verify, also in another account."""
        super().__init__(scope, id)
        keys = {
            number: kms.Key(
                self,
                "Key" if number == 1 else f"Key{number}",
                description=f"{prefix(settings)}: signs the manifests of models",
                key_spec=kms.KeySpec.ECC_NIST_P256,
                key_usage=kms.KeyUsage.SIGN_VERIFY,
                removal_policy=removal_policy,
            )
            for number in range(1, settings.signing_keys[-1] + 1)
        }
        *earlier, newest = keys
        current = keys[newest]
        for number in earlier:
            _deny_signatures(keys[number], "NobodySigns")
        signers = [settings.role_arn(role) for role in registering(settings)]
        but = {"ArnNotEquals": {"aws:PrincipalArn": signers}}
        _deny_signatures(current, "OnlyTheRegistrarSigns", but=but)
        trusted = [keys[number] for number in settings.signing_keys]
        for key in trusted:
            share_signatures(key, settings=settings)
        # Below the first key, whichever key it names: so its logical id stays.
        alias = kms.Alias(
            keys[1], "Alias", alias_name=key_alias(settings, "signing"), target_key=current
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
        digests = {"StringEquals": DIGESTS}
        signing = [
            allow(["kms:Sign"], [current.key_arn], conditions=digests),
            allow(["kms:DescribeKey", "kms:GetPublicKey"], [current.key_arn]),
        ]
        for role in registering(settings):
            id_ = "Sign" if role == "registrar" else "SignPromoted"
            RolePolicy(
                self, id_, settings, role, signing, description="Signs the manifest of a model"
            )
        verifying = [allow(["kms:Verify"], [key.key_arn for key in trusted], conditions=digests)]
        why = "Verifies the manifest of a model"
        RolePolicy(self, "Verify", settings, "preflight", verifying, description=why)
        why = "Verifies the manifest of the champion, whose label metrics are compared"
        RolePolicy(self, "VerifyChampion", settings, "registry-reader", verifying, description=why)


def _deny_signatures(
    key: kms.Key, sid: str, *, but: dict[str, dict[str, list[str]]] | None = None
) -> None:
    key.add_to_resource_policy(
        iam.PolicyStatement(
            sid=sid,
            effect=iam.Effect.DENY,
            principals=[iam.AnyPrincipal()],
            actions=["kms:Sign"],
            resources=["*"],  # of a key's policy: the key itself
            conditions=but,
        )
    )
