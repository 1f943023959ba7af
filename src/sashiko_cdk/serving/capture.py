"""The store of captured requests and answers of an endpoint, which are personal data."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from sashiko.account.names import bucket_name
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import RolePolicy, allow
from sashiko_cdk.identity.role_table import role_records
from sashiko_cdk.lake.domain_key import DomainKey
from sashiko_cdk.lake.private_bucket import PrivateBucket

__all__ = ["Capture"]


class Capture(Construct):
    """A bucket and a key: the endpoint writes captures; the roles that read them are a pack's.

    Both outlive the endpoint. Decoded requests lie in the same bucket and expire with the captures.
    The two denies except the break-glass role, which no policy lets read.

    Attributes:
        key: encrypts captures and what is decoded of them.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        logs: PrivateBucket,
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(scope, id)
        readers = [one.name for one in role_records(settings) if one.reads_captures]
        self.key = DomainKey(
            self, "Key", settings=settings, domain="capture", removal_policy=removal_policy
        )
        opening = [settings.role_arn(role) for role in ("break-glass", "inference", *readers)]
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="ForEndpointAndMonitor",
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["kms:Decrypt"],
                resources=["*"],  # of a key's policy: the key itself
                conditions={"ArnNotEquals": {"aws:PrincipalArn": opening}},
            )
        )
        bucket = PrivateBucket(
            self,
            "Bucket",
            settings=settings,
            bucket="capture",
            removal_policy=removal_policy,
            key=self.key,
            logs=logs,
            expiring=[
                # Deletion leaves a noncurrent version, which other buckets keep for longer.
                s3.LifecycleRule(
                    expiration=Duration.seconds(settings.serving.capture.retention),
                    noncurrent_version_expiration=Duration.days(1),
                )
            ],
        )
        bucket.only("inference", *readers, actions=["s3:PutObject"])
        bucket.only(*readers, "break-glass", actions=["s3:GetObject*"])
        arn = f"arn:aws:s3:::{bucket_name(settings, 'capture')}"
        why = "SageMaker names captured files by variant and hour; nothing else lies there."
        # A multipart upload decrypts its data key for each part.
        encrypting = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"]
        statements = [
            allow(["s3:AbortMultipartUpload", "s3:PutObject"], [f"{arn}/*"], why=why),
            allow(["s3:GetBucketLocation"], [arn]),
            allow(encrypting, [self.key.key_arn]),
        ]
        what = "Captures a share of requests and answers"
        RolePolicy(self, "Write", settings, "inference", statements, description=what)
