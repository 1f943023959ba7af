"""Reads a file of a contract's data, with predictions beside it, for an analysis of its bias."""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.joining import positions, unique_keys
from sashiko.bias.clarify.config import CSV, AnalysisConfig
from sashiko.bias.clarify.contract_config import PREDICTED_LABEL, analysis_config
from sashiko.bias.clarify.dataset import Column, Dataset
from sashiko.commands.bias_predictions import SEEN, Predictions, read_predictions
from sashiko.commands.bias_rows import contract_rows
from sashiko.contract.model import Contract
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
    label_option = {"predicted_label": PREDICTED_LABEL} if predicted else {}
    stages = ["pre_training_bias", *(["post_training_bias"] if predicted else [])]
    return AnalysisConfig.model_validate(
        {
            "dataset_type": CSV,
            "label": contract.label.column,
            "label_values_or_threshold": [contract.label.positive],
            "facet": analysis_config(contract, kind="post")["facet"],
            "methods": {stage: {"methods": "all"} for stage in stages},
            **label_option,
        }
    )


def file_dataset(contract: Contract, data: Path, prediction_file: Predictions | None) -> Dataset:
    """Reads label, facets and group variable of a file or folder, and joins the predictions.

    The file may have the contract's names or the physical ones. Where there are predictions, the
    rows that have one are analysed.

    Raises:
        InputError: if a file cannot be read or lacks a column, a label is none of the contract, a
            prediction is no label or has no row in the data, or a key occurs twice.
    """
    facets = [facet.column for facet in contract.facets]
    group = contract.group_variable
    needed = [contract.label.column, *facets, *([] if group is None else [group])]
    rows = contract_rows(
        data, contract, needed if prediction_file is None else [contract.key, *needed]
    )
    _check_labels(rows, contract, source=data)
    predicted = None
    if prediction_file is not None:
        predictions = read_predictions(prediction_file, contract)
        keys = unique_keys(rows, contract.key, source=data)
        predicted_keys = unique_keys(predictions, contract.key, source=prediction_file.path)
        rows = rows.take(
            positions(predicted_keys, keys, source=prediction_file.path, among_source=data)
        )
        _check_same(rows, predictions, contract, source=prediction_file.path, among_source=data)
        predicted = Column(PREDICTED_LABEL, predictions[PREDICTED_LABEL], prediction_file.path)
        print(
            f"{len(predicted_keys):,} of the {len(keys):,} rows of {data} have a prediction: these "
            "are analysed",
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
    allowed = [contract.label.positive, contract.label.negative]
    invalid = labels.filter(pc.invert(pc.is_in(labels, pa.array(allowed))))
    if len(invalid):
        raise InputError(
            f"{source}: column `{contract.label.column}` has {len(invalid)} labels of "
            f"{len(labels)}, such as {invalid[0].as_py()!r}, that are not of the contract: "
            f"{' or '.join(allowed)}"
        )


def _check_same(
    rows: pa.Table, predictions: pa.Table, contract: Contract, *, source: Path, among_source: Path
) -> None:
    """Compares the labels of a run's file with those of the data."""
    if SEEN not in predictions.column_names:
        return
    mismatches = pc.sum(pc.not_equal(predictions[SEEN], rows[contract.label.column])).as_py()
    if mismatches:
        raise InputError(
            f"{source}: {mismatches} labels of {len(rows)} differ from column "
            f"`{contract.label.column}` of {among_source}; both must be of the same data"
        )
