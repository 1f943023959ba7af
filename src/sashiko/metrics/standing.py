"""In which words a lead is told: none is called better before it is surely large enough."""

from typing import Literal

from sashiko.metrics.uncertainty import Estimate

Standing = Literal["better", "no worse", "worse", "not shown to be better", "undefined"]


def standing(lead: Estimate, *, minimum_effect: float) -> Standing:
    """Says how a model stands against another one.

    Args:
        lead: of the model over the other, paired by rows, with its 95 % interval; more than 0 is
            better (`quality.difference`).
        minimum_effect: the least lead that matters, 0 or more; also how much worse is as good.

    Returns:
        `better`: the whole interval lies above the minimum effect. `no worse`: it lies above minus
        that effect. `worse`: it lies below 0, and not all of it that near. `not shown to be
        better`: any other interval, as it holds 0. `undefined`: there is no interval.
    """
    if lead.low is None or lead.high is None:
        return "undefined"
    if lead.low > minimum_effect:
        return "better"
    if lead.low > -minimum_effect:
        return "no worse"
    return "worse" if lead.high < 0 else "not shown to be better"
