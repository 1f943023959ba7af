"""A version's quality from its labels: drawn rows judge, ordinary labels are shown apart.

The audit's test bets on each period by earlier ones only, so periods reach it in the order of time,
and none after one that is still open. A period that is complete earlier than the one before it
would else be bet on first at this look and second at the next one: two tests, each with its own
chance of a false alarm, instead of one that holds at every look.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from itertools import takewhile

import numpy as np

from sashiko.monitoring.audit import LABELS_NEEDED, AuditedAccuracy, audited_accuracy
from sashiko.monitoring.quality import AuditedPeriod, LabelSummary, Quality
from sashiko.monitoring.result import SMALLEST_COUNT
from sashiko.monitoring.sequential import add_window, judge_test, start_test
from sashiko.settings.monitor import MonitorSection

CHECK_NAME = "accuracy of audited rows"


def measure_quality(
    summary: LabelSummary, *, reference_accuracy: float, settings: MonitorSection
) -> Quality:
    """Judges the audited labels since the deploy.

    Args:
        summary: the labels of the version.
        reference_accuracy: of the version on its held-out rows.
        settings: the tolerance, and the largest probability of a false alarm.
    """
    test = start_test(reference=reference_accuracy, tolerance=settings.accuracy_tolerance)
    for period in bet_periods(summary.periods):
        test = add_window(test, right=period.right, wrong=period.wrong)
    check = judge_test(
        test,
        name=CHECK_NAME,
        labels_needed=LABELS_NEEDED,
        false_alarms=settings.accuracy_false_alarms,
    )
    complete = [period for period in summary.periods if period.state == "complete"]
    ordinary = summary.ordinary_right + summary.ordinary_wrong
    return Quality(
        check=check,
        periods=summary.periods,
        latest=_accuracy(complete[-1:]) if complete else None,
        since_deploy=_accuracy(complete),
        ordinary_rows=ordinary,
        ordinary_accuracy=(
            summary.ordinary_right / ordinary if ordinary >= SMALLEST_COUNT else None
        ),
        labels=summary,
    )


def bet_periods(periods: Sequence[AuditedPeriod]) -> Iterator[AuditedPeriod]:
    """Yields the complete periods before the first open one; later looks only append to them."""
    before = takewhile(lambda period: period.state != "open", periods)
    return (period for period in before if period.state == "complete")


def last_verdict(periods: Sequence[AuditedPeriod]) -> dt.datetime | None:
    """Returns when labels last changed the audit's verdict; None before the first time.

    A period reaches the test when it is closed and every earlier one is.
    """
    bet = tuple(bet_periods(periods))
    if not bet:
        return None
    return max(period.closed for period in periods if period.closed and period.end <= bet[-1].end)


def _accuracy(periods: Sequence[AuditedPeriod]) -> AuditedAccuracy:
    """Estimates the accuracy on all answers of complete periods."""
    right = [np.arange(period.right + period.wrong) < period.right for period in periods]
    probabilities = [
        np.full(period.right + period.wrong, period.drawn / period.answers) for period in periods
    ]
    return audited_accuracy(
        np.concatenate([np.zeros(0, dtype=bool), *right]),
        np.concatenate([np.zeros(0), *probabilities]),
        drawn=sum(period.drawn for period in periods),
    )
