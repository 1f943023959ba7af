"""Conditions under which a bias metric is undefined, with the reason in words."""

from collections.abc import Callable
from dataclasses import dataclass

from sashiko.bias.metrics.groups import Comparison, Group
from sashiko.evaluation.metrics.arrays import Bools, Floats


@dataclass(frozen=True)
class Condition:
    """A condition under which a metric is undefined."""

    reason: str  # in words
    # Whether it holds for a comparison of shape (...,), shape (...,).
    holds: Callable[[Comparison], Bools]


def _conditions_per_group(
    count: Callable[[Group], Floats], lack: str
) -> tuple[Condition, Condition]:
    """Returns a condition per group: a rate is undefined if its denominator is 0."""
    return (
        Condition(f"no row of the advantaged group {lack}", lambda groups: count(groups.a) == 0),
        Condition(f"no row of the disadvantaged group {lack}", lambda groups: count(groups.d) == 0),
    )


def _has_single_outcome(groups: Comparison, count: Callable[[Group], Floats]) -> Bools:
    rows = groups.a_strata.rows + groups.d_strata.rows
    accepted = count(groups.a_strata) + count(groups.d_strata)
    single: Bools = ((rows > 0) & ((accepted == 0) | (accepted == rows))).any(axis=-1)
    return single


def _positives(group: Group) -> Floats:
    return group.positives


def _predicted(group: Group) -> Floats:
    return group.predicted_positives


GROUPS = (
    Condition("the disadvantaged group has no rows", lambda groups: groups.d.rows == 0),
    Condition(
        "the advantaged group has no rows: every row is of the disadvantaged",
        lambda groups: groups.a.rows == 0,
    ),
)
LABELS = (
    *GROUPS,
    Condition(
        "no row has the positive label", lambda groups: groups.a.positives + groups.d.positives == 0
    ),
    Condition(
        "every row has the positive label",
        lambda groups: groups.a.negatives + groups.d.negatives == 0,
    ),
)
PREDICTIONS = (
    *GROUPS,
    Condition(
        "no row is predicted positive",
        lambda groups: groups.a.predicted_positives + groups.d.predicted_positives == 0,
    ),
    Condition(
        "every row is predicted positive",
        lambda groups: groups.a.predicted_negatives + groups.d.predicted_negatives == 0,
    ),
)
POSITIVES = _conditions_per_group(_positives, "has the positive label")
NEGATIVES = _conditions_per_group(lambda group: group.negatives, "has a negative label")
ACCEPTED = _conditions_per_group(_predicted, "is predicted positive")
REJECTED = _conditions_per_group(lambda group: group.predicted_negatives, "is predicted negative")
FALSE_POSITIVES = _conditions_per_group(
    lambda group: group.false_positives, "is wrongly predicted positive"
)
_STRATUM = "a value of the group variable has rows of only one outcome"
LABEL_STRATA = Condition(_STRATUM, lambda groups: _has_single_outcome(groups, _positives))
PREDICTED_STRATA = Condition(_STRATUM, lambda groups: _has_single_outcome(groups, _predicted))
LACKING_LABEL = Condition(
    "the disadvantaged group lacks a label that the advantaged has: KL is infinite",
    lambda groups: ((groups.a.labels > 0) & (groups.d.labels == 0)).any(axis=-1),
)
NO_BENEFIT = Condition(
    "every row is wrongly predicted negative, or there is none",
    lambda groups: (
        groups.a.rows + groups.d.rows == groups.a.false_negatives + groups.d.false_negatives
    ),
)
