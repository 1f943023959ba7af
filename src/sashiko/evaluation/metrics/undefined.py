"""What leaves a bias metric undefined, with the reason in words."""

from collections.abc import Callable
from dataclasses import dataclass

from sashiko.evaluation.metrics.arrays import Bools, Floats
from sashiko.evaluation.metrics.groups import Comparison, Group


@dataclass(frozen=True)
class Condition:
    """What leaves a metric undefined.

    Attributes:
        reason: in words.
        holds: of a comparison of shape (...,) whether it is so, shape (...,).
    """

    reason: str
    holds: Callable[[Comparison], Bools]


def _both(count: Callable[[Group], Floats], lack: str) -> tuple[Condition, Condition]:
    """Each group must have such rows, by which its rate is divided."""
    return (
        Condition(f"no row of the advantaged group {lack}", lambda of: count(of.a) == 0),
        Condition(f"no row of the disadvantaged group {lack}", lambda of: count(of.d) == 0),
    )


def _one_outcome_alone(of: Comparison, count: Callable[[Group], Floats]) -> Bools:
    rows = of.a_strata.rows + of.d_strata.rows
    accepted = count(of.a_strata) + count(of.d_strata)
    alone: Bools = ((rows > 0) & ((accepted == 0) | (accepted == rows))).any(axis=-1)
    return alone


def _positives(group: Group) -> Floats:
    return group.positives


def _predicted(group: Group) -> Floats:
    return group.predicted_positives


GROUPS = (
    Condition("the disadvantaged group has no rows", lambda of: of.d.rows == 0),
    Condition(
        "the advantaged group has no rows: every row is of the disadvantaged",
        lambda of: of.a.rows == 0,
    ),
)
LABELS = (
    *GROUPS,
    Condition("no row has the positive label", lambda of: of.a.positives + of.d.positives == 0),
    Condition("every row has the positive label", lambda of: of.a.negatives + of.d.negatives == 0),
)
PREDICTIONS = (
    *GROUPS,
    Condition(
        "no row is predicted positive",
        lambda of: of.a.predicted_positives + of.d.predicted_positives == 0,
    ),
    Condition(
        "every row is predicted positive",
        lambda of: of.a.predicted_negatives + of.d.predicted_negatives == 0,
    ),
)
POSITIVES = _both(_positives, "has the positive label")
NEGATIVES = _both(lambda group: group.negatives, "has a negative label")
ACCEPTED = _both(_predicted, "is predicted positive")
REJECTED = _both(lambda group: group.predicted_negatives, "is predicted negative")
FALSE_POSITIVES = _both(lambda group: group.false_positives, "is wrongly predicted positive")
_STRATUM = "a value of the group variable has rows of one outcome alone"
LABEL_STRATA = Condition(_STRATUM, lambda of: _one_outcome_alone(of, _positives))
PREDICTED_STRATA = Condition(_STRATUM, lambda of: _one_outcome_alone(of, _predicted))
LACKING_LABEL = Condition(
    "the disadvantaged group lacks a label that the advantaged has: KL is infinite",
    lambda of: ((of.a.labels > 0) & (of.d.labels == 0)).any(axis=-1),
)
NO_BENEFIT = Condition(
    "every row is wrongly predicted negative, or there is none",
    lambda of: of.a.rows + of.d.rows == of.a.false_negatives + of.d.false_negatives,
)
