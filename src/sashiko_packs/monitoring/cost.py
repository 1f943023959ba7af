"""What monitoring costs in a month at most: its windows, and the runs that its alarms lead to."""

from collections.abc import Sequence
from typing import Final

from sashiko.account.prices import total
from sashiko.pipeline.use_cost import JobCost, PipelineCosts
from sashiko.settings.recipe import Recipe
from sashiko_packs.monitoring.settings import MonitorSection

_WINDOWS: Final = 5  # Mondays of a month
_LONGEST_MONTH: Final = 31  # days


def monitoring_costs(
    recipe: Recipe, *, run: Sequence[JobCost], jobs: Sequence[JobCost]
) -> PipelineCosts:
    """Returns what windows and proposed runs cost."""
    section, retrains = recipe.section(MonitorSection), 0
    if section.retrain != "off":
        # Between two candidates is the cooldown (`sashiko_packs.monitoring.retraining`).
        within = 1 + (_LONGEST_MONTH - 1) // section.retrain_cooldown_days
        retrains = min(within, section.retrain_most_per_year)
    return PipelineCosts(
        key="monitoring",
        title="monitoring, where a version is served: one window of a week, about and at most:",
        jobs=tuple(jobs),
        months=(
            ("month_at_most", f"at most in a month: {_WINDOWS} windows", _month(jobs, _WINDOWS)),
            (
                "retraining_month_at_most",
                f"at most in a month: {retrains} runs of the pipeline for its alarms",
                _month(run, retrains),
            ),
        ),
    )


def _month(jobs: Sequence[JobCost], times: int) -> float | None:
    """Returns US dollars for `times` executions, each job until its limit; None if unknown."""
    once = total(job.most for job in jobs)
    return None if once is None else times * once
