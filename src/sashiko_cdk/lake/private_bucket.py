"""A private bucket, and the bucket policy statements that limit who reads and writes it."""

from collections.abc import Sequence

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from sashiko.account.names import Bucket, Role, bucket_name
from sashiko.settings.environment import Settings
from sashiko_cdk.security_rules.acknowledge import acknowledge

_OLD_VERSIONS = Duration.days(90)


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
        acknowledge(
            self,
            {
                "NIST-S3BucketReplicationEnabled": "Versions bring back what was overwritten or "
                "deleted. A copy in another region costs as much again and moves personal data "
                "there: a decision for the fork, which loses a region's data with the region."
            },
        )
        if self.policy:
            # A bucket without its policy would be open to any principal that IAM allows.
            self.policy.apply_removal_policy(removal_policy)

    def only(self, *roles: Role, actions: Sequence[str], prefix: str = "") -> None:
        """Denies `actions` on the objects below a prefix to everybody but `roles`.

        An explicit deny overrides every IAM policy. Services that act as themselves have no role
        and are denied too.
        """
        self.add_to_resource_policy(
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=list(actions),
                resources=[self.arn_for_objects(f"{prefix}*")],
                conditions={
                    "ArnNotEquals": {
                        "aws:PrincipalArn": [self._settings.role_arn(role) for role in roles]
                    }
                },
            )
        )

    def write_once(self, *, prefix: str) -> None:
        """Denies overwriting objects below a prefix: writes need `If-None-Match: *`."""
        self.add_to_resource_policy(
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["s3:PutObject"],
                resources=[self.arn_for_objects(f"{prefix}*")],
                conditions={"Null": {"s3:if-none-match": "true"}},
            )
        )
