"""The S3 prefix that one attempt's UNLOAD writes to, which is emptied afterwards."""

import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sashiko.base.stopping import Stop
from sashiko.data.athena.aws import translate_errors
from sashiko.errors import InputError

_KEYS_A_CALL = 1000


@contextmanager
def scratch_prefix(s3: Any, *, below: str, job: str) -> Iterator[str]:
    """Yields the S3 URI of an unused prefix below another, and removes its objects on every exit.

    UNLOAD refuses a prefix that has objects, and the first attempt of a job that SageMaker restarts
    may have left some. So the prefix has the job's name, which contains the pipeline execution's
    id, and a random part for each attempt. Neither affects the snapshot: its rows are sorted by
    key, and no file or manifest names the prefix.

    Raises:
        InputError: if an object cannot be removed and nothing else failed.
    """
    uri = f"{below}/{job}-{uuid.uuid4().hex}/"
    try:
        yield uri
    except BaseException:
        try:
            _remove(s3, uri)
        except InputError as error:
            print(f"warning: {error}", file=sys.stderr)
        raise
    _remove(s3, uri)


def download(s3: Any, uri: str, folder: Path, *, stop: Stop) -> list[Path]:
    """Downloads the objects below a prefix into a folder; returns the files in the keys' order.

    Raises:
        InputError: if S3 refuses a call.
    """
    bucket = urlsplit(uri).netloc
    files: list[Path] = []
    with translate_errors(f"read {uri}"):
        for key in sorted(_keys(s3, uri)):
            stop.exit_if_requested()
            files.append(folder / f"{len(files):06d}.parquet")
            s3.download_file(bucket, key, str(files[-1]))
    stop.exit_if_requested()
    return files


def _remove(s3: Any, uri: str) -> None:
    bucket = urlsplit(uri).netloc
    with translate_errors(f"remove the scratch objects below {uri}"):
        keys = list(_keys(s3, uri))
        for start in range(0, len(keys), _KEYS_A_CALL):
            objects = [{"Key": key} for key in keys[start : start + _KEYS_A_CALL]]
            response = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
            for failure in response.get("Errors", []):
                raise InputError(
                    f"cannot remove the scratch object s3://{bucket}/{failure['Key']}: "
                    f"{failure.get('Code')}: {failure.get('Message')}; remove it by hand: it has "
                    "rows of the lake"
                )


def _keys(s3: Any, uri: str) -> Iterator[str]:
    parts = urlsplit(uri)
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=parts.netloc, Prefix=parts.path.lstrip("/")
    )
    for page in pages:
        for item in page.get("Contents", []):
            yield item["Key"]
