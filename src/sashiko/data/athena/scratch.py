"""The S3 prefix that one attempt's UNLOAD writes to, and that is empty again when it is over."""

import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sashiko.core.stopping import Stop
from sashiko.data.athena.aws import told
from sashiko.errors import InputError

_KEYS_A_CALL = 1000


@contextmanager
def scratch_prefix(s3: Any, *, below: str, job: str) -> Iterator[str]:
    """Gives a prefix that nobody has written to, and removes its objects on every exit.

    UNLOAD refuses a prefix that holds something, and a job that SageMaker starts again could meet
    what its first attempt left: the job's name says whose objects they are (it holds the pipeline
    execution's id), and a random part makes each attempt's prefix its own. Neither reaches the
    snapshot: its rows are sorted by key, and no file or manifest names the prefix.

    Args:
        s3: boto3's S3 client.
        below: S3 URI that the prefix lies under.
        job: the job's name.

    Yields:
        The prefix as an S3 URI with a final slash.

    Raises:
        InputError: if an object cannot be removed and nothing else went wrong.
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
    """Copies the objects below a prefix into a folder, in the order of their keys.

    Args:
        s3: boto3's S3 client.
        uri: the prefix as an S3 URI.
        folder: gets a file for each object.
        stop: whether to stop; it ends the process.

    Returns:
        The files.

    Raises:
        InputError: if S3 refuses a call.
    """
    bucket = urlsplit(uri).netloc
    files: list[Path] = []
    with told(f"read {uri}"):
        for key in sorted(_keys(s3, uri)):
            stop.exit_if_requested()
            files.append(folder / f"{len(files):06d}.parquet")
            s3.download_file(bucket, key, str(files[-1]))
    stop.exit_if_requested()
    return files


def _remove(s3: Any, uri: str) -> None:
    bucket = urlsplit(uri).netloc
    with told(f"remove the scratch objects below {uri}"):
        keys = list(_keys(s3, uri))
        for start in range(0, len(keys), _KEYS_A_CALL):
            objects = [{"Key": key} for key in keys[start : start + _KEYS_A_CALL]]
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
            for refused in answer.get("Errors", []):
                raise InputError(
                    f"cannot remove the scratch object s3://{bucket}/{refused['Key']}: "
                    f"{refused.get('Code')}: {refused.get('Message')}; remove it by hand: it holds "
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
