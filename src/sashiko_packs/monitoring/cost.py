"""What monitoring costs in a month at most: its windows, and the runs that its alarms lead to."""

from collections.abc import Sequence
from typing import Final

from sashiko.account.prices import total
from sashiko.pipeline.use_cost import JobCost
from sashiko_packs.monitoring.settings import MonitorSection

WINDOWS_A_MONTH: Final = 5  # Mondays
_LONGEST_MONTH: Final = 31  # days


def month_at_most(jobs: Sequence[JobCost], times: int) -> float | None:
    """Returns US dollars for `times` executions, each job until its limit; None if unknown."""
    once = total(job.most for job in jobs)
    return None if once is None else times * once


def retrains_a_month(settings: MonitorSection) -> int:
    """Returns how many runs alarms may propose within a month, whatever they say.

    Between two candidates is the cooldown (`sashiko_packs.monitoring.retraining`).
    """
    if settings.retrain == "off":
        return 0
    within = 1 + (_LONGEST_MONTH - 1) // settings.retrain_cooldown_days
    return min(within, settings.retrain_most_per_year)
