"""BiasInput: writes predictions, labels and facets of the test split to one CSV.

    python -m sashiko.bias.steps.bias_input

Inputs `config` (contract), `predictions` (Evaluate's) and `facets` (the facet snapshot); output
`data`: `data.csv` with header label, predicted_label, of a number label_value, predicted_value and
covered, the contract's facets and, where the contract has one, group_variable, ordered by key. A
class is written as `contract_config.outcome_values` says, a number as `contract_config` says. It
holds neither key nor text, which the bias steps do not need, and no row that the model does not
answer. Output `meta`: `snapshots.json`, the digest of the facets; and of a model that may not
answer `answered.parquet`, the facets of every row and whether it is answered.
"""

import argparse
import csv
import io
import sys
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.files import atomic_writer, sha256_file, sha256_tree
from sashiko.base.job_folders import processing_input, processing_output
from sashiko.base.parquet import open_parquet, stream_columns, write_table
from sashiko.base.scratch import scratch_database
from sashiko.bias.clarify.contract_config import (
    LABEL,
    NUMBER_COLUMNS,
    PREDICTED_LABEL,
    outcome_values,
)
from sashiko.bias.steps.facet_join import FacetJoin
from sashiko.contract.manifest import Snapshots, write_snapshots
from sashiko.errors import InputError
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_contract

DATA_FILE = "data.csv"
ANSWERED, ANSWERED_FILE = "answered", "answered.parquet"


def main() -> None:
    """Joins by key and writes the CSV.

    Raises:
        InputError: if there are no test rows, or as `FacetJoin.run` does.
    """
    argparse.ArgumentParser(description=__doc__).parse_args()
    contract = read_contract()
    source = processing_input("predictions") / "predictions.parquet"
    facets_file = processing_input("facets") / "data.parquet"
    with scratch_database(f"join {source} and {facets_file}") as database:
        join = FacetJoin(database, contract, source=source, facets_file=facets_file)
        numbers = NUMBER_COLUMNS if contract.is_number else ()
        columns = ["key", "split", "label", "predicted"]
        columns += ["value", "score", "half_width"] if numbers else []
        abstains = ANSWERED in open_parquet(source).schema_arrow.names
        columns += [ANSWERED] if abstains else []
        for batch in stream_columns(source, columns):
            rows = batch.filter(pc.equal(batch["split"], "test")).drop_columns("split")
            if abstains:
                rows = rows.set_column(3, ANSWERED, rows[ANSWERED].cast(pa.int64()))
            join.add(with_coverage(rows) if numbers else rows)
        count = join.run()
        if not count:
            raise InputError(f"{source} has no rows of split `test`; Evaluate must write them")
        if abstains:
            every = pa.Table.from_batches(join.facets(ANSWERED, order="key"))
            every = every.rename_columns([ANSWERED, *join.names])
            write_table(processing_output("meta") / ANSWERED_FILE, every)
        only = f"{ANSWERED} = 1" if abstains else "true"
        table = join.facets("label", "predicted", numbers=numbers, order="key", where=only)
        names = [LABEL, PREDICTED_LABEL, *numbers, *join.names]
        with atomic_writer(processing_output("data") / DATA_FILE) as handle:
            handle.writelines(csv_pieces(names, table, outcomes=outcome_values(contract)))
    sources = Snapshots(
        facets=sha256_file(facets_file), predictions=sha256_tree(processing_input("predictions"))
    )
    write_snapshots(sources, processing_output("meta"))
    print(f"{count:,} test rows joined with their facets", file=sys.stderr)


def with_coverage(rows: pa.Table) -> pa.Table:
    """Returns key, label and predicted outcome of a number's rows, and the `NUMBER_COLUMNS`.

    `score` is the predicted value, and `half_width` that of the interval around it.
    """
    misses = pc.abs(pc.subtract(rows["value"], rows["score"]))
    covered = pc.less_equal(misses, rows["half_width"]).cast(pa.float64())
    columns = [rows["value"], rows["score"], covered]
    table = rows.select(["key", "label", "predicted"])
    for name, column in zip(NUMBER_COLUMNS, columns, strict=True):
        table = table.append_column(name, column)
    return table


def csv_pieces(
    names: Iterable[str], batches: Iterable[pa.RecordBatch], *, outcomes: Sequence[int | str]
) -> Iterator[bytes]:
    """Encodes rows as UTF-8 CSV with a header row; equal rows give equal bytes.

    The first two columns of the rows are indices of `outcomes`.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for batch in batches:
        columns = [column.to_pylist() for column in batch.columns]
        columns[:2] = ([outcomes[index] for index in column] for column in columns[:2])
        writer.writerows(zip(*columns, strict=True))
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()


if __name__ == "__main__":
    run_step(main)
