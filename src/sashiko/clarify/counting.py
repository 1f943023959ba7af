"""Counts the rows of a data set by each group of its facets, label and prediction."""

import numpy as np
import pyarrow as pa

from sashiko.clarify.analysis import joined
from sashiko.clarify.config import AnalysisConfig, FacetConfig, Value
from sashiko.clarify.matching import distinct, matches, same
from sashiko.errors import InputError
from sashiko.metrics.arrays import Bools, Ints
from sashiko.metrics.counts import Counts, FacetTable, tabulate

_MAX_GROUPS = 50


def group_counts(config: AnalysisConfig, table: pa.Table) -> dict[str, dict[str, Counts]]:
    """Counts each group that the configuration compares with everyone else.

    Args:
        config: label, predicted label, facets.
        table: the configuration's columns as strings without nulls.

    Returns:
        Facet column -> its groups, named by their values joined by commas -> counts.

    Raises:
        InputError: if the positive label never occurs, label and prediction have different values,
            or a column has too many values to be a category.
    """
    labels, categories = _codes(table[config.label], config.label)
    positive = _positive(categories, config)
    predicted = _predictions(config, table)
    counted = {}
    for facet in config.facet:
        codes, values = _codes(table[facet.name_or_index], facet.name_or_index)
        cells = tabulate(codes, labels, predicted, values=len(values), positive=positive)
        counted[facet.name_or_index] = _groups(facet, values, cells)
    return counted


def _codes(column: pa.ChunkedArray, name: str) -> tuple[Ints, list[str]]:
    """Numbers the rows by their value, and returns the values in order."""
    encoded = column.combine_chunks().dictionary_encode()
    found = encoded.dictionary.to_pylist()
    if len(found) > _MAX_GROUPS:
        raise InputError(
            f"column `{name}` has {len(found)} values, too many for a category (at most "
            f"{_MAX_GROUPS}), and thresholds are not supported; group them into bands first"
        )
    values = sorted(found)
    order = np.array([values.index(text) for text in found], dtype=np.int64)
    return order[encoded.indices.to_numpy(zero_copy_only=False)], values


def _positive(categories: list[str], config: AnalysisConfig) -> Bools:
    wanted = config.label_values_or_threshold
    positive = np.array([any(same(text, value) for value in wanted) for text in categories])
    if not positive.any():
        raise InputError(
            f"label_values_or_threshold: no row of column `{config.label}` has {joined(wanted)}; "
            f"its values are {', '.join(categories)}"
        )
    return positive


def _predictions(config: AnalysisConfig, table: pa.Table) -> Bools | None:
    if config.predicted_label is None:
        return None
    known: list[Value] = [*distinct(table[config.label]), *config.label_values_or_threshold]
    _, found = _codes(table[config.predicted_label], config.predicted_label)
    strange = [text for text in found if not any(same(text, value) for value in known)]
    if strange:
        raise InputError(
            f"column `{config.predicted_label}` has {', '.join(strange)}, which column "
            f"`{config.label}` never has; both must use the same values"
        )
    return matches(table[config.predicted_label], config.label_values_or_threshold)


def _groups(facet: FacetConfig, values: list[str], cells: FacetTable) -> dict[str, Counts]:
    wanted = [facet.value_or_threshold] if facet.value_or_threshold else [(v,) for v in values]
    return {
        joined(group): cells.against_rest(
            np.array([any(same(text, value) for value in group) for text in values])
        )
        for group in wanted
    }
