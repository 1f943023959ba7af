"""BiasInput: predictions, labels and facets of the test split in one CSV, and nothing else.

    python -m sashiko.steps.bias_input

Inputs `config` (contract), `predictions` (Evaluate's) and `facets` (the facet snapshot); output
`data`: `data.csv` with header label, predicted_label, the contract's facets and, where the contract
has one, group_variable, ordered by key. Neither key nor text is in it: what judges bias needs no
more than this.
"""

import argparse
import csv
import io
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.contract.bias_config import GROUP_VARIABLE, LABEL, PREDICTED_LABEL
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.files import write_bytes
from sashiko.joining import facet_values, positions, unique_keys
from sashiko.parquet import read_columns
from sashiko.paths import processing_input, processing_output
from sashiko.sections import read_contract
from sashiko.steps.entry import run_step

DATA_FILE = "data.csv"


def main() -> None:
    """Joins by key and writes the CSV."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    table = joined_rows(read_contract())
    write_bytes(processing_output("data") / DATA_FILE, csv_bytes(table))
    print(f"{table.num_rows:,} test rows joined with their facets", file=sys.stderr)


def joined_rows(contract: Contract) -> pa.Table:
    """Joins the test split's predictions with their facets.

    Returns:
        The columns of the CSV, ordered by key.

    Raises:
        InputError: if there are no test rows, a key is doubled or has no facets, a facet is empty,
            or the two sides differ in a label, so that they are not of the same data.
    """
    predictions_file = processing_input("predictions") / "predictions.parquet"
    facets_file = processing_input("facets") / "data.parquet"
    predictions = read_columns(predictions_file, ["key", "split", "label", "predicted"])
    predictions = predictions.filter(pc.equal(predictions["split"], "test")).sort_by("key")
    if not predictions.num_rows:
        raise InputError(
            f"{predictions_file} has no rows of split `test`; Evaluate must write them"
        )
    facets = facets_of(predictions, contract, source=predictions_file, facets_file=facets_file)
    return pa.table(
        {LABEL: predictions["label"], PREDICTED_LABEL: predictions["predicted"], **facets}
    )


def facets_of(
    rows: pa.Table, contract: Contract, *, source: Path, facets_file: Path
) -> dict[str, pa.ChunkedArray]:
    """Finds the facets of rows, and their group variable where the contract has one.

    Args:
        rows: with columns key and label (0 or 1).
        contract: the data contract.
        source: the file that the rows are from.
        facets_file: the facet snapshot.

    Returns:
        Name -> strings, in the order of `rows`; the group variable's name is `group_variable`.

    Raises:
        InputError: if a key is doubled or has no facets, a facet is empty, or the two sides differ
            in a label, so that they are not of the same data.
    """
    names = {facet.column: facet.column for facet in contract.facets}
    if contract.group_variable is not None:
        names[GROUP_VARIABLE] = contract.group_variable
    keys = unique_keys(rows, "key", source=source)
    facets = read_columns(facets_file, [contract.key, contract.label.column, *names.values()])
    known = unique_keys(facets, contract.key, source=facets_file)
    found = facets.take(positions(keys, known, source=source, among_source=facets_file))

    positive = pc.equal(found[contract.label.column].cast(pa.string()), contract.label.positive)
    differ = pc.not_equal(positive, pc.equal(rows["label"], 1))
    count = pc.sum(pc.fill_null(differ, True)).as_py()
    if count:
        key = keys.filter(pc.fill_null(differ, True))[0].as_py()
        raise InputError(
            f"{source}: {count} labels, such as that of key {key!r}, differ from column "
            f"`{contract.label.column}` of {facets_file}; both must come from the same snapshot"
        )
    return {to: facet_values(found, name, source=facets_file) for to, name in names.items()}


def csv_bytes(table: pa.Table) -> bytes:
    """Encodes a table as UTF-8 CSV with a header row; equal tables give equal bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.column_names)
    for batch in table.to_batches(max_chunksize=65_536):
        writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    return text.getvalue().encode()


if __name__ == "__main__":
    run_step(main)
