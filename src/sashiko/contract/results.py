"""Converts a result of Great Expectations to a check of a verdict."""

import datetime as dt
from collections.abc import Mapping
from numbers import Real
from typing import Any

from sashiko.contract.rule_table import COMPLEMENTS, LENGTH, NOT_NULL
from sashiko.contract.rules import Expectation
from sashiko.evaluation.gates.verdict import Check

Threshold = float | tuple[float, float] | None

_EXAMPLES = 3
_EXAMPLE_CHARACTERS = 40


def to_check(expectation: Expectation, result: Any) -> Check:
    """Converts a result to a check.

    The check's value is the number of failing rows (or their percentage, if the rule allows some)
    or the observed number. An exception in the expectation is a failed check with a separate name,
    since Great Expectations reports it like a failing value.
    """
    exception = exception_message(result.exception_info)
    if exception is not None:
        return Check(
            name=f"{expectation.name} (expectation could not run)",
            passed=False,
            reason=exception,
            try_="check the data for a missing column or a wrong type, then check the rule",
        )
    details: Mapping[str, Any] = result.result
    passed = bool(result.success)
    value, threshold, comparison = _numbers(expectation, details)
    return Check(
        name=expectation.name,
        value=value,
        threshold=threshold,
        comparison=comparison,
        passed=passed,
        reason="" if passed else _reason(expectation, details),
        try_="" if passed else expectation.advice,
    )


def exception_message(info: Mapping[str, Any]) -> str | None:
    """Finds an exception's message, at the top level or below a metric's id.

    Args:
        info: a result's `exception_info`.
    """
    entries = [info] if "raised_exception" in info else list(info.values())
    for entry in entries:
        if entry.get("raised_exception"):
            return " ".join(str(entry.get("exception_message")).split())
    return None


def _numbers(
    expectation: Expectation, details: Mapping[str, Any]
) -> tuple[float | None, Threshold, str]:
    """Returns value, threshold and comparison; None and `none` if they are not numbers."""
    observed = details.get("observed_value")
    if "unexpected_count" in details:
        if "mostly" in expectation.arguments:
            allowed = _percent(expectation.arguments["mostly"])
            return float(details["unexpected_percent"]), allowed, "<="
        return float(details["unexpected_count"]), 0.0, "<="
    if isinstance(observed, Real):
        return _bounded(expectation, float(observed))
    return None, None, "none"


def _bounded(expectation: Expectation, observed: float) -> tuple[float, Threshold, str]:
    arguments = expectation.arguments
    or_equal = "" if {"strict_min", "strict_max"} & set(arguments) else "="
    if expectation.kind in COMPLEMENTS:
        # The rule limits missing or repeated values, the expectation the remaining ones.
        return _percent(observed), _percent(arguments["min_value"]), f"<{or_equal}"
    if {"min_value", "max_value"} <= set(arguments):
        bounds = float(arguments["min_value"]), float(arguments["max_value"])
        return observed, bounds, "in_range"
    if "min_value" in arguments:
        return observed, float(arguments["min_value"]), f">{or_equal}"
    return observed, float(arguments["max_value"]), f"<{or_equal}"


def _percent(remaining: float) -> float:
    return round(100 * (1 - remaining), 6)


def _reason(expectation: Expectation, details: Mapping[str, Any]) -> str:
    mismatched = details.get("details", {}).get("mismatched")
    if mismatched:
        parts = [f"{word}: {', '.join(names)}" for word, names in sorted(mismatched.items())]
        return "; ".join(parts)
    if "unexpected_count" in details:
        reason = f"{details['unexpected_count']:,} of {details['element_count']:,} rows fail"
        return reason + _examples(expectation, details.get("partial_unexpected_list", []))
    observed = details.get("observed_value")
    if isinstance(observed, dt.datetime):
        return f"the newest is {observed.isoformat()}"
    if observed is None:
        return "the column has no values"
    return f"found {observed}" if isinstance(observed, str) else ""


def _examples(expectation: Expectation, values: list[Any]) -> str:
    """Shows some failing values, unless they are sensitive, personal, or long free text."""
    if expectation.confidential or expectation.kind in (LENGTH, NOT_NULL):
        return ""
    texts = [str(value) for value in values]
    examples = [repr(text[:_EXAMPLE_CHARACTERS]) for text in dict.fromkeys(texts)][:_EXAMPLES]
    return f", such as {', '.join(examples)}" if examples else ""
