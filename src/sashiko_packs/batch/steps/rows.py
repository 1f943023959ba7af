"""BatchRows: the rows to score, by the contract's governed SELECT without the label.

    python -m sashiko_packs.batch.steps.rows

Reads the lake, the contract and the recipe's `batch` section; writes `rows/data.parquet`, ordered
by key, and `manifest/manifest.json`.
"""

import sys

from sashiko.base.files import write_json
from sashiko.base.job_folders import processing_input, processing_output
from sashiko.base.parquet import write_batches
from sashiko.contract.derive import arrow_schema
from sashiko.contract.manifest import MANIFEST_FILE
from sashiko.data.lake_reader import open_lake
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_contract, read_section
from sashiko.steps.snapshot import take_snapshot
from sashiko_packs.batch.records import Plan, parse_arguments
from sashiko_packs.batch.settings import BatchSection

DATA_FILE = "data.parquet"


def main() -> None:
    """Runs the step."""
    contract, section = read_contract(), read_section(BatchSection, "batch")
    arguments = parse_arguments(__doc__, contract, ("lake-uri", "max-rows"))
    contract, batch = section.scored(contract), arguments.batch
    period = batch.period(section.window.column if section.window else None)
    data_file = processing_output("rows") / DATA_FILE
    if Plan.read(processing_input("plan")).published:
        write_batches(data_file, (), schema=arrow_schema(contract, "scoring"))
        write_json(processing_output("manifest") / MANIFEST_FILE, {})
        return
    manifest = take_snapshot(
        contract,
        "scoring",
        lake=open_lake(arguments.options["lake-uri"]),
        as_of=batch.as_of,
        data_file=data_file,
        period=period,
        max_rows=int(arguments.options["max-rows"]),
    )
    write_json(processing_output("manifest") / MANIFEST_FILE, manifest.model_dump(mode="json"))
    print(f"{manifest.rows:,} rows to score", file=sys.stderr)


if __name__ == "__main__":
    run_step(main)
