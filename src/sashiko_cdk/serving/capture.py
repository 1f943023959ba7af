"""The store of captured requests and answers of an endpoint, which are personal data."""

from collections.abc import Iterator
from typing import Final

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from sashiko.account.names import Role, answers_topic_arn, bucket_name, prefix
from sashiko.base.async_requests import FAILURE, INPUT, JUDGED, OUTPUT
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed, RolePolicy, allow
from sashiko_cdk.identity.role_table import role_records
from sashiko_cdk.lake.domain_key import DomainKey
from sashiko_cdk.lake.private_bucket import PrivateBucket

__all__ = ["Capture"]


_ASKERS: Final[tuple[Role, ...]] = ("endpoint-caller", "rollout")  # of an endpoint that sleeps
_BELOW: Final = "Requests and answers have names of their own, below their endpoint's folders."


class Capture(Construct):
    """A bucket and a key: the endpoint writes captures; the roles that read them are a pack's.

    An endpoint that sleeps reads its requests here and writes its answers here: these objects are
    the capture. Both outlive the endpoint. Decoded requests lie in the same bucket and expire with
    the captures. The two denies except the break-glass role, which no policy lets read.

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
        records = role_records(settings)
        readers = [one.name for one in records if one.reads_captures]
        # They write answers of theirs as captures, and read none.
        writers = [one.name for one in records if one.writes_captures]
        deleting = [one.name for one in records if one.deletes_requests]
        sleeps = settings.serving.sleeps
        others = ["inference", *_ASKERS, *deleting] if sleeps else []
        self.key = DomainKey(
            self, "Key", settings=settings, domain="capture", removal_policy=removal_policy
        )
        # A multipart upload decrypts its data key for each part.
        opening = dict.fromkeys(("break-glass", "inference", *readers, *writers, *others))
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="ForEndpointAndMonitor",
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["kms:Decrypt"],
                resources=["*"],  # of a key's policy: the key itself
                conditions={
                    "ArnNotEquals": {
                        "aws:PrincipalArn": [settings.role_arn(one) for one in opening]
                    }
                },
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
        callers: tuple[Role, ...] = ("endpoint-caller",) if sleeps else ()
        bucket.only("inference", *readers, *writers, *callers, actions=["s3:PutObject"])
        bucket.only(*readers, "break-glass", *others, actions=["s3:GetObject*"])
        arn = f"arn:aws:s3:::{bucket_name(settings, 'capture')}"
        why = "SageMaker names captured files by variant and hour; nothing else lies there."
        encrypting = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"]
        statements = [
            allow(["s3:AbortMultipartUpload", "s3:PutObject"], [f"{arn}/*"], why=why),
            allow(["s3:GetBucketLocation"], [arn]),
            allow(encrypting, [self.key.key_arn]),
        ]
        if sleeps:
            statements += [
                *_objects(settings, INPUT, actions=["s3:GetObject"]),
                allow(["sns:Publish"], [answers_topic_arn(settings)]),
            ]
            self._let_ask(settings, deleting)
        what = "Captures a share of requests and answers"
        RolePolicy(self, "Write", settings, "inference", statements, description=what)

    def _let_ask(self, settings: Settings, deleting: list[Role]) -> None:
        """Lets roles put requests, read answers and delete both, where the endpoint sleeps."""
        answers = ("*/" + OUTPUT, "*/" + FAILURE)
        reading = allow(["kms:Decrypt"], [self.key.key_arn])
        # SageMaker makes an answer's name of the request's id; how, its API does not say.
        judged = [f"{folder}/*{JUDGED}" for folder in answers]
        asking = [
            *_objects(settings, INPUT, actions=["s3:PutObject"]),
            *_objects(settings, *answers, actions=["s3:GetObject"]),
            allow(["kms:Decrypt", "kms:GenerateDataKey"], [self.key.key_arn]),
        ]
        judging = [*_objects(settings, *judged, actions=["s3:GetObject"], below=""), reading]
        removal = [*_objects(settings, actions=["s3:GetObject", "s3:DeleteObject"]), reading]
        policies: list[tuple[Role, str, list[Allowed]]] = [
            ("endpoint-caller", "Puts requests, reads their answers", asking),
            ("rollout", "Reads the answers that it judges an update by", judging),
            *((role, "Deletes requests and answers of a key", removal) for role in deleting),
        ]
        for role, what, statements in policies:
            id_ = role.title().replace("-", "")
            RolePolicy(self, id_, settings, role, statements, description=what)


def _objects(
    settings: Settings, *folders: str, actions: list[str], below: str = "/"
) -> Iterator[Allowed]:
    """Allows actions on objects in folders of the environment's endpoints, and to list them."""
    arn, own = f"arn:aws:s3:::{bucket_name(settings, 'capture')}", f"{prefix(settings)}-*/"
    places = [f"{arn}/{own}{folder}{below}*" for folder in folders] or [f"{arn}/{own}*"]
    yield allow(actions, places, why=_BELOW)
    # A missing object is then told from a refused one: an answer that is not there yet.
    yield allow(["s3:ListBucket"], [arn], conditions={"StringLike": {"s3:prefix": f"{own}*"}})
