"""Publishes the answers of a batch as one partition of their table, once."""

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from botocore.exceptions import ClientError

from sashiko.base import aws_calls as calls
from sashiko.base.files import write_json
from sashiko.base.yaml_models import read_record, validate
from sashiko.errors import InputError, disk_reason
from sashiko_packs.batch.places import PARTITION
from sashiko_packs.batch.records import Publication

connect = partial(calls.connect, "the table of answers", "glue")
translate_errors = partial(calls.translate_errors, advice=())
_RECORD = f"_{Publication.FILE}"  # no reader of the table reads what begins so


def publish_answers(uri: str, publication: Publication, files: Sequence[Path]) -> Publication:
    """Makes the answers of a batch visible, all at once, with their record.

    `uri` is `duckdb://<folder of the lake>` or `glue://<database>`, `publication` is located at
    the answers' files, and `files` are copies of them.

    Returns:
        What is published: the record of an earlier run stays the batch's only one, though that run
        was killed before it wrote its own, or goes on beside this one.

    Raises:
        InputError: if they cannot be published; then nothing is visible.
    """
    scheme, _, rest = uri.partition("://")
    if scheme == "duckdb" and rest:
        return _publish_here(Path(rest), publication, files)
    if scheme == "glue" and rest:
        # Without files there is nothing to see.
        return _publish_in_glue(rest, publication) if files else publication
    raise InputError(f"answers {uri}: expected duckdb://<folder of the lake> or glue://<database>")


def _publish_here(lake: Path, publication: Publication, files: Sequence[Path]) -> Publication:
    """Publishes into a folder, which appears by a rename."""
    place = lake / publication.table / f"{PARTITION}={publication.batch}"
    own = publication.model_copy(update={"location": str(place)})
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        # Beside the table: a killed run leaves nothing in it.
        with tempfile.TemporaryDirectory(dir=lake, prefix=".tmp-") as scratch:
            new = Path(scratch, "new")
            new.mkdir()
            for file in files:
                shutil.copyfile(file, new / file.name)
            write_json(new / _RECORD, own.model_dump(mode="json"))
            if not place.exists():
                os.rename(new, place)  # noqa: PTH104 - it refuses a folder that has files
    except FileExistsError:
        pass  # another run was first
    except OSError as error:
        if not place.is_dir():
            raise InputError(f"cannot write {place}: {disk_reason(error)}") from error
    return read_record(Publication, place / _RECORD)


def _publish_in_glue(database: str, publication: Publication) -> Publication:
    """Makes a partition by one call; a second one of its name is refused.

    CreatePartition, AlreadyExistsException, `Parameters` of a partition: Glue's API Reference, as
    in botocore.
    """
    table, batch = publication.table, publication.batch
    glue, name = connect().glue, {"DatabaseName": database, "TableName": table}
    with translate_errors(f"publish a batch of {database}.{table}"):
        # How the table's files are written and read.
        storage = glue.get_table(DatabaseName=database, Name=table)["Table"]["StorageDescriptor"]
        own = dict(storage) | {"Location": f"{publication.location.rstrip('/')}/"}
        record = {_RECORD: publication.model_dump_json()}
        new = {"Values": [batch], "StorageDescriptor": own, "Parameters": record}
        try:
            glue.create_partition(**name, PartitionInput=new)
        except ClientError as error:
            if error.response["Error"]["Code"] != "AlreadyExistsException":
                raise
            existing = glue.get_partition(**name, PartitionValues=[batch])["Partition"]
            content = json.loads(existing.get("Parameters", {}).get(_RECORD, "{}"))
            return validate(Publication, content, source=f"{database}.{table}, partition {batch}")
    return publication
