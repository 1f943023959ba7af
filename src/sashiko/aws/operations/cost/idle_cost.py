"""What an environment costs a month while nobody uses it, and whether a change raises that."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sashiko.aws.operations.cost.billed import (
    BY_USE,
    FREE,
    PRICED,
    Charge,
    charges,
    least_instances,
)
from sashiko.aws.operations.cost.prices import Prices
from sashiko.aws.operations.templates import Templates
from sashiko.errors import InputError

# A function of ours that CloudFormation calls in a deploy: it is priced as the function is.
_CUSTOM = ("Custom::", "AWS::CloudFormation::CustomResource")

_CENT = 0.005


@dataclass(frozen=True, kw_only=True)
class IdleCost:
    """The idle cost of an environment.

    Attributes:
        charges: line by line.
        instances: the fewest that its endpoint keeps; 1 if it has none.
        by_use: type of what is billed once it is used -> how it is.
    """

    charges: tuple[Charge, ...]
    instances: int
    by_use: Mapping[str, str]

    @property
    def monthly(self) -> float:
        """US dollars a month."""
        return sum(charge.monthly for charge in self.charges)


def idle_cost(templates: Templates, prices: Prices) -> IdleCost:
    """Adds up what the templates cost while nobody uses the environment.

    Raises:
        InputError: if a type of resource is not known here, or a price is not.
    """
    kinds = templates.types()
    unknown = {
        kind: stack
        for kind, stack in kinds.items()
        if kind not in PRICED | FREE | BY_USE.keys() and not kind.startswith(_CUSTOM)
    }
    if unknown:
        which = ", ".join(f"{kind} ({stack})" for kind, stack in sorted(unknown.items()))
        raise InputError(
            f"nobody has said what this costs: {which}; add a rule, or a line with the reason why "
            "it costs nothing while it is idle, to src/sashiko/aws/operations/cost/billed.py"
        )
    found = sorted(charges(templates, prices), key=lambda charge: (charge.stack, charge.what))
    return IdleCost(
        charges=tuple(found),
        instances=max(1, least_instances(templates)),
        by_use={kind: BY_USE[kind] for kind in sorted(kinds) if kind in BY_USE},
    )


def raised(cost: IdleCost, *, before: Any, allowed: float) -> str | None:
    """Says by what an environment's idle cost rose, if by more than is allowed.

    Args:
        cost: the idle cost now.
        before: an earlier output of `sashiko cost --json`.
        allowed: US dollars a month that a change may add.

    Raises:
        InputError: if `before` is no such output.
    """
    try:
        was = {str(name): float(usd) for name, usd in before["idle"]["lines"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError("--against: expected an output of `sashiko cost --json`") from error
    now = lines(cost)
    rise = sum(now.values()) - sum(was.values())
    if rise <= allowed:
        return None
    more = {name: now.get(name, 0) - was.get(name, 0) for name in now.keys() | was.keys()}
    named = [f"{usd:+.2f} {name}" for name, usd in sorted(more.items()) if abs(usd) >= _CENT]
    return (
        f"idle it costs {rise:.2f} dollars a month more, from {sum(was.values()):.2f} to "
        f"{sum(now.values()):.2f}; `budget.idle_rise` allows {allowed:g}: {'; '.join(named)}"
    )


def lines(cost: IdleCost) -> Mapping[str, float]:
    """Returns line -> US dollars a month; equal lines are added up."""
    found: dict[str, float] = {}
    for charge in cost.charges:
        name = f"{charge.stack}: {charge.what}"
        found[name] = round(found.get(name, 0) + charge.monthly, 2)
    return found
