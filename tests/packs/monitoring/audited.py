"""Audited periods of a test, with the counts that it names."""

from sashiko.evaluation.metrics.quality import Confusion
from sashiko_packs.monitoring.audited import AuditedPeriod
from tests.packs.monitoring.label_stores import DAY, LABEL_DAYS, week


def confusion(right: int, wrong: int) -> Confusion:
    """Half of the rows of either kind are decided positive."""
    return Confusion(
        true_positives=right // 2,
        false_positives=wrong // 2,
        false_negatives=wrong - wrong // 2,
        true_negatives=right - right // 2,
    )


def period(
    number: int,
    right: int = 0,
    wrong: int = 0,
    *,
    labelled: Confusion | None = None,
    unlabelled: int = 0,
    is_open: bool = False,
    answers: int = 1_000,
) -> AuditedPeriod:
    """A week's period; half of its unlabelled rows are decided positive."""
    end = week(number).end
    return AuditedPeriod(
        start=week(number).start,
        end=end,
        answers=answers,
        labelled=labelled or confusion(right, wrong),
        unlabelled_positive=unlabelled // 2,
        unlabelled_negative=unlabelled - unlabelled // 2,
        late=0,
        state="open" if is_open else "overdue" if unlabelled else "complete",
        closed=None if is_open else end + LABEL_DAYS * DAY if unlabelled else end,
    )
