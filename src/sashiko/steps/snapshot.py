"""Snapshot and SnapshotFacets: run the contract's governed SELECT on one version of the lake.

`python -m sashiko.steps.snapshot --view training --lake-uri duckdb:///path/to/lake --as-of HASH`
`python -m sashiko.steps.snapshot --view facets --lake-uri athena://workgroup/database --as-of LOAD`

Reads the lake and the contract (input `config`); writes `data/data.parquet` and
`manifest/manifest.json`. ValidateFacets compares the keys of the two snapshots.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from sashiko.base.files import sha256_file, write_json
from sashiko.base.job_folders import processing_output
from sashiko.base.parquet import write_batches
from sashiko.contract.derive import Period, arrow_schema
from sashiko.contract.glue import LATEST
from sashiko.contract.manifest import (
    MANIFEST_FILE,
    ColumnType,
    ContractVersion,
    Manifest,
)
from sashiko.contract.model import Contract, View
from sashiko.data.lake_reader import Lake, open_lake
from sashiko.errors import InputError
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_contract


def main() -> None:
    """Runs the step."""
    parser = argparse.ArgumentParser(description="Writes a governed snapshot of the lake.")
    parser.add_argument("--view", choices=("training", "facets"), required=True)
    parser.add_argument("--lake-uri", required=True, help="duckdb://<folder> or athena://...")
    parser.add_argument("--as-of", required=True, help="the version of the table's data")
    arguments = parser.parse_args()

    contract = read_contract()
    manifest = take_snapshot(
        contract,
        arguments.view,
        lake=open_lake(arguments.lake_uri),
        as_of=arguments.as_of,
        data_file=processing_output("data") / "data.parquet",
    )
    write_json(processing_output("manifest") / MANIFEST_FILE, manifest.model_dump(mode="json"))
    column_names = ", ".join(column.name for column in manifest.columns)
    print(f"{manifest.rows:,} rows: {column_names}", file=sys.stderr)


def take_snapshot(
    contract: Contract,
    view: View,
    *,
    lake: Lake,
    as_of: str,
    data_file: Path,
    period: Period | None = None,
    max_rows: int | None = None,
) -> Manifest:
    """Writes the rows of a view, ordered by key, with bounded memory; returns their manifest.

    Raises:
        InputError: if the table does not match the contract, cannot be read, has no version
            `as_of`, or has more than `max_rows` rows in the period.
    """
    if as_of == LATEST:
        raise InputError(
            f"AsOf `{LATEST}`: the snapshots of a run could be of two versions: sashiko run names "
            "the id of the newest snapshot"
        )
    source = lake.source(contract, view, as_of=as_of)
    schema = arrow_schema(contract, view)
    digest = hashlib.sha256()

    def hash_keys(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        count = 0
        for batch in batches:
            count += batch.num_rows
            if max_rows is not None and count > max_rows:
                raise InputError(
                    f"table `{contract.table}` has more than {max_rows:,} rows to score, the most "
                    "that a run may have: take a shorter window, or raise `batch.max_rows`"
                )
            digest.update(key_bytes(batch.column(contract.key)))
            yield batch

    with lake.rows(contract, view, as_of=as_of, period=period) as batches:
        rows = write_batches(data_file, hash_keys(batches), schema=schema)
    return Manifest(
        rows=rows,
        sha256=sha256_file(data_file),
        keys_sha256=digest.hexdigest(),
        contract=ContractVersion.of(contract),
        view=view,
        table=contract.table,
        query=lake.query(contract, view, as_of=as_of, period=period),
        as_of=as_of,
        columns=tuple(ColumnType(name=field.name, type=str(field.type)) for field in schema),
        source=source,
    )


def key_bytes(keys: pa.Array) -> bytes:
    """Returns what stands for keys, in their order, in a digest; of each, its text.

    Each has its length before it, so that different lists never give the same bytes.
    """
    texts = keys.cast(pa.string()).to_pylist()
    return "".join("-" if text is None else f"{len(text)}:{text}" for text in texts).encode()


if __name__ == "__main__":
    run_step(main)
