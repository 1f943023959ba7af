"""One result of Great Expectations as one check of a verdict."""

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
    """Turns a result into a check.

    The check's value is what was counted: failing rows (or their percentage, where the rule
    allows some), or the observed number. An exception inside the expectation is a failed check of
    a name of its own, since Great Expectations itself reports it like a failing value.

    Args:
        expectation: what was asked.
        result: Great Expectations' `ExpectationValidationResult`.
    """
    fault = _exception(result.exception_info)
    if fault is not None:
        return Check(
            name=f"{expectation.name} (expectation could not run)",
            passed=False,
            reason=fault,
            try_="look for a missing column or a wrong type in the data, then at the rule",
        )
    found: Mapping[str, Any] = result.result
    passed = bool(result.success)
    value, threshold, comparison = _numbers(expectation, found)
    return Check(
        name=expectation.name,
        value=value,
        threshold=threshold,
        comparison=comparison,
        passed=passed,
        reason="" if passed else _reason(expectation, found),
        try_="" if passed else expectation.advice,
    )


def _exception(info: Mapping[str, Any]) -> str | None:
    """Finds an exception's message; it lies flat, or one level down under a metric's id."""
    entries = [info] if "raised_exception" in info else list(info.values())
    for entry in entries:
        if entry.get("raised_exception"):
            return " ".join(str(entry.get("exception_message")).split())
    return None


def _numbers(
    expectation: Expectation, found: Mapping[str, Any]
) -> tuple[float | None, Threshold, str]:
    """Returns value, threshold and comparison, as far as they are numbers."""
    observed = found.get("observed_value")
    if "unexpected_count" in found:
        if "mostly" in expectation.arguments:
            allowed = _percent(expectation.arguments["mostly"])
            return float(found["unexpected_percent"]), allowed, "<="
        return float(found["unexpected_count"]), 0.0, "<="
    if isinstance(observed, Real):
        return _bounded(expectation, float(observed))
    return None, None, "none"


def _bounded(expectation: Expectation, observed: float) -> tuple[float, Threshold, str]:
    arguments = expectation.arguments
    equal = "" if {"strict_min", "strict_max"} & set(arguments) else "="
    if expectation.kind in COMPLEMENTS:
        # The rule speaks of what is missing or repeated, the expectation of the rest.
        return _percent(observed), _percent(arguments["min_value"]), f"<{equal}"
    if {"min_value", "max_value"} <= set(arguments):
        both = float(arguments["min_value"]), float(arguments["max_value"])
        return observed, both, "in_range"
    if "min_value" in arguments:
        return observed, float(arguments["min_value"]), f">{equal}"
    return observed, float(arguments["max_value"]), f"<{equal}"


def _percent(remaining: float) -> float:
    return round(100 * (1 - remaining), 6)


def _reason(expectation: Expectation, found: Mapping[str, Any]) -> str:
    mismatched = found.get("details", {}).get("mismatched")
    if mismatched:
        parts = [f"{word}: {', '.join(names)}" for word, names in sorted(mismatched.items())]
        return "; ".join(parts)
    if "unexpected_count" in found:
        reason = f"{found['unexpected_count']:,} of {found['element_count']:,} rows fail"
        return reason + _examples(expectation, found.get("partial_unexpected_list", []))
    observed = found.get("observed_value")
    if isinstance(observed, dt.datetime):
        return f"the newest is {observed.isoformat()}"
    if observed is None:
        return "there is no value to look at"
    return f"found {observed}" if isinstance(observed, str) else ""


def _examples(expectation: Expectation, values: list[Any]) -> str:
    """Shows some failing values, unless they are sensitive, personal, or long free text."""
    if expectation.discreet or expectation.kind in (LENGTH, NOT_NULL):
        return ""
    texts = [str(value) for value in values]
    shown = [repr(text[:_EXAMPLE_CHARACTERS]) for text in dict.fromkeys(texts)][:_EXAMPLES]
    return f", such as {', '.join(shown)}" if shown else ""
