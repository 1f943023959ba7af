"""Weights: computes reweighing weights of the training rows, so that Train reads no facets.

    python -m sashiko.bias.steps.weights

Inputs `config` (contract, data, text, reweighing), `facets` (the facet snapshot) and `data` (the
rows that Prepare splits, of which it finds the train split itself); output `weights`:
`weights.parquet` with key: string and weight: float64, ordered by key, and `snapshots.json`, the
digest of the facets.

The weights reveal the groups: a weight is a function of (group, label), so a row's weight and label
identify its group. Even without group names the groups can be distinguished, and a few known people
suffice to name them. The weights are therefore as sensitive as the facets: they have their own
channel and are never logged or stored in an artifact. With strength 0 every weight is 1.

Of a label that is a number, the fifth of the train rows' values that it is in is its class here.

The log says how many equally weighted rows the weighted ones are worth, the effective sample size.
"""

import argparse
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base import parquet
from sashiko.base.files import sha256_file
from sashiko.base.job_folders import processing_input, processing_output
from sashiko.contract.manifest import Snapshots, write_snapshots
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.evaluation.metrics.uncertainty import effective_rows
from sashiko.settings.recipe_data import DataSection, TextSection
from sashiko.settings.recipe_train import ReweighingSection
from sashiko.steps.entry import run_step
from sashiko.steps.prepare import train_labels
from sashiko.steps.sections import read_contract, read_section

_MOST_WEIGHT = 10.0
_BINS = 5


def reweighing_weights(groups: Ints, labels: Ints, *, strength: float, classes: int) -> Floats:
    """Computes w = (P(g) P(y) / P(g, y))^strength for each row of group g with class y.

    Source: F. Kamiran and T. Calders, "Data preprocessing techniques for classification without
    discrimination", Knowledge and Information Systems 33 (2012), section 5.3. The exponent is an
    extension: 0 gives equal weights, 1 the original ones, more than 1 overcorrects. So are more
    than two classes: at strength 1 every class has the same weighted share in all groups. There a
    cell of a group and a class may have a handful of rows, which would decide what is learned: no
    row then has more than `_MOST_WEIGHT` times the weight of one that needs no correction.

    Args:
        groups: code of the row's group, from 0, shape (rows,), at least one row.
        labels: class of the row, from 0, shape (rows,).
        strength: the exponent, at least 0.
        classes: the number of classes.

    Returns:
        Weights with mean 1, shape (rows,).
    """
    counts = np.zeros((groups.max() + 1, classes))
    np.add.at(counts, (groups, labels), 1)
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / len(labels)
    ratio = np.divide(expected, counts, out=np.ones_like(counts), where=counts > 0)
    cells = ratio**strength
    if classes > 2:
        cells = np.minimum(cells, _MOST_WEIGHT)
    weights: Floats = cells[groups, labels]
    return np.asarray(weights / weights.mean())


def quantile_bins(values: Floats) -> Ints:
    """Returns the fifth of the values that each is in, from 0, so that equal values share one.

    A bin takes the place of a class in the weights of a number: with strength 1 each group then has
    the same weighted share of every fifth. Where many values are equal, there are fewer bins.
    """
    bounds = np.quantile(values, np.arange(1, _BINS) / _BINS)
    return np.searchsorted(bounds, values, side="left").astype(np.int64)


def main() -> None:
    """Writes a weight for every key of the train split.

    Raises:
        InputError: names the recipe's key and the contract's facets, if they do not fit.
    """
    argparse.ArgumentParser(description=__doc__).parse_args()
    contract = read_contract()
    section = read_section(ReweighingSection, "reweighing")
    available = [facet.column for facet in contract.facets]
    unknown = [facet for facet in section.facets if facet not in available]
    if unknown:
        raise InputError(
            f"recipe key reweighing.facets: `{'`, `'.join(unknown)}` is not a facet of the "
            f"contract, whose facets are {', '.join(available)}"
        )
    if section.strength and not section.facets:
        raise InputError(
            f"recipe key reweighing.strength is {section.strength:g}, but reweighing.facets is "
            f"empty; name at least one of {', '.join(available)}, or set the strength to 0"
        )

    train_file = processing_input("data") / "data.parquet"
    facets_file = processing_input("facets") / "data.parquet"
    column = "value" if contract.is_number else "label"
    train = train_labels(
        train_file,
        contract,
        data=read_section(DataSection, "data"),
        text=read_section(TextSection, "text"),
    )
    keys = parquet.unique_keys(train, "key", source=train_file)
    facets = parquet.rows_of(keys, facets_file, [contract.key, *section.facets], key=contract.key)
    facet_keys = parquet.unique_keys(facets, contract.key, source=facets_file)
    rows = parquet.positions(keys, facet_keys, source=train_file, among_source=facets_file)
    facets = facets.take(rows)
    groups = np.zeros(len(keys), dtype=np.int64)  # one for the rows whose facets are all equal
    for facet in section.facets:
        values = parquet.facet_values(facets, facet, source=facets_file).combine_chunks()
        codes = np.asarray(pc.dictionary_encode(values).indices, dtype=np.int64)
        pairs = groups * (codes.max() + 1) + codes
        groups = np.unique(pairs, return_inverse=True)[1].astype(np.int64)
    labels, classes = np.asarray(train[column]), len(contract.classes)
    if contract.is_number:
        labels, classes = quantile_bins(labels), _BINS
    weights = reweighing_weights(groups, labels, strength=section.strength, classes=classes)
    parquet.write_table(
        processing_output("weights") / "weights.parquet",
        pa.table({"key": keys.combine_chunks(), "weight": pa.array(weights, pa.float64())}),
    )
    write_snapshots(Snapshots(facets=sha256_file(facets_file)), processing_output("weights"))
    print(
        f"{len(keys):,} weights, strength {section.strength:g}: they are worth "
        f"{effective_rows(weights):,.0f} rows of equal weight",
        file=sys.stderr,
    )


if __name__ == "__main__":
    run_step(main)
