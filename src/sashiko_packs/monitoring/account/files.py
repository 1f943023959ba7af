"""The files of a recipe's monitoring in an account, as a person reads and writes them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sashiko.account.account import Account
from sashiko.account.content_store import split_uri
from sashiko.account.names import Role
from sashiko.errors import InputError
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_packs.monitoring.places import MonitorPlaces, monitor_places

# Somebody else has written the object, or is writing it.
_WRITTEN: Final = {"PreconditionFailed", "ConditionalRequestConflict"}


@dataclass(frozen=True)
class MonitorFiles:
    """The objects of a recipe's stores in S3, and of its windows' outcomes."""

    account: Account
    settings: Settings
    recipe: Recipe
    role: Role  # that may use them, for errors

    @property
    def places(self) -> MonitorPlaces:
        """S3 URIs of what is kept."""
        return monitor_places(self.settings, self.recipe)

    def etags(self, uri: str) -> dict[str, str]:
        """Lists the objects below a URI: the rest of each one's URI -> its ETag.

        Raises:
            InputError: if the caller may not list them.
        """
        bucket, prefix = split_uri(f"{uri}/")
        with self.account.translate_errors(f"s3:ListBucket of {uri}", role=self.role):
            pages = self.account.client("s3").get_paginator("list_objects_v2")
            return {
                item["Key"].removeprefix(prefix): str(item["ETag"])
                for page in pages.paginate(
                    Bucket=bucket, Prefix=prefix, ExpectedBucketOwner=self.account.number
                )
                for item in page.get("Contents", ())
            }

    def get(self, uri: str) -> bytes:
        """Reads an object.

        Raises:
            InputError: if the caller may not read it.
        """
        return self._get(uri)[0]

    @contextmanager
    def copies(self, *uris: str) -> Iterator[tuple["Copy", ...]]:
        """Copies stores to a folder of this machine that is removed at the end.

        Raises:
            InputError: if the caller may not read one, or there is no such store.
        """
        with tempfile.TemporaryDirectory() as scratch:
            yield tuple(
                self._copy(uri, Path(scratch, str(number))) for number, uri in enumerate(uris)
            )

    def put(self, path: Path, copy: "Copy") -> str:
        """Writes a file of a copy back, unless the object has changed; returns its new ETag.

        Raises:
            InputError: if the caller may not write it, or somebody else has done so since.
        """
        from botocore.exceptions import ClientError

        uri = f"{copy.uri}/{path.name}"
        bucket, key = split_uri(uri)
        etag = copy.etags.get(path.name)
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        with self.account.translate_errors(f"s3:PutObject {uri}", role=self.role):
            try:
                response = self.account.client("s3").put_object(
                    Bucket=bucket,
                    Key=key,
                    Body=path.read_bytes(),
                    ExpectedBucketOwner=self.account.number,
                    **condition,
                )
            except ClientError as error:
                if error.response["Error"]["Code"] not in _WRITTEN:
                    raise
                raise InputError(
                    f"{uri}: somebody else has just changed it; run the command again"
                ) from error
        return str(response["ETag"])

    def _get(self, uri: str) -> tuple[bytes, str]:
        bucket, key = split_uri(uri)
        response: Any = self.account.read(
            "s3",
            "get_object",
            role=self.role,
            Bucket=bucket,
            Key=key,
            ExpectedBucketOwner=self.account.number,
        )
        return response["Body"].read(), str(response["ETag"])

    def _copy(self, uri: str, folder: Path) -> "Copy":
        folder.mkdir(mode=0o700)
        etags = {}
        for name in self.etags(uri):
            content, etags[name] = self._get(f"{uri}/{name}")
            (folder / name).write_bytes(content)
        if not etags:
            options = f"--env {self.settings.environment} --recipe {self.recipe.name}"
            raise InputError(f"{uri} does not exist yet: sashiko stage {options}")
        return Copy(uri=uri, folder=folder, etags=etags)


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A store as it was when it was copied."""

    uri: str
    folder: Path  # on this machine
    etags: dict[str, str]  # file -> the object's ETag
