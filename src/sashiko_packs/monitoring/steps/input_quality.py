"""InputQuality: measures captured rows by the contract's rules of their columns.

    python -m sashiko_packs.monitoring.steps.input_quality

Inputs `config` (contract and the recipe's monitor) and `rows` (`rows.parquet` of ReadCapture);
output `checks` (`inputs.json`). Rows that came as plain texts are counted, not judged. JudgeMonitor
judges the measurements.

Rules are those of a column that a single row can break: uniqueness, freshness and numbers of rows
are rules of the table that the model learned from, not of a window. Rows that break a rule are
counted by cluster, so a client or a text sent again cannot raise an alarm alone.
"""

import argparse
import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from sashiko.base.job_folders import processing_input, processing_output
from sashiko.contract import rule_expectations as kinds
from sashiko.contract.derive import ARROW_TYPES
from sashiko.contract.model import Column, Contract, Ingest
from sashiko.contract.rule_expectations import Expectation, expectations
from sashiko.data.ingest import clean_texts
from sashiko.data.values import can_cast, cast_values
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_contract, read_section
from sashiko_packs.monitoring.capture.record import ROWS_FILE, captured_columns, stream_rows
from sashiko_packs.monitoring.checks import BROKEN_RULE, Kind, Measurement
from sashiko_packs.monitoring.clusters import TOO_FEW_CLUSTERS, ClusteredCounts, Clusters
from sashiko_packs.monitoring.result import Inputs
from sashiko_packs.monitoring.settings import MonitorSection

# JSON does not distinguish 40.0 from 40, and the model reads both as 40.
_WHOLE: Final = r"^([+-]?\d+)\.0+$"


def typed_values(
    texts: pa.Array, column: Column, rules: Ingest
) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """Converts a column's captured values as ingestion does, by the contract's rules.

    A request is JSON, whose numbers have a decimal point and whose times are ISO 8601, however the
    contract's raw file writes them.

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
Rules = list[tuple[Expectation, Clusters]]
_ROW_METRICS: Final = ("nullValues", "missingValues", "invalidValues")


def measure_inputs(path: Path, contract: Contract, *, tolerance: float) -> tuple[Measurement, ...]:
    """Measures captured rows by the contract's rules of their columns.

    Rows that came as plain texts have no columns and are not judged. A value that does not have its
    column's type breaks the rule of the type; the column's other rules judge the remaining rows. A
    column that the contract lacks has no rules; `tolerance` is beyond what the contract allows.

    Returns:
        A measurement for each rule, in the order of the contract. It holds no captured value.

    Raises:
        InputError: if the file is damaged.
    """
    names, plain = captured_columns(path), count_plain(path)
    note = f"{plain:,} rows came as plain texts, which have no columns" if plain else ""
    measurements: list[Measurement] = []
    for column in (column for column in contract.columns if column.name in names):
        of_rows = tuple(rule for rule in column.quality if rule.metric in _ROW_METRICS)
        single = column.model_copy(
            update={"unique": False, "primary_key": False, "quality": of_rows}
        )
        alone = contract.model_copy(update={"columns": (single,), "quality": (), "freshness": None})
        rules = [
            (item, Clusters(2))  # rows that keep it, and break it
            for item in expectations(alone, "all")
            if item.kind != kinds.COLUMNS
            and not (item.kind == kinds.TYPE and column.logical_type == "string")
        ]
        _count(path, column, contract, rules)
        for item, rows in rules:
            mostly = "min_value" if item.kind == kinds.NON_NULL_SHARE else "mostly"
            measurements.append(
                measure_share(
                    f"inputs: {item.name}",
                    rows.summarise(),
                    kind="inputs",
                    effect=BROKEN_RULE,
                    allowed=round(1 - float(item.arguments.get(mostly, 1)), 9),
                    tolerance=tolerance,
                    note=note,
                )
            )
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

    The interval is that of E. L. Korn and B. I. Graubard, Confidence intervals for proportions with
    small expected number of positive counts estimated from survey data, Survey Methodology 24
    (1998), 193-201: Clopper and Pearson's, of the effective rows. `rows` are those that keep the
    rule, and those that break it; `allowed` is the share that may break it by the contract or in
    the reference, `tolerance` beyond that.
    """
    effective, counted = rows.effective_rows, int(rows.counts.sum())
    measured = Measurement(
        name=name, kind=kind, effect=effect, rows=int(effective), rows_needed=ROWS_NEEDED,
        tolerance=allowed + tolerance, note="; ".join(filter(None, (rows.note, note))),
    )  # fmt: skip
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


def _count(path: Path, column: Column, contract: Contract, rules: Rules) -> None:
    for table in stream_rows(path, [f"input.{column.name}", "cluster", "dominates"]):
        inputs = table["input"].combine_chunks()
        present = inputs.is_valid()
        clusters = table["cluster"].filter(present).to_numpy()
        dominates = table["dominates"].filter(present).to_numpy()
        texts = pc.struct_field(inputs.filter(present), [0])
        values, readable = typed_values(texts, column, contract.ingest)
        has_value = values.is_valid().to_numpy(zero_copy_only=False)
        for item, rows in rules:
            if item.kind == kinds.TYPE:
                judged, broken = has_value | ~readable, ~readable
            elif item.kind in (kinds.NOT_NULL, kinds.NON_NULL_SHARE):
                judged, broken = readable, ~has_value
            else:
                filled = pc.fill_null(_is_broken(item, values), False)
                judged, broken = has_value, filled.to_numpy(zero_copy_only=False)
            rows.add(broken[judged].astype(np.int64), clusters[judged], dominates[judged])


def _is_broken(item: Expectation, values: pa.Array) -> pa.Array:
    arguments = item.arguments
    if item.kind == kinds.REGEX:  # which Validate searches likewise
        encoded = values.dictionary_encode()
        unlike = [
            text is not None and re.search(arguments["regex"], text) is None
            for text in encoded.dictionary.to_pylist()
        ]
        return pa.array(unlike, pa.bool_()).take(encoded.indices)
    if item.kind in (kinds.IN_SET, kinds.NOT_IN_SET):
        listed = pc.is_in(values, value_set=pa.array(arguments["value_set"]).cast(values.type))
        return listed if item.kind == kinds.NOT_IN_SET else pc.invert(listed)
    if item.kind == kinds.LENGTH:
        return _outside(pc.utf8_length(values), arguments)
    return _outside(values, arguments) if item.kind == kinds.BETWEEN else values.is_null()


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


def main() -> None:
    """Writes a measurement for each rule."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    rows = processing_input("rows") / ROWS_FILE
    tolerance = read_section(MonitorSection, "monitor").input_tolerance
    measurements = measure_inputs(rows, read_contract(), tolerance=tolerance)
    Inputs(measurements=measurements).write(processing_output("checks"))

    print(f"{count_plain(rows):,} rows came as plain texts", file=sys.stderr)
    for item in measurements:
        if item.value:
            print(f"{item.name}: {100 * item.value:.3g} % of the rows break it", file=sys.stderr)


if __name__ == "__main__":
    run_step(main)
