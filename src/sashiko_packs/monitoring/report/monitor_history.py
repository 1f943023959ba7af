"""The windows of a monitored model over time, as the monitor's page shows them."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from sashiko_packs.monitoring.checks import DISPARATE_IMPACT, TEXT_AUC, MonitorCheck, Outcome
from sashiko_packs.monitoring.quality import AuditedPeriod
from sashiko_packs.monitoring.result import Disparity, MonitorResult

_DAY = 86_400.0  # seconds


@dataclass(frozen=True)
class History:
    """The windows of one model package group, at least one, by their end."""

    results: tuple[MonitorResult, ...]

    @property
    def latest(self) -> MonitorResult:
        """The window that was just judged."""
        return self.results[-1]

    @property
    def deploys(self) -> tuple[tuple[dt.datetime, int], ...]:
        """The beginning of each further version's first window, with the version."""
        return tuple(
            (later.start, later.version)
            for earlier, later in pairwise(self.results)
            if earlier.version != later.version
        )

    @property
    def terms(self) -> tuple[tuple[MonitorResult, ...], ...]:
        """The windows by deploy: those between two deploys have the same reference."""
        by_version = groupby(self.results, key=lambda result: result.version)
        return tuple(tuple(results) for _, results in by_version)

    @property
    def periods(self) -> tuple[AuditedPeriod, ...]:
        """The audited periods of all deploys, as they were last known."""
        known = {
            (term[-1].version, period.start, period.end): period
            for term in self.terms
            for period in term[-1].quality.periods
        }
        return tuple(sorted(known.values(), key=lambda period: (period.end, period.start)))

    @property
    def span(self) -> tuple[dt.datetime, dt.datetime]:
        """The beginning of the earliest window or period, and the end of the latest one."""
        windows = [(item.start, item.end) for item in self.results]
        starts, ends = zip(
            *windows, *((item.start, item.end) for item in self.periods), strict=True
        )
        return min(starts), max(ends)

    def checks(self, name: str) -> Iterator[tuple[MonitorResult, MonitorCheck]]:
        """Yields the windows that have a check, with it."""
        for result in self.results:
            for check in result.checks:
                if check.name == name:
                    yield result, check

    def disparities(self, facet: str, group: str) -> Iterator[tuple[MonitorResult, Disparity]]:
        """Yields the windows in which a group's disparate impact was measured, with it."""
        for result in self.results:
            for disparity in result.disparities or ():
                if (disparity.facet, disparity.group) == (facet, group):
                    yield result, disparity


def days(time: dt.datetime) -> float:
    """Returns a time as days, for an axis."""
    return time.timestamp() / _DAY


def middle(span: MonitorResult | AuditedPeriod) -> float:
    """Returns the middle of a window or a period, in days."""
    return (days(span.start) + days(span.end)) / 2


def version_rows(result: MonitorResult) -> int:
    """Returns the rows of a window that its version answered."""
    return sum(item.rows for item in result.capture.versions if item.version == result.version)


def worst(checks: Sequence[MonitorCheck]) -> Outcome:
    """Returns an alarm if any check has one, else not judged if any check was not."""
    outcomes = {check.outcome for check in checks}
    for outcome in ("alarm", "not judged", "ok"):
        if outcome in outcomes:
            return outcome
    return "not judged"


def change_check(result: MonitorResult, disparity: Disparity) -> MonitorCheck | None:
    """Returns the check of a facet's disparate impact against the reference, if there is one."""
    name = f"{DISPARATE_IMPACT} of {disparity.facet}"
    return next((check for check in result.checks if check.name == name), None)


def gate_checks(result: MonitorResult, disparity: Disparity) -> tuple[MonitorCheck, ...]:
    """Returns the checks of a facet's disparate impact against the bounds of the recipe's gates."""
    name = f"{DISPARATE_IMPACT} of {disparity.facet}, "
    return tuple(check for check in result.checks if check.name.startswith(name))


def relative(check: MonitorCheck) -> float | None:
    """Returns the size of a drift as a multiple of its tolerance; None if it has none."""
    neutral = 0.5 if check.effect == TEXT_AUC else 0.0
    if check.value is None:
        return None
    return max(check.value - neutral, 0.0) / (check.tolerance - neutral)
