"""The monthly cost of an idle environment, and whether a change raises it."""

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
from sashiko.aws.operations.cost.prices import Prices, total
from sashiko.aws.operations.templates import Templates
from sashiko.errors import InputError

# A function of ours that CloudFormation calls in a deploy: it is priced as the function is.
_CUSTOM = ("Custom::", "AWS::CloudFormation::CustomResource")

_CENT = 0.005


@dataclass(frozen=True, kw_only=True)
class IdleCost:
    """The idle cost of an environment."""

    charges: tuple[Charge, ...]  # line by line
    instances: int  # the fewest that its endpoint keeps; 1 if it has none
    by_use: Mapping[str, str]  # type that is billed by use -> how

    @property
    def monthly(self) -> float | None:
        """US dollars a month; None if a price is unknown."""
        return total(charge.monthly for charge in self.charges)


def idle_cost(templates: Templates, prices: Prices) -> IdleCost:
    """Returns the cost of the templates' resources while the environment is idle.

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
        listing = ", ".join(f"{kind} ({stack})" for kind, stack in sorted(unknown.items()))
        raise InputError(
            f"no cost rule for {listing}; add a rule, or a line with the reason why it costs "
            "nothing while it is idle, to src/sashiko/aws/operations/cost/billed.py"
        )
    all_charges = sorted(charges(templates, prices), key=lambda charge: (charge.stack, charge.what))
    return IdleCost(
        charges=tuple(all_charges),
        instances=max(1, least_instances(templates)),
        by_use={kind: BY_USE[kind] for kind in sorted(kinds) if kind in BY_USE},
    )


def describe_rise(cost: IdleCost, *, before: Any, allowed: float) -> str | None:
    """Returns a message if an environment's idle cost rose by more than is allowed.

    `before` is an earlier output of `sashiko cost --json`, `allowed` is in US dollars a month.

    Raises:
        InputError: if `before` is not such an output, or an amount of the two is unknown.
    """
    current = known_lines(cost)
    try:
        earlier = {str(name): float(usd) for name, usd in before["idle"]["lines"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError("--against: expected an output of `sashiko cost --json`") from error
    if unknown := sorted({*lines(cost)} - {*current}):
        raise InputError(
            f"--against: the rise is unknown, as the cost is of {'; '.join(unknown)}: give the "
            "price in a file of your own, as --prices FILE"
        )
    rise = sum(current.values()) - sum(earlier.values())
    if rise <= allowed:
        return None
    changes = {
        name: current.get(name, 0) - earlier.get(name, 0)
        for name in current.keys() | earlier.keys()
    }
    listing = [f"{usd:+.2f} {name}" for name, usd in sorted(changes.items()) if abs(usd) >= _CENT]
    return (
        f"idle it costs {rise:.2f} dollars a month more, from {sum(earlier.values()):.2f} to "
        f"{sum(current.values()):.2f}; `budget.idle_rise` allows {allowed:g}: {'; '.join(listing)}"
    )


def lines(cost: IdleCost) -> Mapping[str, float | None]:
    """Returns line -> US dollars a month, None if unknown; equal lines are added up."""
    amounts: dict[str, list[float | None]] = {}
    for charge in cost.charges:
        amounts.setdefault(f"{charge.stack}: {charge.what}", []).append(charge.monthly)
    sums = {name: total(values) for name, values in amounts.items()}
    return {name: usd if usd is None else round(usd, 2) for name, usd in sums.items()}


def known_lines(cost: IdleCost) -> dict[str, float]:
    """Returns the lines whose cost is known."""
    return {name: usd for name, usd in lines(cost).items() if usd is not None}
