"""PublishAnswers: joins the parts, checks that each row has one answer, and publishes the batch.

    python -m sashiko_packs.batch.steps.publish

Publication is one step: a reader of the table sees all answers or none, and those of one run. What
cannot be published leaves the table as it was.
"""

import hashlib
import sys
from pathlib import Path

from sashiko.base.files import sha256_file
from sashiko.base.job_folders import processing_input, processing_output
from sashiko.base.parquet import open_parquet
from sashiko.contract.manifest import Manifest, read_manifest
from sashiko.errors import InputError
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_contract, read_section
from sashiko.steps.snapshot import key_bytes
from sashiko_packs.batch.places import answers_table
from sashiko_packs.batch.publishing import publish_answers
from sashiko_packs.batch.records import (
    KEY,
    PartRecord,
    Plan,
    Publication,
    parse_arguments,
    read_parts,
)
from sashiko_packs.batch.settings import BatchSection


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


if __name__ == "__main__":
    run_step(main)
