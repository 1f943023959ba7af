"""A test of an audited share, such as the accuracy, that holds at every look and after any quiet.

A stake is bet, period after period, on the share lying below the tolerated one. If it does not,
no bet can be expected to gain. One bet alone would have to win back what it lost while all was
well, so a part of a whole stake is added with every period, as if the fall began there: a quarter
at the deploy, and three quarters over each year. The sum is a Shiryaev-Roberts e-detector (J.
Shin, A. Ramdas and A. Rinaldo, E-detectors: a nonparametric framework for sequential change
detection, New England Journal of Statistics in Data Science 2, 2024): it reaches a limit of 1 / p
within the first year with probability p at most, and in each later one with less, however often
one looks.

The bets are fixed before the first label: they do not follow the labels so far. So a label that
agrees with the decision only ever lowers the stake, and the stake with unlabelled rows counted as
agreeing is never above the one that all labels would give. An alarm by it holds whichever rows
were labelled, and when.

A yes or no may be a share instead, such as an error by its cap: of a row that is right by a share
r the stake changes by a factor of a^r b^(1 - r), where a is that of a right row and b of a wrong
one. It is at most r a + (1 - r) b, as an exponential function is convex, and a mean r that is
tolerated makes that 1 or less (W. Hoeffding, Probability inequalities for sums of bounded random
variables, Journal of the American Statistical Association 58, 1963, 13-30; of such bets I.
Waudby-Smith and A. Ramdas, Estimating means of bounded random variables by betting, Journal of
the Royal Statistical Society B 86, 2024, 1-27). Without a cap one row could be off by any amount,
and no test of the mean would hold without an assumption on the largest errors.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from sashiko.evaluation.metrics.calibration import wilson_interval

# Below the tolerated share: the falls that are bet on, and each one's part of the stake.
_FALLS: Final = np.array([0.03, 0.06, 0.12, 0.3])
_PARTS: Final = np.array([0.2, 0.4, 0.2, 0.2])
_AT_DEPLOY: Final = 0.25  # of the first year's stake
# A stake jumps over the limit where the proof lets it touch it. Simulated shares at the tolerated
# one pass the limit at most .4 times as often as the proof allows, so half of the limit still
# holds the rate (verification/benchmarks/monitoring_audit.py).
_LIMIT: Final = 0.5
_DAYS_A_YEAR: Final = 365.25


@dataclass(frozen=True)
class AuditTest:
    """The state of the test of one share since the deploy."""

    tolerated: float  # the share that is bet against, above 0 and below 1
    log_stakes: tuple[float, ...]  # natural logarithms, by fall
    highest: float = -math.inf  # of the logarithms of the whole stake so far

    @property
    def p_value(self) -> float:
        """The probability of such a stake, at any look of a year, if the share is tolerated."""
        return _p_value(self.highest)

    @property
    def p_now(self) -> float:
        """The same of the stake after the last period, which falls again after better periods."""
        return _p_value(_log_sum(self.log_stakes))

    def passed(self, false_alarms: float) -> bool:
        """Says whether the share was shown to be below the tolerated one, at any look so far."""
        return self.p_value <= false_alarms


def lowest_tolerated(*, right: float, rows: float, tolerance: float) -> float:
    """Returns the lowest share that is no alarm: an alarm needs a fall that is neither.

    It is below the reference by the tolerance, and no higher than the lower end of the reference's
    own 95 % interval (Wilson): of few held-out rows the reference is not known better. At least one
    row is held out.
    """
    share = right / rows
    lowest = min(share - tolerance, wilson_interval(share, round(rows))[0])
    return min(max(lowest, 0.01), 0.99)


def start_test(*, tolerated: float) -> AuditTest:
    """Starts the test, at a deploy."""
    stakes = np.log(_AT_DEPLOY * _PARTS)
    return AuditTest(tolerated=tolerated, log_stakes=tuple(float(stake) for stake in stakes))


def add_window(test: AuditTest, *, right: float, wrong: float, days: float) -> AuditTest:
    """Adds a period's audited labels; each period once, in the order of time."""
    falls = np.maximum(test.tolerated - _FALLS, test.tolerated / 2)
    gains = right * np.log(falls / test.tolerated) + wrong * np.log(
        (1 - falls) / (1 - test.tolerated)
    )
    added = np.log((1 - _AT_DEPLOY) * days / _DAYS_A_YEAR * _PARTS)
    stakes = np.logaddexp(test.log_stakes, added) + gains
    log_stakes = tuple(float(stake) for stake in stakes)
    return replace(test, log_stakes=log_stakes, highest=max(test.highest, _log_sum(log_stakes)))


def _log_sum(logarithms: tuple[float, ...]) -> float:
    return float(np.logaddexp.reduce(logarithms))


def _p_value(log_stake: float) -> float:
    return _LIMIT * math.exp(-max(log_stake, math.log(_LIMIT)))
