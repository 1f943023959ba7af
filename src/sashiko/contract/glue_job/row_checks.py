"""Rules on single rows as Spark conditions. A null violates only `not_null`."""

from collections.abc import Callable, Mapping
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 - the name that all of Spark's documents use

from sashiko.contract.glue_job.cells import SPARK_TYPES
from sashiko.contract.glue_job.spec import Check, Kind, RowRule


def _in_set(value: Column, kind: Kind, arguments: Mapping[str, Any]) -> Column:
    return value.isin(*(F.lit(item).cast(SPARK_TYPES[kind]) for item in arguments["values"]))


def _not_in_set(value: Column, kind: Kind, arguments: Mapping[str, Any]) -> Column:
    return ~_in_set(value, kind, arguments)


def _bounds(value: Column, kind: Kind, arguments: Mapping[str, Any]) -> Column:
    if kind in ("date", "timestamp"):
        # A bound may have a time of day where the column has none.
        return _in_range(
            value.cast("timestamp"), arguments, lambda end: F.lit(end).cast("timestamp")
        )
    return _in_range(value, arguments, F.lit)


def _length(value: Column, _: Kind, arguments: Mapping[str, Any]) -> Column:
    return _in_range(F.length(value), arguments, F.lit)


def _in_range(
    value: Column, arguments: Mapping[str, Any], literal: Callable[[Any], Column]
) -> Column:
    low, high, strict = arguments["low"], arguments["high"], arguments["strict"]
    condition = F.lit(True)
    if low is not None:
        condition &= value > literal(low) if strict else value >= literal(low)
    if high is not None:
        condition &= value < literal(high) if strict else value <= literal(high)
    return condition


def _regex(value: Column, _: Kind, arguments: Mapping[str, Any]) -> Column:
    return value.rlike(arguments["pattern"])


_CONDITIONS: Mapping[Check, Callable[[Column, Kind, Mapping[str, Any]], Column]] = {
    "in_set": _in_set,
    "not_in_set": _not_in_set,
    "bounds": _bounds,
    "length": _length,
    "regex": _regex,
}


def breaks(rule: RowRule, value: Column, is_misfit: Column, kind: Kind) -> Column:
    """Says whether a row violates a rule other than uniqueness.

    A raw value without a form of the column's type, `is_misfit`, breaks `type`, and `not_null` does
    not say it again.
    """
    if rule.check == "type":
        return is_misfit
    if rule.check == "not_null":
        return value.isNull() & ~is_misfit
    return value.isNotNull() & ~_CONDITIONS[rule.check](value, kind, rule.arguments)
