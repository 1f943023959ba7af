"""Permissions on objects below folders of a bucket, and on the key that encrypts them."""

from collections.abc import Iterable, Sequence
from typing import Final

from aws_cdk import aws_kms as kms

from sashiko.account.names import Bucket, bucket_name
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed, allow

READ: Final = ("s3:GetObject", "s3:GetObjectVersion")
WRITE: Final = ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject")


def use_objects(
    settings: Settings, bucket: Bucket, folders: Sequence[str], actions: Sequence[str]
) -> list[Allowed]:
    """Allows `actions` on the objects below `folders`, each with a slash at its end."""
    arn = f"arn:aws:s3:::{bucket_name(settings, bucket)}"
    # Athena lists its multipart uploads; that action has no condition key `s3:prefix` (Service
    # Authorization Reference of S3), so the listing shows keys of the whole bucket.
    uploads = [allow(["s3:ListBucketMultipartUploads"], [arn])] if "s3:PutObject" in actions else []
    return [
        allow(
            actions,
            [f"{arn}/{folder}*" for folder in folders],
            why=f"objects are named as they are written; only below {', '.join(folders)}",
        ),
        allow(["s3:GetBucketLocation"], [arn]),
        allow(
            ["s3:ListBucket"],
            [arn],
            # The prefix of a job's input may be the folder without the slash.
            conditions={
                "StringLike": {
                    "s3:prefix": [
                        prefix
                        for folder in folders
                        for prefix in (folder.rstrip("/"), f"{folder}*")
                    ]
                }
            },
        ),
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
