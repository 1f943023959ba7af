"""A check's figures in words, for the terminal, the page and an account's messages alike."""

from typing import Final

from sashiko_packs.monitoring.capture_health import ROWS
from sashiko_packs.monitoring.checks import AUDITED, DISPARATE_IMPACT, MonitorCheck

GATE_SUFFIX: Final = " by its gate"  # ends a check's name, after the gate's bounds


def describe_alarm(check: MonitorCheck) -> str:
    """Describes a check in alarm: since when, how large the change is, and what is tolerated."""
    standing = ""
    if check.since is not None:
        windows = f"{check.windows} windows" if check.windows > 1 else "1 window"
        standing = f", in alarm since {check.since:%Y-%m-%d} ({windows})"
    if check.value is None:
        return f"{check.name}{standing}: {check.reason}"
    ends = interval(check)
    measured = f"{check.effect} {size(check)}{f' {ends}' if ends else ''}"
    tolerated = tolerance(check)
    reason = f"; {check.reason}" if check.kind in ("capture", "inputs") else ""
    return f"{check.name}{standing}: {measured}, tolerated: {tolerated}{reason}"


def size(check: MonitorCheck) -> str:
    """Formats the size of a check's effect; empty if it was not measured."""
    return "" if check.value is None else _number(check, check.value)


def tolerance(check: MonitorCheck) -> str:
    """Formats a check's tolerance with its direction."""
    if check.name.endswith(GATE_SUFFIX):
        return check.name.removesuffix(GATE_SUFFIX).rpartition(", ")[2]
    if check.effect == DISPARATE_IMPACT and not check.tolerance:
        return ""  # without a reference there is none
    is_lowest = check.effect in (*AUDITED, DISPARATE_IMPACT, ROWS)
    return f"{'at least' if is_lowest else 'at most'} {_number(check, check.tolerance)}"


def interval(check: MonitorCheck) -> str:
    """Formats a check's 95 % interval; empty without one."""
    if check.low is None or check.high is None:
        return ""
    return f"[{_number(check, check.low)}, {_number(check, check.high)}]"


def _number(check: MonitorCheck, value: float) -> str:
    """Formats a number in the unit of the check's effect."""
    if check.effect == ROWS:
        return f"{value:,.0f}"
    if check.effect.startswith("share of "):
        return f"{100 * value:.1f} %"
    return f"{round(value, 3) + 0.0:.3f}"  # never a negative zero
