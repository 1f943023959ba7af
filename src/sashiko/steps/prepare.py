"""Prepare: splits the governed training view into train, validation and test.

    python -m sashiko.steps.prepare

Inputs `config` (contract, data, text) and `data` (the snapshot, or a transformation of it);
outputs `train`, `validation`, `test` (each `data.parquet` with key, text and label), `slices` (the
test rows' columns, by which Evaluate slices them) and `meta` (`split.json`, and
`snapshots.json`: the snapshot's digest).
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from sashiko.base.files import write_json
from sashiko.base.job_folders import processing_input, processing_output
from sashiko.base.parquet import stream_columns, write_batches
from sashiko.base.scratch import scratch_database
from sashiko.contract.manifest import training_snapshot, write_snapshots
from sashiko.contract.model import Contract, SplitDates, TextHashSplit, TimeSplit
from sashiko.data.splits import (
    FEWEST_OF_A_LABEL,
    FEWEST_ROWS,
    META_FILE,
    SPLITS,
    SplitMeta,
    SplitSummary,
)
from sashiko.errors import InputError
from sashiko.serving.container import text as texts_of
from sashiko.settings.data import DataSection, TextSection
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_contract, read_section
from sashiko.steps.split_table import SCHEMA, SplitTable
from sashiko.steps.splitting import Splits, by_text, by_time, split_dates, text_digests

__all__ = ["main"]


def main() -> None:
    """Splits the snapshot, assembles texts and maps labels."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    contract = read_contract()
    data = read_section(DataSection, "data")
    text = read_section(TextSection, "text")
    source = processing_input("data") / "data.parquet"
    columns = template_columns(contract, text.template)
    with scratch_database(f"split the rows of {source}") as database:
        table = SplitTable(database, contract, source=source)
        split = resolve_split(source, contract)
        for rows in stream_columns(source, needed_columns(contract, columns)):
            table.add(
                split_rows(rows, contract, columns=columns, text=text, split=split),
                rows.select(slice_columns(contract)),
            )
        table.check()
        retained = table.keep(
            {
                "train": data.train_rows,
                "validation": data.validation_rows,
                "test": data.test_rows,
            }
        )
        check_enough(retained.splits, contract)
        for name in SPLITS:
            check_learnable(name, retained.splits.get(name), contract, split)
        for name in SPLITS:
            file = processing_output(name) / "data.parquet"
            row_count = write_batches(file, table.rows(name), schema=SCHEMA)
            print(f"{name}: {row_count:,} rows", file=sys.stderr)
        schema, test_slices = table.slices("test")
        write_batches(processing_output("slices") / "data.parquet", test_slices, schema=schema)

    meta = SplitMeta(
        kind=contract.split.kind,
        labels=(contract.label.negative, contract.label.positive),
        columns=columns,
        splits=dict(retained.splits),
        removed_repeats=retained.removed_repeats,
        removed_over_limit=retained.removed_over_limit,
        dates=split if isinstance(split, SplitDates) else None,
    )
    write_json(processing_output("meta") / META_FILE, meta.model_dump(mode="json"))
    write_snapshots(training_snapshot(source.parent), processing_output("meta"))


def template_columns(contract: Contract, template: str) -> tuple[str, ...]:
    """Returns the columns of the recipe's template, all of which a model may read.

    Raises:
        InputError: if the template is malformed, names no column, or names one that is not in the
            contract's text columns; those are never key, label, sensitive or personal.
    """
    try:
        columns = texts_of.columns(template)
    except ValueError as error:
        raise InputError(f"recipe key text.template `{template}`: {error}") from error
    refused = [column for column in columns if column not in contract.text_columns]
    if refused or not columns:
        problem = f"names `{'`, `'.join(refused)}`" if refused else "names no column"
        raise InputError(
            f"recipe key text.template `{template}` {problem}; the contract's textColumns are: "
            f"{', '.join(contract.text_columns)}"
        )
    return columns


def slice_columns(contract: Contract) -> list[str]:
    """Returns the columns for slices: all of the view except key and label.

    None is sensitive; the bias steps use the sensitive columns.
    """
    view = contract.view_columns("training")
    return [c.name for c in view if c.name not in (contract.key, contract.label.column)]


def needed_columns(contract: Contract, columns: Sequence[str]) -> list[str]:
    """Returns the distinct columns that Prepare reads from the snapshot."""
    needed = [contract.key, contract.label.column, *columns, *slice_columns(contract)]
    if isinstance(contract.split, TimeSplit):
        needed.append(contract.split.column)
    return list(dict.fromkeys(needed))


def split_rows(
    rows: pa.Table,
    contract: Contract,
    *,
    columns: Sequence[str],
    text: TextSection,
    split: TextHashSplit | SplitDates,
) -> pa.Table:
    """Returns key, text, label, text digest and split of each row."""
    values = rows.select(list(columns)).to_pylist()
    texts = [texts_of.assemble(text.template, row, text.missing) for row in values]
    digests = text_digests(texts)
    return pa.table(
        {
            "key": rows[contract.key].cast(pa.string()),
            "text": pa.array(texts, pa.string()),
            "label": rows[contract.label.column].cast(pa.string()),
            "digest": pa.array(digests, pa.binary()),
            "split": pa.array(assign(rows, digests, split)),
        }
    )


def resolve_split(source: Path, contract: Contract) -> TextHashSplit | SplitDates:
    """Returns how rows are assigned: a time split's dates may depend on the newest row.

    Raises:
        InputError: as `split_dates`.
    """
    if isinstance(contract.split, TextHashSplit):
        return contract.split
    dates = split_dates(source, contract.split)
    print(f"split by {dates.column}: {dates}", file=sys.stderr)
    return dates


def assign(table: pa.Table, digests: Sequence[bytes], split: TextHashSplit | SplitDates) -> Splits:
    """Assigns every row to a split."""
    if isinstance(split, TextHashSplit):
        return by_text(digests, split)
    return by_time(table[split.column], split)


def check_enough(splits: Mapping[str, SplitSummary], contract: Contract) -> None:
    """Checks that there are enough rows, and enough of each label, to train and judge a model.

    Raises:
        InputError: if there are not, with the numbers.
    """
    rows = sum(split.rows for split in splits.values())
    positives = sum(round(split.rows * split.positive_rate) for split in splits.values())
    label = contract.label
    if rows < FEWEST_ROWS or min(positives, rows - positives) < FEWEST_OF_A_LABEL:
        raise InputError(
            f"{rows:,} rows are left to train on and to judge by, {positives:,} with label "
            f"{label.positive!r} and {rows - positives:,} with {label.negative!r}: at least "
            f"{FEWEST_ROWS} rows, and {FEWEST_OF_A_LABEL} of each label, are needed; load more data"
        )


def check_learnable(
    name: str,
    summary: SplitSummary | None,
    contract: Contract,
    split: TextHashSplit | SplitDates,
) -> None:
    """Checks that a split has rows of both labels.

    Raises:
        InputError: if it is empty or has one label only.
    """
    label = contract.label
    if summary is None:
        problem = "is empty"
    elif summary.positive_rate in (0, 1):
        only = label.positive if summary.positive_rate else label.negative
        problem = f"has {summary.rows} rows, all with label {only!r}"
    else:
        return
    dates = f" ({split})" if isinstance(split, SplitDates) else ""
    raise InputError(
        f"the {name} split {problem}: move the bounds of the contract's {contract.split.kind} "
        f"split{dates}, raise data.train_rows, or load more data"
    )


if __name__ == "__main__":
    run_step(main)
