"""Publishes the answers of a batch as one partition of their table, once."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from botocore.exceptions import ClientError

from sashiko.base import aws_calls as calls
from sashiko.errors import InputError, disk_reason
from sashiko_packs.batch.places import PARTITION

connect = partial(calls.connect, "the table of answers", "glue")
translate_errors = partial(calls.translate_errors, advice=())


def publish_answers(
    uri: str, table: str, batch: str, *, location: str, files: Sequence[Path]
) -> str:
    """Makes the answers of a batch visible, all at once.

    `uri` is `duckdb://<folder of the lake>` or `glue://<database>`, `location` the S3 URI of the
    answers' files, and `files` are copies of them.

    Returns:
        Where they are; the place of an earlier run stays the batch's only one.

    Raises:
        InputError: if they cannot be published; then nothing is visible.
    """
    scheme, _, rest = uri.partition("://")
    if scheme == "duckdb" and rest:
        return _publish_here(Path(rest), f"{table}/{PARTITION}={batch}", files)
    if scheme == "glue" and rest:
        # Without files there is nothing to see.
        return _publish_in_glue(rest, table, batch, location) if files else location
    raise InputError(f"answers {uri}: expected duckdb://<folder of the lake> or glue://<database>")


def _publish_here(lake: Path, name: str, files: Sequence[Path]) -> str:
    """Publishes into a folder, which appears by a rename."""
    place = lake / name
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        # Beside the table: a killed run leaves nothing in it.
        with tempfile.TemporaryDirectory(dir=lake, prefix=".tmp-") as scratch:
            new = Path(scratch, "new")
            new.mkdir()
            for file in files:
                shutil.copyfile(file, new / file.name)
            if not place.exists():
                os.rename(new, place)  # noqa: PTH104 - it refuses a folder that has files
    except FileExistsError:
        pass  # another run was first
    except OSError as error:
        if not place.is_dir():
            raise InputError(f"cannot write {place}: {disk_reason(error)}") from error
    return str(place)


def _publish_in_glue(database: str, table: str, batch: str, location: str) -> str:
    """Makes a partition by one call; a second one of its name is refused.

    CreatePartition, AlreadyExistsException: Glue's API Reference, as in botocore.
    """
    glue, name = connect().glue, {"DatabaseName": database, "TableName": table}
    with translate_errors(f"publish a batch of {database}.{table}"):
        # How the table's files are written and read.
        storage = glue.get_table(DatabaseName=database, Name=table)["Table"]["StorageDescriptor"]
        own = dict(storage) | {"Location": f"{location.rstrip('/')}/"}
        try:
            glue.create_partition(
                **name, PartitionInput={"Values": [batch], "StorageDescriptor": own}
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "AlreadyExistsException":
                raise
            existing = glue.get_partition(**name, PartitionValues=[batch])["Partition"]
            return str(existing["StorageDescriptor"]["Location"]).rstrip("/")
    return location
