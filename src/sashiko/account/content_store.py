"""Objects in S3 and images in ECR that their content names: written once, never changed."""

import base64
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from sashiko.account.account import Account
from sashiko.account.names import Role
from sashiko.errors import InputError

# S3's limit of one PUT. A multipart upload has only a checksum of checksums, which cannot be
# compared with the SHA-256 of the file in a recipe.
LARGEST_FILE = 5 * 1024**3
STAGED_BY: Role = "deployer"
_ABSENT = ("404", "NoSuchKey")
# Another caller wrote the key first, or is writing it now.
_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict"}


def split_uri(uri: str) -> tuple[str, str]:
    """Returns the bucket and the key of an S3 URI."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def list_objects(account: Account, uri: str, *, role: Role) -> dict[str, dict[str, Any]]:
    """Lists the objects below a prefix: the rest of each one's URI -> what S3 says of it.

    `uri` has no slash at its end; errors name `role`, which may list it.

    Raises:
        NoBucketError: if there is no such bucket.
        InputError: if the caller may not list it, or the bucket is somebody else's.
    """
    bucket, key = split_uri(uri)
    prefix = f"{key}/"
    with account.translate_errors(f"s3:ListBucket of {uri}", role=role):
        place = {"Bucket": bucket, "ExpectedBucketOwner": account.number}
        pages = account.client("s3").get_paginator("list_objects_v2")
        return {
            item["Key"].removeprefix(prefix): item
            for page in pages.paginate(Prefix=prefix, **place)
            for item in page.get("Contents", ())
        }


def read_object(account: Account, uri: str, *, role: Role) -> tuple[bytes, str]:
    """Reads an object, and its ETag.

    Raises:
        InputError: if the caller may not read it; the error names `role`, which may.
    """
    bucket, key = split_uri(uri)
    owner = account.number
    response: Any = account.read(
        "s3", "get_object", role=role, Bucket=bucket, Key=key, ExpectedBucketOwner=owner
    )
    return response["Body"].read(), str(response["ETag"])


class ContentStore:
    """Writes and lists objects whose URI identifies their content.

    Bucket names are global, so each call requires that the account owns the bucket.
    """

    def __init__(self, account: Account, *, role: Role = STAGED_BY) -> None:
        """Takes the account; errors of writing name `role`, which may write there."""
        self._account = account
        self._role: Role = role

    def sizes(self, uri: str, *, role: Role = STAGED_BY) -> dict[str, int]:
        """Lists the objects below a prefix: name -> bytes. Errors as `list_objects`."""
        objects = list_objects(self._account, uri, role=role)
        return {name: item["Size"] for name, item in objects.items()}

    def put(self, uri: str, content: bytes | Path, *, sha256: str) -> bool:
        """Writes an object unless it exists, and returns whether it was written now.

        `sha256` is the hex digest of the content; S3 refuses any other. InputError if the key has
        other content, the file is larger than one PUT may be, or the caller may not write it.
        """
        if self._exists(uri, sha256):
            return False
        if self.put_new(uri, content, sha256=sha256):
            return True
        if not self._exists(uri, sha256):
            raise InputError(f"{uri}: somebody else is writing it; run the command again")
        return False

    def put_new(self, uri: str, content: bytes | Path, *, sha256: str) -> bool:
        """Writes an object unless its key exists, whatever its content. Errors as `put`."""
        from botocore.exceptions import ClientError

        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        if size > LARGEST_FILE:
            raise InputError(
                f"{uri}: the file has {size:,} bytes; S3 takes {LARGEST_FILE:,} in one piece, and "
                "knows no sha256 of more: split the weights into shards"
            )
        opened = content.open("rb") if isinstance(content, Path) else nullcontext(content)
        with opened as body, self._account.translate_errors(f"s3:PutObject {uri}", role=self._role):
            try:
                self._account.client("s3").put_object(
                    **self._object(uri),
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

    def _object(self, uri: str) -> dict[str, str]:
        bucket, key = split_uri(uri)
        return {"Bucket": bucket, "Key": key, "ExpectedBucketOwner": self._account.number}

    def _exists(self, uri: str, sha256: str) -> bool:
        request = {**self._object(uri), "ChecksumMode": "ENABLED"}
        response = self._account.read(
            "s3", "head_object", absent=_ABSENT, role=self._role, **request
        )
        if response is None:
            return False
        if response.get("ChecksumSHA256") != _encoded(sha256):
            actual = response.get("ChecksumSHA256", "none that S3 knows")
            raise InputError(
                f"{uri} does not hold the content that its name says: its sha256 should be "
                f"{_encoded(sha256)} (base64) and is {actual}. Find out who wrote it, delete it "
                "as an administrator and run the command again"
            )
        return True


def _encoded(sha256: str) -> str:
    return base64.b64encode(bytes.fromhex(sha256)).decode()


NO_REPOSITORY = ("RepositoryNotFoundException",)


def image_request(uri: str) -> dict[str, Any]:
    """Returns the parameters of an ECR request: registry, repository, tag or digest."""
    host, _, path = uri.partition("/")
    repository, by_digest, digest = path.partition("@")
    image_id = {"imageDigest": digest}
    if not by_digest:
        repository, _, tag = path.rpartition(":")
        image_id = {"imageTag": tag}
    account = host.partition(".")[0]
    return {"registryId": account, "repositoryName": repository, "imageIds": [image_id]}


def is_built(account: Account, uri: str, *, role: Role | None = None) -> bool:
    """Checks that an image exists in the account's own registry; errors name `role`, which may."""
    absent = ("ImageNotFoundException", *NO_REPOSITORY)
    request = image_request(uri)
    return account.read("ecr", "describe_images", absent=absent, role=role, **request) is not None


def has_repository(account: Account, uri: str) -> bool:
    """Checks that the repository of an own image exists. Errors as `is_built`."""
    request = image_request(uri)
    del request["imageIds"]
    response = account.read("ecr", "describe_images", absent=NO_REPOSITORY, maxResults=1, **request)
    return response is not None
