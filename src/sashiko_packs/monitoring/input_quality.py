"""The contract's rules on captured requests: those of a column that a single row can break.

Uniqueness, freshness and numbers of rows are rules of the table that the model learned from, not of
a window. Rows that break a rule are counted by cluster, so a client or a text sent again cannot
raise an alarm alone. The interval of their share is that of E. L. Korn and B. I. Graubard,
Confidence intervals for proportions with small expected number of positive counts estimated from
survey data, Survey Methodology 24 (1998), 193-201: Clopper and Pearson's, of the effective rows.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from sashiko.contract.derive import ARROW_TYPES
from sashiko.contract.model import Column, Contract, Ingest
from sashiko.contract.rule_expectations import Expectation, expectations
from sashiko.contract.rule_table import (
    BETWEEN,
    COLUMNS,
    IN_SET,
    LENGTH,
    NON_NULL_SHARE,
    NOT_IN_SET,
    NOT_NULL,
    REGEX,
    TYPE,
)
from sashiko.data.ingest import clean_texts
from sashiko.data.values import can_cast, cast_values
from sashiko.evaluation.metrics.arrays import Bools
from sashiko_packs.monitoring.capture.rows import captured_columns, stream_rows
from sashiko_packs.monitoring.checks import BROKEN_RULE, Kind, Measurement
from sashiko_packs.monitoring.clusters import TOO_FEW_CLUSTERS, ClusteredCounts, Clusters

# JSON does not distinguish 40.0 from 40, and the model reads both as 40.
_WHOLE: Final = r"^([+-]?\d+)\.0+$"


def typed_values(
    texts: pa.Array, column: Column, rules: Ingest
) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """Converts a column's captured values as ingestion does.

    A request is JSON, whose numbers have a decimal point and whose times are ISO 8601, however the
    contract's raw file writes them.

    Args:
        texts: the values as `read_captures` has them, shape (rows,).
        column: their column.
        rules: of the contract, for blanks and missing values.

    Returns:
        The values of the column's type, null where there is none or it does not have the type, and
        whether each has it or is none, both of shape (rows,).
    """
    kind = ARROW_TYPES[column.logical_type]
    values = clean_texts(texts, column, rules)
    if column.logical_type == "integer":
        values = pc.replace_substring_regex(values, _WHOLE, r"\1")
    encoded = values.dictionary_encode()
    is_readable = pa.array(_castable(encoded.dictionary, kind))
    readable = pc.fill_null(is_readable.take(encoded.indices), True)
    absent = pa.scalar(None, values.type)
    return (
        cast_values(pc.if_else(readable, values, absent), kind),
        readable.to_numpy(zero_copy_only=False),
    )


def _castable(texts: pa.Array, kind: pa.DataType) -> npt.NDArray[np.bool_]:
    """Returns which texts have the type, by halves: a cast refuses them all if it refuses one."""
    if can_cast(texts, kind):
        return np.ones(len(texts), dtype=np.bool_)
    if len(texts) == 1:
        return np.zeros(1, dtype=np.bool_)
    middle = len(texts) // 2
    return np.concatenate([_castable(texts[:middle], kind), _castable(texts[middle:], kind)])


ROWS_NEEDED: Final = 100
_ROW_METRICS: Final = ("nullValues", "missingValues", "invalidValues")


@dataclass
class _Rule:
    """A rule with the rows that it has judged so far."""

    name: str
    allowed: float  # the share of rows that may break it by the contract
    kind: str  # of the expectation
    breaks: Callable[[pa.Array], pa.Array]  # whether each value breaks it
    rows: Clusters = field(default_factory=lambda: Clusters(2))  # those that keep it, and break it


def measure_inputs(path: Path, contract: Contract, *, tolerance: float) -> tuple[Measurement, ...]:
    """Measures captured rows by the contract's rules of their columns.

    Rows that came as plain texts have no columns and are not judged. A value that does not have its
    column's type breaks the rule of the type; the column's other rules judge the remaining rows.

    Args:
        path: a file of `read_captures`.
        contract: of the data that the model learned from; a column that it lacks has no rules.
        tolerance: the share of rows that may break a rule beyond what the contract allows.

    Returns:
        A measurement for each rule, in the order of the contract. It holds no captured value.

    Raises:
        InputError: if the file is damaged.
    """
    names, plain = captured_columns(path), count_plain(path)
    note = f"{plain:,} rows came as plain texts, which have no columns" if plain else ""
    measurements: list[Measurement] = []
    for column in (column for column in contract.columns if column.name in names):
        rules = _rules(contract, column)
        _count(path, column, contract, rules)
        measurements += [
            measure_share(
                f"inputs: {rule.name}",
                rule.rows.summarise(),
                kind="inputs",
                effect=BROKEN_RULE,
                allowed=rule.allowed,
                tolerance=tolerance,
                note=note,
            )
            for rule in rules
        ]
    return tuple(measurements)


def count_plain(path: Path) -> int:
    """Returns how many rows of a file of `read_captures` came as plain texts.

    Raises:
        InputError: if the file is damaged.
    """
    return sum(table.num_rows - table["text"].null_count for table in stream_rows(path, ["text"]))


def measure_share(
    name: str,
    rows: ClusteredCounts,
    *,
    kind: Kind,
    effect: str,
    allowed: float,
    tolerance: float,
    note: str = "",
) -> Measurement:
    """Measures the share of rows that break a rule against a tolerated one.

    Args:
        name: of the measurement.
        rows: those that keep the rule, and those that break it.
        kind: of the measurement.
        effect: what the share is.
        allowed: the share that may break it by the contract, or in the reference.
        tolerance: the share that may break it beyond that.
        note: on the rows (`Measurement`).
    """
    effective, counted = rows.effective_rows, int(rows.counts.sum())
    measured = Measurement(
        name=name,
        kind=kind,
        effect=effect,
        rows=int(effective),
        rows_needed=ROWS_NEEDED,
        tolerance=allowed + tolerance,
        note="; ".join(filter(None, (rows.note, note))),
    )
    if measured.rows < ROWS_NEEDED:
        return measured
    if not rows.has_enough_clusters:
        return measured.model_copy(update={"reason": TOO_FEW_CLUSTERS})
    if math.isfinite(rows.freedom):
        effective *= float(stats.norm.ppf(0.975) / stats.t.ppf(0.975, rows.freedom)) ** 2
    share = int(rows.counts[1]) / counted
    broken, kept = share * effective, (1 - share) * effective
    # Of none SciPy's beta distribution is not defined.
    p_value = float(stats.beta.cdf(measured.tolerance, broken, kept + 1)) if broken else 1.0
    return measured.model_copy(
        update={
            "value": share,
            "low": float(stats.beta.ppf(0.025, broken, kept + 1)) if broken else 0.0,
            "high": float(stats.beta.ppf(0.975, broken + 1, kept)) if kept else 1.0,
            "p_unchanged": p_value,
            "p_tolerated": p_value,
        }
    )


def _rules(contract: Contract, column: Column) -> list[_Rule]:
    """Returns the rules of a column that a single row can break."""
    of_rows = tuple(rule for rule in column.quality if rule.metric in _ROW_METRICS)
    single = column.model_copy(update={"unique": False, "primary_key": False, "quality": of_rows})
    alone = contract.model_copy(update={"columns": (single,), "quality": (), "freshness": None})
    return [
        _Rule(item.name, _allowed_share(item), item.kind, _breaks(item))
        for item in expectations(alone, "all")
        if item.kind != COLUMNS and not (item.kind == TYPE and column.logical_type == "string")
    ]


def _count(path: Path, column: Column, contract: Contract, rules: list[_Rule]) -> None:
    """Counts the rows that keep and break the rules of a column."""
    for table in stream_rows(path, [f"input.{column.name}", "cluster", "dominates"]):
        inputs = table["input"].combine_chunks()
        present = inputs.is_valid()
        clusters = table["cluster"].filter(present).to_numpy()
        dominates = table["dominates"].filter(present).to_numpy()
        texts = pc.struct_field(inputs.filter(present), [0])
        values, readable = typed_values(texts, column, contract.ingest)
        has_value = values.is_valid().to_numpy(zero_copy_only=False)
        for rule in rules:
            if rule.kind == TYPE:
                judged, broken = has_value | ~readable, ~readable
            elif rule.kind in (NOT_NULL, NON_NULL_SHARE):
                judged, broken = readable, ~has_value
            else:
                judged = has_value
                broken = _as_bools(rule.breaks(values))
            rule.rows.add(broken[judged].astype(np.int64), clusters[judged], dominates[judged])


def _as_bools(values: pa.Array) -> Bools:
    bools: Bools = pc.fill_null(values, False).to_numpy(zero_copy_only=False)
    return bools


def _breaks(item: Expectation) -> Callable[[pa.Array], pa.Array]:
    """Returns whether each value breaks a rule on values."""
    arguments = item.arguments
    if item.kind == REGEX:
        return _unlike(re.compile(arguments["regex"]))
    if item.kind in (IN_SET, NOT_IN_SET):
        return _one_of(arguments["value_set"], is_broken=item.kind == NOT_IN_SET)
    if item.kind == LENGTH:
        return lambda values: _outside(pc.utf8_length(values), arguments)
    if item.kind == BETWEEN:
        return lambda values: _outside(values, arguments)
    return lambda values: values.is_null()


def _unlike(pattern: re.Pattern[str]) -> Callable[[pa.Array], pa.Array]:
    """Returns whether a pattern is in no part of each text; Validate searches it likewise."""

    def search(values: pa.Array) -> pa.Array:
        encoded = values.dictionary_encode()
        unlike = [
            text is not None and pattern.search(text) is None
            for text in encoded.dictionary.to_pylist()
        ]
        return pa.array(unlike, pa.bool_()).take(encoded.indices)

    return search


def _one_of(value_set: Any, *, is_broken: bool) -> Callable[[pa.Array], pa.Array]:
    def member(values: pa.Array) -> pa.Array:
        listed = pc.is_in(values, value_set=pa.array(value_set).cast(values.type))
        return listed if is_broken else pc.invert(listed)

    return member


def _outside(values: pa.Array, bounds: Mapping[str, Any]) -> pa.Array:
    """Returns whether each value is beyond a bound, or at one that is strict."""
    outside = pa.array(np.zeros(len(values), dtype=np.bool_))
    for name, strict, beyond, at in (
        ("min_value", "strict_min", pc.less, pc.less_equal),
        ("max_value", "strict_max", pc.greater, pc.greater_equal),
    ):
        if (bound := bounds.get(name)) is not None:
            compare = at if bounds.get(strict) else beyond
            outside = pc.or_kleene(outside, compare(values, pa.scalar(bound)))
    return outside


def _allowed_share(item: Expectation) -> float:
    """Returns the share of rows that may break a rule."""
    argument = "min_value" if item.kind == NON_NULL_SHARE else "mostly"
    return round(1 - float(item.arguments.get(argument, 1)), 9)
