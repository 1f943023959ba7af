"""A version's quality from its labels: drawn rows judge, ordinary labels are shown apart.

Rows without a label may be the hard ones, so what the labelled ones say is not enough for either
verdict. An alarm counts unlabelled rows as decided right, and `ok` counts those of closed periods
as decided wrong; between the two a check is not judged, and names the rows that decide it.
"""

import datetime as dt
from collections.abc import Mapping, Sequence

from sashiko.evaluation.privacy import SMALLEST_COUNT
from sashiko.evaluation.reference import Reference
from sashiko_packs.monitoring.audit import MEASURES, balance, estimate_measure, right_and_wrong
from sashiko_packs.monitoring.checks import MonitorCheck, Outcome
from sashiko_packs.monitoring.quality import AuditedPeriod, LabelSummary, Quality
from sashiko_packs.monitoring.sequential import AuditTest, add_window, lowest_tolerated, start_test
from sashiko_packs.monitoring.settings import MonitorSection

HeldOut = Mapping[str, tuple[int, int]]  # measure -> rows decided right, and wrong


def count_held_out(reference: Reference) -> HeldOut:
    """Counts the rows of a version's test split that each measure is a share of.

    The reference of a version that an earlier engine registered has the counts of accuracy alone.
    """
    if reference.confusion is None:
        right = sum(reference.right)
        return {"accuracy": (right, reference.rows - right)}
    return {measure: right_and_wrong(measure, reference.confusion) for measure in MEASURES}


def measure_quality(
    summary: LabelSummary, *, held_out: HeldOut, settings: MonitorSection
) -> Quality:
    """Judges the audited labels since the deploy.

    Args:
        summary: the labels of the version.
        held_out: counts of the version's test split; a measure without them is not judged.
        settings: the tolerance, and the false alarms of a year.
    """
    closed = [period for period in summary.periods if period.state != "open"]
    accuracy, recall, specificity, precision = (
        estimate_measure(name, closed, held_out=held_out.get(name)) for name in MEASURES
    )
    ordinary = summary.ordinary_right + summary.ordinary_wrong
    return Quality(
        checks=tuple(
            _check(name, summary, held_out=held_out.get(name), settings=settings)
            for name in MEASURES
        ),
        periods=summary.periods,
        since_deploy=accuracy,
        measures=(recall, specificity, precision, balance(recall, specificity)),
        ordinary_rows=ordinary,
        ordinary_accuracy=(
            summary.ordinary_right / ordinary if ordinary >= SMALLEST_COUNT else None
        ),
        labels=summary,
    )


def check_name(measure: str) -> str:
    """Returns the name of a measure's check."""
    return f"{measure} of audited rows"


def last_verdict(periods: Sequence[AuditedPeriod]) -> dt.datetime | None:
    """Returns when labels last closed a period; None before the first time."""
    return max((period.closed for period in periods if period.closed), default=None)


def _check(
    measure: str,
    summary: LabelSummary,
    *,
    held_out: tuple[int, int] | None,
    settings: MonitorSection,
) -> MonitorCheck:
    periods = summary.periods
    closed = [period for period in periods if period.state != "open"]
    rows = sum(sum(right_and_wrong(measure, period.labelled)) for period in periods)
    rule = MEASURES[measure]
    recent = estimate_measure(
        measure, _newest(measure, closed, rows=rule.rows_needed), held_out=held_out
    )
    known = {
        "name": check_name(measure),
        "kind": "accuracy",
        "rows": rows,
        "rows_needed": rule.rows_needed,
        "effect": measure,
        "value": recent.value,
        "low": recent.low,
        "high": recent.high,
    }
    if held_out is None:
        return MonitorCheck(
            **known,
            outcome="not judged",
            tolerance=0.0,
            reason=f"the version was registered by an earlier engine, whose reference has no "
            f"{measure}: run the pipeline again and approve the new version",
        )
    if not sum(held_out):
        return MonitorCheck(
            **known,
            outcome="not judged",
            tolerance=0.0,
            reason=f"the version's test split has no {rule.rows.removeprefix('audited ')}",
        )
    tolerated = lowest_tolerated(
        right=held_out[0], rows=sum(held_out), tolerance=settings.accuracy_tolerance
    )
    if_right = _test(measure, periods, tolerated=tolerated, right=True)
    if_wrong = _test(measure, closed, tolerated=tolerated, right=False)
    false_alarms = settings.accuracy_false_alarms * rule.budget
    # Once, not with each measure.
    advice = _overdue(periods) if measure == "accuracy" else ""
    outcome: Outcome = "ok"
    reason = f"{measure} is not shown to be below {tolerated:.3f}"
    if if_right.passed(false_alarms):
        outcome, reason = "alarm", f"{measure} is below {tolerated:.3f}"
    elif rows < rule.rows_needed:
        outcome = "not judged"
        reason = f"{rows:,} {rule.rows}, {rule.rows_needed:,} are needed{advice}"
    elif if_wrong.p_now <= false_alarms:
        outcome = "not judged"
        reason = (
            f"rows without a label could hide a fall below {tolerated:.3f}: {measure} of the "
            f"newest labelled rows is {_bounds(recent.worst, recent.best)}{advice}"
        )
    return MonitorCheck(
        **known,
        outcome=outcome,
        tolerance=tolerated,
        p_value=min(if_right.p_value / rule.budget, 1.0),
        reason=reason,
    )


def _test(
    measure: str, periods: Sequence[AuditedPeriod], *, tolerated: float, right: bool
) -> AuditTest:
    """Bets on all periods, with their unlabelled rows counted as decided right or wrong."""
    test = start_test(tolerated=tolerated)
    for period in periods:
        counts = right_and_wrong(measure, period.filled(right=right))
        days = (period.end - period.start) / dt.timedelta(days=1)
        test = add_window(test, right=counts[0], wrong=counts[1], days=days)
    return test


def _newest(measure: str, closed: Sequence[AuditedPeriod], *, rows: int) -> Sequence[AuditedPeriod]:
    """Returns the newest closed periods that have so many labelled rows together, or all."""
    total = 0
    for place in reversed(range(len(closed))):
        total += sum(right_and_wrong(measure, closed[place].labelled))
        if total >= rows:
            return closed[place:]
    return closed


def _bounds(worst: float | None, best: float | None) -> str:
    if worst is None or best is None:
        return "unknown"
    return f"{worst:.3f} if all of them were decided wrong, and {best:.3f} if all right"


def _overdue(periods: Sequence[AuditedPeriod]) -> str:
    """Says which periods were closed without all labels, and what to do; empty if none was."""
    overdue = [period for period in periods if period.state == "overdue"]
    if not overdue:
        return ""
    last = overdue[-1]
    others = f", as did {len(overdue) - 1:,} before it" if len(overdue) > 1 else ""
    return (
        f"; the period up to {last.end:%Y-%m-%d} closed on {last.closed:%Y-%m-%d} with "
        f"{last.drawn - last.unlabelled:,} of {last.drawn:,} labels{others}: label the others, "
        "which still count, and raise `monitor.label_days` if labels take longer"
    )
