"""Whose texts are blocked before the model: outcomes by key, joined with the facets.

What blocks one group's texts more often than the others', such as a guardrail, denies that group
the service, whatever the model would decide. The step that blocks sees no facet; JudgeBias alone
joins the two.
"""

import math
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from sashiko.base.files import write_json
from sashiko.base.parquet import read_columns, write_table
from sashiko.base.yaml_models import Frozen, read_record
from sashiko.bias.clarify.counting import rows_with
from sashiko.bias.steps.facet_join import facets_of
from sashiko.contract.model import Contract
from sashiko.evaluation.gates.verdict import Check
from sashiko.evaluation.metrics.calibration import wilson_interval
from sashiko.evaluation.reference import SMALLEST_COUNT
from sashiko.settings.recipe_bias import BiasSection

_TABLE: Final = "outcomes.parquet"
_BLOCKER: Final = "blocker.json"


class Blocker(Frozen):
    """What blocks texts."""

    kind: str  # such as `guardrail`
    name: str  # which one, with its version
    advice: str  # what to try where it blocks a group too often


def write_outcomes(table: pa.Table, blocker: Blocker, folder: Path) -> None:
    """Writes what was blocked by what: `key`, `label`, and `blocked`, 0 or 1, of each text."""
    write_table(folder / _TABLE, table)
    write_json(folder / _BLOCKER, blocker.model_dump())


def blocking_checks(
    contract: Contract, section: BiasSection, *, outcomes: Path, facets_file: Path, maximum: float
) -> list[Check]:
    """Compares how often something blocks each facet's disadvantaged group and all other rows.

    A count from 1 to 9 of blocked texts could stand for a person: the numbers are then left out,
    and the decision counts them all the same. `outcomes` is a folder of `write_outcomes`, and
    `maximum` the largest difference of the two shares, either way.

    Returns:
        A check for each facet.

    Raises:
        InputError: if a row has no facets, or its label is another one there.
    """
    file, needed = outcomes / _TABLE, section.minimum_group_size
    rows = read_columns(file, ("key", "label", "blocked"))
    blocker = read_record(Blocker, outcomes / _BLOCKER)
    labels = rows.select(["key", "label"])
    facets = facets_of(labels, contract, source=file, facets_file=facets_file)
    blocked = np.asarray(rows["blocked"]).astype(bool)
    checks = []
    for facet in contract.facets:
        name = f"{blocker.kind} blocks {facet.column}={', '.join(facet.disadvantaged)}"
        in_group = np.asarray(rows_with(facets[facet.column], list(facet.disadvantaged)))
        sides = [(int(side.sum()), len(side)) for side in (blocked[in_group], blocked[~in_group])]
        if min(size for _, size in sides) < needed:
            reason = f"fewer than {needed} rows of the group or of all others: too few to judge"
            checks.append(Check(name=name, passed=True, judged=False, reason=reason))
            continue
        (low, high), (group, others) = difference_interval(*sides), map(_share, sides)
        difference = sides[0][0] / sides[0][1] - sides[1][0] / sides[1][1]
        passed = abs(difference) <= maximum
        shown = f"{group} of the group's texts are blocked, {others} of all others'"
        hidden = any(0 < count < SMALLEST_COUNT for count, _ in sides)
        if hidden:
            shown = (
                f"fewer than {SMALLEST_COUNT} texts are blocked on one side, so no number is shown"
            )
        checks.append(
            Check(
                name=name,
                value=None if hidden else difference,
                low=None if hidden else low,
                high=None if hidden else high,
                threshold=(-maximum, maximum),
                comparison="in_range",
                passed=passed,
                reason=f"{shown} ({blocker.name})",
                try_="" if passed else blocker.advice,
            )
        )
    return checks


def difference_interval(one: tuple[int, int], other: tuple[int, int]) -> tuple[float, float]:
    """Returns the 95 % interval of a difference of two shares; it has a width without events too.

    Each share is given as events and rows. Source: R. G. Newcombe, Interval estimation for the
    difference between independent proportions (Statistics in Medicine 17, 1998), method 10.
    """
    (p1, (l1, u1)), (p2, (l2, u2)) = (
        (events / rows, wilson_interval(events / rows, rows)) for events, rows in (one, other)
    )
    difference = p1 - p2
    return difference - math.hypot(p1 - l1, u2 - p2), difference + math.hypot(u1 - p1, p2 - l2)


def _share(side: tuple[int, int]) -> str:
    events, rows = side
    low, high = wilson_interval(events / rows, rows)
    return f"{events:,} of {rows:,} ({events / rows:.1%} [{low:.1%}, {high:.1%}])"
