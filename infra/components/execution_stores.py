"""What CloudFormation may do to buckets, keys and log groups, and never to what they hold."""

from infra.components.allow import Allowed, allow
from infra.components.event_flows import FLOW_LOG_GROUPS
from infra.components.execution_scope import NAMED
from infra.components.job_logs import JOB_LOG_GROUPS
from sashiko.aws.names import arn
from sashiko.settings import Settings


def stores(settings: Settings) -> list[Allowed]:
    """Returns what buckets, keys and log groups take."""
    return [_buckets(settings), *_keys(settings), _log_groups(settings)]


def _buckets(settings: Settings) -> Allowed:
    return allow(
        [
            "s3:CreateBucket",
            "s3:DeleteBucket",
            "s3:DeleteBucketPolicy",
            "s3:Get*Configuration",
            "s3:GetBucket*",
            "s3:ListBucket",
            "s3:PutBucketLogging",
            "s3:PutBucketNotification",
            "s3:PutBucketOwnershipControls",
            "s3:PutBucketPolicy",
            "s3:PutBucketPublicAccessBlock",
            "s3:PutBucketTagging",
            "s3:PutBucketVersioning",
            "s3:PutEncryptionConfiguration",
            "s3:PutLifecycleConfiguration",
        ],
        [f"arn:aws:s3:::{settings.project}-*"],
        why="Buckets of the project, by prefix. CloudFormation reads every setting of a bucket, "
        "also those that ours do not make; none of the actions is about objects.",
    )


def _keys(settings: Settings) -> list[Allowed]:
    keys = arn(settings, "kms", "key/*")
    return [
        # Before a key is there it has neither an ARN nor a tag: CreateKey and what it includes are
        # allowed by the tag of the request.
        allow(
            ["kms:CreateKey", "kms:PutKeyPolicy", "kms:TagResource"],
            ["*"],
            conditions={"StringEquals": {"aws:RequestTag/project": settings.project}},
            why="A key has no ARN before it is made; it must carry the project's tag.",
        ),
        allow(
            [
                "kms:CreateAlias",
                "kms:DescribeKey",
                "kms:EnableKeyRotation",
                "kms:GetKeyPolicy",
                "kms:GetKeyRotationStatus",
                "kms:ListResourceTags",
            ],
            [keys],
            why="A deploy does these seconds after it made the key, and KMS may take five minutes "
            "until a tag counts. None opens a key: they read, rotate, or add one of our names.",
        ),
        allow(
            [
                "kms:DeleteAlias",
                "kms:PutKeyPolicy",
                "kms:ScheduleKeyDeletion",
                "kms:TagResource",
                "kms:UntagResource",
                "kms:UpdateAlias",
                "kms:UpdateKeyDescription",
            ],
            [keys],
            conditions={"StringEquals": {"aws:ResourceTag/project": settings.project}},
            why="Keys have no names: the condition on the tag means the project's.",
        ),
        allow(
            ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"],
            [arn(settings, "kms", f"alias/{settings.project}-*")],
            why=NAMED,
        ),
        allow(["kms:ListAliases"], ["*"], why="KMS lists all aliases or none."),
    ]


def _log_groups(settings: Settings) -> Allowed:
    groups = arn(settings, "logs", "log-group")
    return allow(
        [
            "logs:AssociateKmsKey",
            "logs:CreateLogGroup",
            "logs:DeleteLogGroup",
            "logs:GetDataProtectionPolicy",
            "logs:ListTagsForResource",
            "logs:PutRetentionPolicy",
            "logs:TagResource",
            "logs:UntagResource",
        ],
        [
            f"{groups}:/{settings.project}-*",
            f"{groups}:{FLOW_LOG_GROUPS}{settings.project}-*",
            *(f"{groups}:{name}" for name in JOB_LOG_GROUPS),
        ],
        why=NAMED,
    )
