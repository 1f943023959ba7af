"""A test of audited accuracy that holds at every look: betting against the model.

A stake of 1 is bet, window after window, on the accuracy lying below the tolerated one. If it does
not, the stake cannot be expected to grow, and it reaches 1 / p with probability p at most, however
often one looks and whenever one stops (J. Ville, Etude critique de la notion de collectif, 1939; I.
Waudby-Smith and A. Ramdas, Estimating means of bounded random variables by betting, Journal of the
Royal Statistical Society B 86, 2024).

The stake is spread over bets on several falls, and over keeping it. After each window a part of it
is spread anew, so that a fall after a long quiet is detected too, about half as fast as one at once
(docs/monitoring-benchmark.md; M. Herbster and M. Warmuth, Tracking the best expert, Machine
Learning 32, 1998). A window's bets
depend on earlier windows only, and the order of its labels does not matter.
"""

import math

import numpy as np
from pydantic import Field

from sashiko.core.yaml_models import Frozen
from sashiko.evaluation.metrics.arrays import Floats
from sashiko.monitoring.checks import AUDITED_ACCURACY, MonitorCheck, Outcome

# Below the tolerated accuracy: the falls that are bet on, in equal parts.
_FALLS = np.array([0.03, 0.06, 0.12])
_FIRST_KEPT, _KEPT = 0.2, 0.5  # of the stake: at first, and of what is spread anew
_SPREAD_ANEW = 0.04  # after each window


class AuditTest(Frozen):
    """The state of the test since the reference was set, at a deploy."""

    tolerated: float = Field(gt=0, lt=1)  # the accuracy that is bet against
    right: int = 0  # audited labels that agreed with the decision
    wrong: int = 0  # those that did not
    windows: int = 0  # with audited labels
    log_stake: float = 0.0  # natural logarithm of the stake now
    highest_log_stake: float = 0.0  # of the highest one so far, which decides
    # How the stake is spread before the next window: kept, then on each fall; sums to 1.
    parts: tuple[float, ...]

    def passed(self, false_alarms: float) -> bool:
        """Says whether the accuracy was shown to be below the tolerated one, at any look so far."""
        return self.highest_log_stake >= -math.log(false_alarms)


def start_test(*, reference: float, tolerance: float) -> AuditTest:
    """Starts the test, at a deploy.

    Args:
        reference: the accuracy that the model had on held-out rows.
        tolerance: how far below it the accuracy may be.
    """
    return AuditTest(
        tolerated=min(max(reference - tolerance, 0.01), 0.99), parts=tuple(_parts(_FIRST_KEPT))
    )


def add_window(test: AuditTest, *, right: int, wrong: int) -> AuditTest:
    """Adds a window's audited labels; each window once, in the order of time.

    Args:
        test: the state before.
        right: labels of drawn rows that agree with the decision.
        wrong: those that do not.
    """
    falls = np.maximum(test.tolerated - _FALLS, test.tolerated / 2)
    gains = np.zeros(len(_FALLS) + 1)
    gains[1:] = right * np.log(falls / test.tolerated) + wrong * np.log(
        (1 - falls) / (1 - test.tolerated)
    )
    with np.errstate(divide="ignore"):
        stakes = np.log(np.array(test.parts)) + gains
    highest = float(stakes.max())
    total = highest + math.log(float(np.exp(stakes - highest).sum()))
    spread = np.exp(stakes - total)
    parts = (1 - _SPREAD_ANEW) * spread + _SPREAD_ANEW * _parts(_KEPT)
    log_stake = test.log_stake + total
    return test.model_copy(
        update={
            "right": test.right + right,
            "wrong": test.wrong + wrong,
            "windows": test.windows + 1,
            "log_stake": log_stake,
            "highest_log_stake": max(test.highest_log_stake, log_stake),
            "parts": tuple(float(part) for part in parts / parts.sum()),
        }
    )


def judge_test(
    test: AuditTest, *, name: str, labels_needed: int, false_alarms: float
) -> MonitorCheck:
    """Judges the accuracy by all windows since the deploy; an alarm stays until the next one."""
    labels = test.right + test.wrong
    outcome: Outcome = "ok"
    reason = f"accuracy is not shown to be below {test.tolerated:.3f}"
    if test.passed(false_alarms):
        outcome, reason = "alarm", f"accuracy is below {test.tolerated:.3f}"
    elif labels < labels_needed:
        outcome = "not judged"
        reason = f"{labels:,} audited labels, {labels_needed:,} are needed"
    return MonitorCheck(
        name=name,
        kind="accuracy",
        outcome=outcome,
        rows=labels,
        rows_needed=labels_needed,
        effect=AUDITED_ACCURACY,
        value=test.right / labels if labels else None,
        tolerance=test.tolerated,
        p_value=min(math.exp(-test.highest_log_stake), 1.0),
        reason=reason,
    )


def _parts(kept: float) -> Floats:
    return np.concatenate([[kept], np.full(len(_FALLS), (1 - kept) / len(_FALLS))])
