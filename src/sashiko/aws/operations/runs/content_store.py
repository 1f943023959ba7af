"""What lies in S3 under names of its content: written once, checked by S3, never changed."""

import base64
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sashiko.aws.resources.account import Account
from sashiko.aws.resources.names import Role
from sashiko.errors import InputError

# S3's limit of one PUT. What goes up in parts has a checksum of checksums and none of the file,
# so that nobody could compare it with the one that a recipe names.
LARGEST_FILE = 5 * 1024**3
STAGED_BY: Role = "deployer"
_ABSENT = ("404", "NoSuchKey")
# Somebody else wrote the key first, or is writing it now.
_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict"}


def split_uri(uri: str) -> tuple[str, str]:
    """Returns the bucket and the key of an S3 URI."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


class ContentStore:
    """Writes and lists objects whose URI means one content for ever.

    A bucket's name is the world's: each call says that the bucket has to be the account's own.
    """

    def __init__(self, account: Account) -> None:
        """Makes no call."""
        self._account = account

    def sizes(self, uri: str, *, by: Role = STAGED_BY) -> dict[str, int]:
        """Lists what lies below a prefix: name -> bytes.

        Args:
            uri: the prefix, without a slash at its end.
            by: the role that may list it, for the message to others.

        Raises:
            NoBucketError: if there is no such bucket.
            InputError: if the caller may not list it, or the bucket is somebody else's.
        """
        bucket, key = split_uri(uri)
        prefix = f"{key}/"
        with self._account.told(f"s3:ListBucket of {uri}", by=by):
            pages = self._account.client("s3").get_paginator("list_objects_v2")
            return {
                item["Key"].removeprefix(prefix): item["Size"]
                for page in pages.paginate(
                    Bucket=bucket, Prefix=prefix, ExpectedBucketOwner=self._account.number
                )
                for item in page.get("Contents", ())
            }

    def put(self, uri: str, content: bytes | Path, *, sha256: str) -> bool:
        """Writes an object unless it is there.

        Args:
            uri: its S3 URI.
            content: its bytes, or the file that has them.
            sha256: hex digest of the content; S3 refuses any other.

        Returns:
            Whether it was written now.

        Raises:
            InputError: if another content is there, the file is larger than one PUT may be, or the
                caller may not write it.
        """
        if self._is_there(uri, sha256):
            return False
        if self.put_new(uri, content, sha256=sha256):
            return True
        if not self._is_there(uri, sha256):
            raise InputError(f"{uri}: somebody else is writing it; run the command again")
        return False

    def put_new(self, uri: str, content: bytes | Path, *, sha256: str) -> bool:
        """Writes an object unless its key is taken, whatever is there. Errors as `put`."""
        from botocore.exceptions import ClientError

        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        if size > LARGEST_FILE:
            raise InputError(
                f"{uri}: the file has {size:,} bytes; S3 takes {LARGEST_FILE:,} in one piece, and "
                "knows no sha256 of more: split the weights into shards"
            )
        bucket, key = split_uri(uri)
        with ExitStack() as files, self._account.told(f"s3:PutObject {uri}", by=STAGED_BY):
            body: Any = content
            if isinstance(content, Path):
                body = files.enter_context(content.open("rb"))
            try:
                self._account.client("s3").put_object(
                    Bucket=bucket,
                    Key=key,
                    ExpectedBucketOwner=self._account.number,
                    Body=body,
                    IfNoneMatch="*",
                    ChecksumAlgorithm="SHA256",
                    ChecksumSHA256=_encoded(sha256),
                )
            except ClientError as error:
                if error.response["Error"]["Code"] in _TAKEN:
                    return False
                raise
        return True

    def _is_there(self, uri: str, sha256: str) -> bool:
        bucket, key = split_uri(uri)
        found = self._account.read(
            "s3",
            "head_object",
            absent=_ABSENT,
            by=STAGED_BY,
            Bucket=bucket,
            Key=key,
            ExpectedBucketOwner=self._account.number,
            ChecksumMode="ENABLED",
        )
        if found is None:
            return False
        if found.get("ChecksumSHA256") != _encoded(sha256):
            has = found.get("ChecksumSHA256", "none that S3 knows")
            raise InputError(
                f"{uri} holds another content than its name says: its sha256 should be "
                f"{_encoded(sha256)} (base64) and is {has}. Find out who wrote it, delete it "
                "as an administrator and run the command again"
            )
        return True


def _encoded(sha256: str) -> str:
    return base64.b64encode(bytes.fromhex(sha256)).decode()
