"""Reads a file of a contract's data, with predictions beside it, for an analysis of its bias."""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.clarify.bias.config import CSV, AnalysisConfig
from sashiko.clarify.bias.dataset import Column, Dataset
from sashiko.commands.bias_predictions import SEEN, Predictions, read_predictions
from sashiko.commands.bias_rows import contract_rows
from sashiko.contract.bias_config import PREDICTED_LABEL, analysis_config
from sashiko.contract.model import Contract
from sashiko.core.joining import positions, unique_keys
from sashiko.errors import InputError


def file_config(contract: Contract, *, predicted: bool) -> AnalysisConfig:
    """Returns the analysis of a contract's label by its facets: all metrics.

    Raises:
        InputError: if the contract has no facets.
    """
    if not contract.facets:
        raise InputError(
            f"contract `{contract.id}` has no facets, so there is no group to compare; name a "
            "sensitive column under `facets`"
        )
    told = {"predicted_label": PREDICTED_LABEL} if predicted else {}
    stages = ["pre_training_bias", *(["post_training_bias"] if predicted else [])]
    return AnalysisConfig.model_validate(
        {
            "dataset_type": CSV,
            "label": contract.label.column,
            "label_values_or_threshold": [contract.label.positive],
            "facet": analysis_config(contract, kind="post")["facet"],
            "methods": {stage: {"methods": "all"} for stage in stages},
            **told,
        }
    )


def file_dataset(contract: Contract, data: Path, told: Predictions | None) -> Dataset:
    """Reads label, facets and group variable of a file or folder, and joins the predictions.

    Args:
        contract: names the columns; the file may have its names or the physical ones.
        data: CSV, Parquet or JSON Lines.
        told: the predictions, if there are any; the rows that have one are analysed.

    Raises:
        InputError: if a file cannot be read or lacks a column, a label is none of the contract, a
            prediction is no label or has no row in the data, or a key occurs twice.
    """
    facets = [facet.column for facet in contract.facets]
    group = contract.group_variable
    needed = [contract.label.column, *facets, *([] if group is None else [group])]
    rows = contract_rows(data, contract, needed if told is None else [contract.key, *needed])
    _check_labels(rows, contract, source=data)
    predicted = None
    if told is not None:
        predictions = read_predictions(told, contract)
        keys = unique_keys(rows, contract.key, source=data)
        asked = unique_keys(predictions, contract.key, source=told.path)
        rows = rows.take(positions(asked, keys, source=told.path, among_source=data))
        _check_same(rows, predictions, contract, source=told.path, among_source=data)
        predicted = Column(PREDICTED_LABEL, predictions[PREDICTED_LABEL], told.path)
        print(
            f"{len(asked):,} of the {len(keys):,} rows of {data} have a prediction: these are "
            "analysed",
            file=sys.stderr,
        )
    return Dataset(
        label=Column(contract.label.column, rows[contract.label.column], data),
        predicted=predicted,
        facets=tuple(Column(name, rows[name], data) for name in facets),
        # Rows without one are compared with each other.
        group=None if group is None else Column(group, pc.fill_null(rows[group], ""), data),
    )


def _check_labels(rows: pa.Table, contract: Contract, *, source: Path) -> None:
    labels = rows[contract.label.column]
    known = [contract.label.positive, contract.label.negative]
    strange = labels.filter(pc.invert(pc.is_in(labels, pa.array(known))))
    if len(strange):
        raise InputError(
            f"{source}: column `{contract.label.column}` has {len(strange)} labels of "
            f"{len(labels)}, such as {strange[0].as_py()!r}, that are not of the contract: "
            f"{' or '.join(known)}"
        )


def _check_same(
    rows: pa.Table, predictions: pa.Table, contract: Contract, *, source: Path, among_source: Path
) -> None:
    """Holds the labels that a run saw against those of the data."""
    if SEEN not in predictions.column_names:
        return
    differ = pc.sum(pc.not_equal(predictions[SEEN], rows[contract.label.column])).as_py()
    if differ:
        raise InputError(
            f"{source}: {differ} labels of {len(rows)} differ from column "
            f"`{contract.label.column}` of {among_source}; both must be of the same data"
        )
