"""Prepare: the governed training view becomes three splits of (key, text, label).

    python -m sashiko.steps.prepare

Inputs `config` (contract, data, text) and `data` (the snapshot); outputs `train`, `validation`,
`test` (each `data.parquet`), `slices` (the test rows' columns, by which Evaluate looks at parts of
them) and `meta` (`split.json`).
"""

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sashiko.contract.model import Contract, TimeSplit
from sashiko.errors import InputError
from sashiko.files import write_json
from sashiko.joining import unique_keys
from sashiko.parquet import read_columns, write_table
from sashiko.paths import processing_input, processing_output
from sashiko.recipe import DataSection, TextSection
from sashiko.sections import read_contract, read_section
from sashiko.splits import META_FILE, SPLITS, SplitMeta, SplitSummary
from sashiko.steps.entry import run_step
from sashiko.steps.splitting import (
    REMOVED,
    Splits,
    by_text,
    by_time,
    check_disjoint,
    limited,
    repeated,
    text_digests,
    without_repeats,
)
from sashiko.steps.training_rows import (
    assemble_texts,
    label_classes,
    needed_columns,
    slice_columns,
    template_columns,
)


def main() -> None:
    """Splits the snapshot, assembles texts and maps labels."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    contract = read_contract()
    data = read_section(DataSection, "data")
    text = read_section(TextSection, "text")
    source = processing_input("data") / "data.parquet"

    columns = template_columns(contract, text.template)
    table = read_columns(source, needed_columns(contract, columns))
    keys = unique_keys(table, contract.key, source=source)
    labels = label_classes(table, contract, source)
    texts = assemble_texts(table, columns, text)
    digests = text_digests(texts)

    assigned = assign(table, digests, contract)
    new = without_repeats(assigned, digests)
    check_disjoint(new, digests)
    kept = limited(new, keys, train_rows=data.train_rows)

    members = {name: np.flatnonzero(kept == index) for index, name in enumerate(SPLITS)}
    for name, chosen in members.items():
        check_learnable(name, labels[chosen], contract)

    rows = pa.table({"key": keys, "text": pa.array(texts, pa.string()), "label": labels})
    for name, chosen in members.items():
        part = rows.take(pa.array(chosen)).sort_by("key")
        write_table(processing_output(name) / "data.parquet", part)
        print(f"{name}: {len(chosen):,} rows", file=sys.stderr)
    seen = table.select(slice_columns(contract)).append_column("key", keys)
    tested = seen.take(pa.array(members["test"])).sort_by("key")
    write_table(processing_output("slices") / "data.parquet", tested)

    meta = SplitMeta(
        kind=contract.split.kind,
        labels=(contract.label.negative, contract.label.positive),
        columns=columns,
        splits={name: summarise(chosen, labels, digests) for name, chosen in members.items()},
        removed_repeats={
            name: int(np.sum((assigned == index) & (new == REMOVED)))
            for index, name in enumerate(SPLITS)
            if name != "train"
        },
        removed_over_limit=int(np.sum(new != kept)),
    )
    write_json(processing_output("meta") / META_FILE, meta.model_dump(mode="json"))


def assign(table: pa.Table, digests: Sequence[bytes], contract: Contract) -> Splits:
    """Assigns every row to a split, as the contract says."""
    if isinstance(contract.split, TimeSplit):
        return by_time(table[contract.split.column], contract.split)
    return by_text(digests, contract.split)


def check_learnable(name: str, labels: npt.NDArray[np.int64], contract: Contract) -> None:
    """Refuses a split that nothing can be learned from or measured on.

    Raises:
        InputError: if it is empty or has one label only.
    """
    label = contract.label
    if not len(labels):
        found = "is empty"
    elif labels.min() == labels.max():
        only = label.positive if labels[0] else label.negative
        found = f"has {len(labels)} rows, all with label {only!r}"
    else:
        return
    raise InputError(
        f"the {name} split {found}: move the bounds of the contract's {contract.split.kind} "
        "split, raise data.train_rows, or load more data"
    )


def summarise(
    chosen: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], digests: Sequence[bytes]
) -> SplitSummary:
    """Counts one split, given the numbers of its rows."""
    repeats, contradictions = repeated([digests[row] for row in chosen], labels[chosen])
    return SplitSummary(
        rows=len(chosen),
        positive_rate=float(labels[chosen].mean()),
        repeated_rows=repeats,
        contradicting_rows=contradictions,
    )


if __name__ == "__main__":
    run_step(main)
