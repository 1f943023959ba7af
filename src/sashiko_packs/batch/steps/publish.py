"""PublishAnswers: joins the parts, checks that each row has one answer, and publishes the batch.

    python -m sashiko_packs.batch.steps.publish

Publication is one step: a reader of the table sees all answers or none, and those of one run. What
cannot be published leaves the table as it was.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from botocore.exceptions import ClientError

from sashiko.base import aws_calls as calls
from sashiko.base.files import sha256_file, write_json
from sashiko.base.job_folders import processing_input, processing_output
from sashiko.base.parquet import open_parquet
from sashiko.base.yaml_models import read_record, validate
from sashiko.contract.manifest import Manifest, read_manifest
from sashiko.errors import InputError, disk_reason
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_contract, read_section
from sashiko.steps.snapshot import key_bytes
from sashiko_packs.batch.places import PARTITION, answers_table
from sashiko_packs.batch.records import (
    KEY,
    PartRecord,
    Plan,
    Publication,
    parse_arguments,
    read_parts,
)
from sashiko_packs.batch.settings import BatchSection

connect = partial(calls.connect, "the table of answers", "glue")
translate_errors = partial(calls.translate_errors, advice=())
_RECORD = f"_{Publication.FILE}"  # no reader of the table reads what begins so


def main() -> None:
    """Runs the step."""
    contract = read_contract()
    arguments = parse_arguments(__doc__, contract, ("answers-uri", "location"))
    plan, folder = Plan.read(processing_input("plan")), processing_input("answers")
    if plan.published:
        plan.published.write(processing_output("published"))
        print(f"already published: {plan.published.describe()}", file=sys.stderr)
        return
    manifest, parts = read_manifest(processing_input("manifest")), read_parts(folder)
    check_rows(folder, parts, manifest)
    table = read_section(BatchSection, "batch").table or contract.table
    batch, options = arguments.batch, arguments.options
    own = Publication(
        batch=batch.name,
        table=answers_table(table),
        location=options["location"],
        run=arguments.run,
        time=arguments.now,
        as_of=batch.as_of,
        start=batch.start,
        end=batch.end,
        group=plan.group,
        version=plan.version,
        threshold=plan.threshold,
        artifact_sha256=plan.artifact_sha256,
        contract_sha256=contract.sha256,
        rows=manifest.rows,
        refused=sum(part.refused for part in parts),
        abstained=sum(part.abstained for part in parts),
        parts={part.file: part.sha256 for part in parts},
        keys_sha256=manifest.keys_sha256,
    )
    files = [folder / part.file for part in parts] if manifest.rows else []
    publication = publish_answers(options["answers-uri"], own, files)
    publication.write(processing_output("published"))
    print(f"published: {publication.describe()}", file=sys.stderr)


def check_rows(folder: Path, parts: tuple[PartRecord, ...], manifest: Manifest) -> None:
    """Checks that the parts have one answer to each row of the snapshot, in its order.

    Raises:
        InputError: if a row is lost or answered twice, or a file is not the one that was written.
    """
    digest, rows = hashlib.sha256(), 0
    for part in parts:
        path = folder / part.file
        if not path.is_file() or sha256_file(path) != part.sha256:
            raise InputError(f"{path} is not the file that ScoreRows wrote: start the run again")
        with open_parquet(path) as file:
            for batch in file.iter_batches(columns=[KEY]):
                digest.update(key_bytes(batch.column(0)))
                rows += batch.num_rows
    if rows != manifest.rows or digest.hexdigest() != manifest.keys_sha256:
        raise InputError(
            f"the answers have {rows:,} rows and are not those of the {manifest.rows:,} rows to "
            "score: nothing is published; start the run again"
        )


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


if __name__ == "__main__":
    run_step(main)
