"""The outcomes of a window's checks, with one error rate over all of them.

Sources: S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
Statistics 6 (1979), 65-70. For tests of a change against a tolerance instead of against none:
K. R. Murphy and B. Myors, Testing the hypothesis that treatments have negligible effects, Journal
of Applied Psychology 84 (1999), 234-248.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Final, Literal, get_args

import numpy as np

from sashiko.base.yaml_models import Frozen
from sashiko.evaluation.metrics.arrays import Floats

Outcome = Literal["ok", "alarm", "not judged"]
# Of a whole window: `ok` if every check is, `partly judged` if none is in alarm and some could not
# be judged; `no requests` if the endpoint sleeps and was asked nothing, which is neither.
WindowOutcome = Literal["ok", "partly judged", "alarm", "no requests"]
# What a check is about. An account has a metric and an alarm for each kind, so that a standing
# alarm of one does not hide a new one of another.
Kind = Literal["capture", "inputs", "drift", "bias", "accuracy"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
# Effects that a reader of the checks explains.
COHENS_W: Final = "Cohen's w"
TEXT_AUC: Final = "AUC of telling the window from the reference"
DISPARATE_IMPACT: Final = "disparate impact"
AUDITED_ACCURACY: Final = "accuracy"
# Of audited rows, all of them shares.
CLASS_RECALL: Final = "recall of a class"
INTERVAL_COVERAGE: Final = "interval coverage"
AUDITED: Final = (
    AUDITED_ACCURACY, "recall", "specificity", "precision", CLASS_RECALL, INTERVAL_COVERAGE,
)  # fmt: skip
CAPPED_ERROR: Final = "capped mean absolute error"  # of audited rows, in the label's unit
BROKEN_RULE: Final = "share of rows that break the rule"
ROWS: Final = "rows"  # the number of captured rows
OTHER_VERSION: Final = "share of rows of another version"
ODD_TEXTS: Final = "share of texts with damaged letters or mostly unknown words"
GATE_SUFFIX: Final = " by its gate"  # ends a check's name, after the gate's bounds
# The share of the error rate that a window spends on rules of its inputs; the other checks have the
# rest, so that a contract of many rules does not make them blind.
INPUTS_SHARE: Final = 0.2
# Of a change that lies exactly at its tolerance, this share of the windows raises an alarm at most.
AT_TOLERANCE = 0.05


class Measurement(Frozen):
    """A change of a window against the reference, before it is judged together with the others."""

    name: str  # what changed, such as `drift of product`
    kind: Kind
    effect: str  # what `value` is, such as `Cohen's w`
    rows: int  # of the window, as far as they count as independent
    rows_needed: int  # with fewer rows it is not judged
    value: float | None = None  # the size of the effect; None if it could not be measured
    low: float | None = None  # lower end of its 95 % interval, if there is one
    high: float | None = None  # upper end
    tolerance: float  # the size up to which a change raises no alarm
    # Probability of a difference at least this large if nothing has changed; None as for `value`.
    p_unchanged: float | None = None
    # The same if the change is as large as the tolerance.
    p_tolerated: float | None = None
    reason: str = ""  # why it could not be measured; else empty
    note: str = ""  # what a reader must know of the rows, such as which are left out; else empty

    @property
    def is_judged(self) -> bool:
        """Whether there are enough rows and a value."""
        return self.p_unchanged is not None and self.rows >= self.rows_needed


class MonitorCheck(Frozen):
    """A check of a window."""

    name: str
    kind: Kind
    outcome: Outcome
    rows: int  # what it was judged by: rows, or audited labels
    rows_needed: int  # with fewer it is not judged
    effect: str  # what `value` is
    value: float | None = None
    low: float | None = None
    high: float | None = None
    tolerance: float
    # Of no change, adjusted for all checks of the window; of the audit, valid at every look.
    p_value: float | None = None
    reason: str  # one sentence on the outcome
    # Of an alarm: the start of the version's first window since which it lasts, and how many
    # windows were in alarm since, this one included. A window that could not judge it ends no
    # alarm.
    since: dt.datetime | None = None
    windows: int = 0


def judge_measurements(
    measurements: Sequence[Measurement], *, false_alarms: float
) -> tuple[MonitorCheck, ...]:
    """Judges all of a window's measurements together.

    A measurement raises an alarm if Holm's adjusted probability of no change is at most
    `false_alarms`, and the change is larger than its tolerance with 95 % confidence. So a window
    without any change raises an alarm with at most that probability, however the measurements
    depend on each other, and a change that is certain but irrelevant raises none. Measurements are
    all of the window, also those that cannot be judged; `false_alarms` is the family-wise error
    rate.

    Returns:
        A check for each measurement, in the same order.
    """
    judged = [item for item in measurements if item.is_judged]
    adjusted = iter(holm(np.array([item.p_unchanged for item in judged], dtype=np.float64)))
    few = "{0.rows:,} rows, {0.rows_needed:,} are needed"
    return tuple(
        _judged(item, float(next(adjusted)), false_alarms)
        if item.is_judged
        else _check(item, "not judged", None, item.reason or few.format(item))
        for item in measurements
    )


def holm(p_values: Floats) -> Floats:
    """Returns Holm's adjusted p-values, in the order of `p_values`."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted


