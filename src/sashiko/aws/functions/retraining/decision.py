"""What speaks against training again after an alarm, here and in an account alike.

The guards are outside of the run that starts, so that a false alarm that does not end cannot start
runs without an end.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

_FRUITLESS: Final = 2  # candidates in a row after which nothing is proposed until a new deploy
_YEAR: Final = dt.timedelta(days=365)
_INPUTS: Final = "inputs: "  # begins the names of InputQuality's checks

State = Literal["running", "failed", "blocked", "waiting", "rejected"]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An execution of the fine-tuning pipeline after the one that made the monitored version."""

    start: dt.datetime
    # `blocked` by a gate; `waiting` and `rejected` are what a person has decided on its version.
    state: State
    # Whether its version was shown to be better than the monitored one (`standing`).
    is_better: bool = False

    @property
    def is_fruitless(self) -> bool:
        """Whether it came to nothing, though it ran to its end."""
        return self.state in ("blocked", "rejected") or (
            self.state == "waiting" and not self.is_better
        )


@dataclass(frozen=True, kw_only=True)
class Guards:
    """Limits of the recipe's section `monitor`."""

    cooldown_days: int
    most_per_year: int
    labels: int


@dataclass(frozen=True, kw_only=True)
class Alarms:
    """What a window gives as reasons to train again."""

    group: str  # the model package group
    version: int  # that answered
    end: dt.datetime  # of the window
    names: Sequence[str]  # of the checks in alarm
    labels: int  # known labels of the version's answers

    @property
    def token(self) -> str:
        """Names the start; the same for the same window, so that it starts one run at most.

        It has 64 characters; of a ClientRequestToken SageMaker takes 32 to 128.
        """
        return hashlib.sha256(f"{self.group} {self.version} {self.end}".encode()).hexdigest()


def objections(
    alarms: Alarms, candidates: Sequence[Candidate], guards: Guards, *, now: dt.datetime
) -> tuple[str, ...]:
    """Returns what speaks against a run; nothing if one may start.

    Args:
        alarms: of the window.
        candidates: all since the monitored version was made.
        guards: the limits.
        now: the time of the decision.
    """
    return tuple(_objections(alarms, candidates, guards, now=now))


def _objections(
    alarms: Alarms, candidates: Sequence[Candidate], guards: Guards, *, now: dt.datetime
) -> Iterator[str]:
    if any(name.startswith(_INPUTS) for name in alarms.names):
        yield "requests break the contract: mend what sends them, a model would learn the fault"
    states = [candidate.state for candidate in candidates]
    if "running" in states:
        yield "a candidate is being trained"
    if "waiting" in states:
        yield "a candidate waits for approval: approve or reject it"
    fruitless = _fruitless_in_a_row(candidates)
    if fruitless >= _FRUITLESS:
        yield (
            f"the last {fruitless} candidates were blocked, rejected or no better: find out why; "
            "the next approved version ends this"
        )
    starts = [candidate.start for candidate in candidates]
    cooldown = dt.timedelta(days=guards.cooldown_days)
    if starts and now - max(starts) < cooldown:
        yield f"the last candidate is younger than {guards.cooldown_days} days"
    recent = sum(now - start < _YEAR for start in starts)
    if recent >= guards.most_per_year:
        yield f"{recent} candidates in a year, {guards.most_per_year} are allowed"
    if alarms.labels < guards.labels:
        yield f"{alarms.labels:,} new labels, {guards.labels:,} are needed"


def _fruitless_in_a_row(candidates: Sequence[Candidate]) -> int:
    count = 0
    for candidate in sorted(candidates, key=lambda item: item.start, reverse=True):
        if candidate.state in ("running", "failed"):
            continue
        if not candidate.is_fruitless:
            break
        count += 1
    return count
