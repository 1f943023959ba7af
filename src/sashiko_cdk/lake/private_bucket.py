"""A private bucket, who reads and writes it, and permissions on objects below its folders."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from sashiko.account.names import Bucket, Role, bucket_name
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed, allow
from sashiko_cdk.security_rules.acknowledge import acknowledge

READ: Final = ("s3:GetObject", "s3:GetObjectVersion")
WRITE: Final = ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject")
_OLD_VERSIONS = Duration.days(90)
_NOT_REPLICATED = (
    "Versions bring back what was overwritten or deleted. A copy in another region costs as much "
    "again and moves personal data there: a decision for the fork, which loses a region's data "
    "with the region."
)
_OWN_KEY_OF_S3 = "S3 delivers access logs only to a bucket under S3's own key"


class PrivateBucket(s3.Bucket):
    """TLS only, versioned, without ACLs, closed to the public; encrypted with its domain's key."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        bucket: Bucket,
        removal_policy: RemovalPolicy,
        key: kms.IKey | None,
        logs: s3.IBucket | None,
        expiring: Sequence[s3.LifecycleRule] = (),
    ) -> None:
        """Makes a bucket.

        Without `key` it has S3's own key; without `logs` it is the bucket of the logs itself.
        `expiring` are lifecycle rules beside those of old versions and incomplete uploads.
        """
        super().__init__(
            scope,
            id,
            bucket_name=bucket_name(settings, bucket),
            encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
            bucket_key_enabled=True if key else None,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            removal_policy=removal_policy,
            server_access_logs_bucket=logs,
            server_access_logs_prefix=f"{bucket}/" if logs else None,
            lifecycle_rules=[
                s3.LifecycleRule(
                    abort_incomplete_multipart_upload_after=Duration.days(7),
                    expired_object_delete_marker=True,
                    noncurrent_version_expiration=_OLD_VERSIONS,
                ),
                *expiring,
            ],
        )
        self._settings = settings
        acknowledge(self, {"NIST-S3BucketReplicationEnabled": _NOT_REPLICATED})
        if self.policy:
            # A bucket without its policy would be open to any principal that IAM allows.
            self.policy.apply_removal_policy(removal_policy)

    def only(self, *roles: Role, actions: Sequence[str], prefix: str = "") -> None:
        """Denies `actions` on the objects below a prefix to everybody but `roles`.

        An explicit deny overrides every IAM policy. Services that act as themselves have no role
        and are denied too.
        """
        arns = [self._settings.role_arn(role) for role in roles]
        self._deny(actions, prefix, {"ArnNotEquals": {"aws:PrincipalArn": arns}})

    def write_once(self, *, prefix: str) -> None:
        """Denies overwriting objects below a prefix: writes need `If-None-Match: *`."""
        self._deny(["s3:PutObject"], prefix, {"Null": {"s3:if-none-match": "true"}})

    def _deny(self, actions: Sequence[str], prefix: str, conditions: dict[str, Any]) -> None:
        self.add_to_resource_policy(
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=list(actions),
                resources=[self.arn_for_objects(f"{prefix}*")],
                conditions=conditions,
            )
        )

    def explain(self, folders: Iterable[str], why: str) -> None:
        """Acknowledges that its policy allows something on all objects below `folders`."""
        arn = f"<{self.stack.resolve(self.bucket_arn)['Fn::GetAtt'][0]}.Arn>"
        reasons = {f"wildcard[Resource::{arn}/{folder}/*]": why for folder in folders}
        if self.policy:
            acknowledge(self.policy, reasons)

    def explain_logs(self, *buckets: Bucket) -> None:
        """Acknowledges what is special of the bucket that `buckets` log to."""
        no_logs = "It is where access is logged: logging its own would never end"
        keys = dict.fromkeys(("NIST-S3DefaultEncryptionKMS", "customer-key"), _OWN_KEY_OF_S3)
        acknowledge(self, {"CKV_AWS_18": no_logs, **keys})
        self.explain(buckets, "S3 names the log objects; each bucket's lie below its own prefix")


def use_objects(
    settings: Settings, bucket: Bucket, folders: Sequence[str], actions: Sequence[str]
) -> list[Allowed]:
    """Allows `actions` on the objects below `folders`, each with a slash at its end."""
    arn = f"arn:aws:s3:::{bucket_name(settings, bucket)}"
    # Athena lists its multipart uploads; that action has no condition key `s3:prefix` (Service
    # Authorization Reference of S3), so the listing shows keys of the whole bucket.
    uploads = [allow(["s3:ListBucketMultipartUploads"], [arn])] if "s3:PutObject" in actions else []
    # The prefix of a job's input may be the folder without the slash.
    prefixes = [prefix for folder in folders for prefix in (folder.rstrip("/"), f"{folder}*")]
    return [
        allow(
            actions,
            [f"{arn}/{folder}*" for folder in folders],
            why=f"objects are named as they are written; only below {', '.join(folders)}",
        ),
        allow(["s3:GetBucketLocation"], [arn]),
        allow(["s3:ListBucket"], [arn], conditions={"StringLike": {"s3:prefix": prefixes}}),
        *uploads,
    ]


def use_key(key: kms.IKey, *, writes: bool) -> Allowed:
    """Allows reading what a key encrypts, and where it `writes`, encrypting with it."""
    actions = ["kms:Decrypt", "kms:GenerateDataKey"] if writes else ["kms:Decrypt"]
    return allow(actions, [key.key_arn])


def encrypt_outputs(key: kms.IKey) -> Allowed:
    """Allows what SageMaker needs of a job's role to encrypt the job's outputs with a key."""
    return allow(["kms:DescribeKey", "kms:Encrypt"], [key.key_arn])


def decrypt_objects(settings: Settings, key_arn: str, buckets: Iterable[str]) -> Allowed:
    """Allows decrypting objects of some buckets through S3, and nothing else under their key."""
    arns = [f"arn:aws:s3:::{bucket}" for bucket in sorted(buckets)]
    # The encryption context is the bucket's ARN with a bucket key, else the object's.
    context = {"kms:EncryptionContext:aws:s3:arn": [*arns, *(f"{arn}/*" for arn in arns)]}
    via_s3 = {"kms:ViaService": f"s3.{settings.region}.amazonaws.com"}
    conditions = {"StringLike": context, "StringEquals": via_s3}
    return allow(["kms:Decrypt"], [key_arn], conditions=conditions)