def overall(checks: Sequence[MonitorCheck]) -> WindowOutcome:
    """Returns the outcome of a window: an alarm if any check has one, ok if all checks are."""
    outcomes = {check.outcome for check in checks}
    if "alarm" in outcomes:
        return "alarm"
    return "ok" if outcomes == {"ok"} else "partly judged"


def gaps(checks: Sequence[MonitorCheck]) -> str:
    """Names the kinds of checks of which some or all could not be judged; empty if there are none.

    Such as `accuracy and bias not judged, drift judged in part`.
    """
    outcomes = {kind: {c.outcome for c in checks if c.kind == kind} for kind in KINDS}
    unjudged = [kind for kind in KINDS if outcomes[kind] == {"not judged"}]
    partly = [kind for kind in KINDS if "not judged" in outcomes[kind] and kind not in unjudged]
    return ", ".join(
        f"{' and '.join(filter(None, [', '.join(kinds[:-1]), kinds[-1]]))} {verb}"
        for kinds, verb in ((unjudged, "not judged"), (partly, "judged in part"))
        if kinds
    )


def _judged(item: Measurement, adjusted: float, false_alarms: float) -> MonitorCheck:
    is_real = adjusted <= false_alarms
    is_relevant = item.p_tolerated is not None and item.p_tolerated <= AT_TOLERANCE
    if item.effect in (BROKEN_RULE, ODD_TEXTS):
        rows = {BROKEN_RULE: "of the rows break the rule", ODD_TEXTS: "of the texts are such"}
        share, most = (f"{100 * (part or 0):.3g} %" for part in (item.value, item.tolerance))
        reason = f"{share} {rows[item.effect]}, {most} are tolerated"
        return _check(item, "alarm" if is_real else "ok", adjusted, reason)
    if is_real and is_relevant:
        return _check(item, "alarm", adjusted, "changed by more than the tolerance")
    unshown = "changed, but not clearly by more than the tolerance"
    return _check(item, "ok", adjusted, unshown if is_real else "no change is shown")


def _check(item: Measurement, outcome: Outcome, p_value: float | None, reason: str) -> MonitorCheck:
    return MonitorCheck(
        outcome=outcome,
        p_value=p_value,
        reason=f"{reason}; {item.note}" if item.note else reason,
        **item.model_dump(exclude={"p_unchanged", "p_tolerated", "reason", "note"}),
    )


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
    if check.effect == ROWS:
        return f"{value:,.0f}"
    if check.effect.startswith("share of "):
        return f"{100 * value:.1f} %"
    if check.effect == CAPPED_ERROR:
        return amount(value)
    return f"{round(value, 3) + 0.0:.3f}"  # never a negative zero


def amount(value: float) -> str:
    """Formats a value in the label's unit, whatever its size: `0.00123`, `4.567`, `12,345.7`."""
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"
