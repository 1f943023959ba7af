"""Disparate impact of a window, facet by facet: its change since the reference, and the gates."""

from collections.abc import Sequence
from dataclasses import dataclass

from sashiko.evaluation.metrics.counts import Counts
from sashiko.settings.bias import BiasGate, BiasSection
from sashiko_packs.monitoring.checks import Measurement
from sashiko_packs.monitoring.clusters import ClusteredCounts
from sashiko_packs.monitoring.disparity import (
    disparate_impact,
    measure_disparity_bound,
    measure_disparity_change,
)
from sashiko_packs.monitoring.result import Disparity

_METRIC = "DI"
POOLED_ROWS = 1000  # of a group: with fewer, decisions of earlier windows are added


@dataclass(frozen=True)
class FacetGroup:
    """The disadvantaged group of a facet."""

    facet: str  # the column
    group: str  # its values, joined by commas
    reference: Counts  # of the group and of all other rows, among the held-out rows
    window: ClusteredCounts  # decisions by the cells of `effect_of_ratio`
    windows: int = 1  # whose decisions are counted: this one, and earlier ones


def measure_disparities(
    groups: Sequence[FacetGroup], section: BiasSection, *, tolerance: float
) -> tuple[tuple[Measurement, ...], tuple[Disparity, ...]]:
    """Measures the disparate impact of each facet's disadvantaged group.

    Names of measurements have the facet's column, never a group: they are printed.

    Args:
        groups: one for each facet.
        section: the recipe's gates.
        tolerance: the share of the reference's disparate impact by which it may change.

    Returns:
        For each facet its change and its gates; then, as not judged, the gates that a window is
        not judged by. And what the report shows of each facet.
    """
    measurements: list[Measurement] = []
    disparities = []
    for group in groups:
        change = measure_disparity_change(
            f"disparate impact of {group.facet}",
            group.reference,
            group.window,
            tolerance=tolerance,
            minimum_group_size=section.minimum_group_size,
            note=_note(group),
        )
        measurements.append(change)
        measurements += [
            _measure_gate(gate, group, section)
            for gate in section.gates
            if _is_measured(gate) and gate.facets == (group.facet,)
        ]
        disparities.append(
            Disparity(
                facet=group.facet,
                group=group.group,
                reference=disparate_impact(
                    group.reference, minimum_group_size=section.minimum_group_size
                ),
                window=change.value,
                low=change.low,
                high=change.high,
            )
        )
    measurements += [_left_out(gate, section) for gate in section.gates if not _is_measured(gate)]
    return tuple(measurements), tuple(disparities)


def _is_measured(gate: BiasGate) -> bool:
    return gate.metric == _METRIC and len(gate.facets) == 1


def _measure_gate(gate: BiasGate, group: FacetGroup, section: BiasSection) -> Measurement:
    return measure_disparity_bound(
        _name(gate),
        group.window,
        minimum=gate.minimum,
        maximum=gate.maximum,
        minimum_group_size=section.minimum_group_size,
        note=_note(group),
    )


def _note(group: FacetGroup) -> str:
    return f"decisions of the last {group.windows} windows" if group.windows > 1 else ""


def _left_out(gate: BiasGate, section: BiasSection) -> Measurement:
    reason = (
        "a window is judged by single facets, not by their intersections"
        if gate.metric == _METRIC
        else "a window is judged by disparate impact alone, which needs no labels"
    )
    bounds = [bound for bound in (gate.minimum, gate.maximum) if bound is not None]
    return Measurement(
        name=_name(gate),
        kind="bias",
        effect=gate.metric,
        rows=0,
        rows_needed=section.minimum_group_size,
        tolerance=bounds[0],
        reason=reason,
    )


def _name(gate: BiasGate) -> str:
    """Names a gate with its bounds, since a facet may have several."""
    if gate.minimum is None:
        bounds = f"at most {gate.maximum:g}"
    elif gate.maximum is None:
        bounds = f"at least {gate.minimum:g}"
    else:
        bounds = f"{gate.minimum:g} to {gate.maximum:g}"
    metric = "disparate impact" if gate.metric == _METRIC else gate.metric
    return f"{metric} of {' & '.join(gate.facets)}, {bounds} by its gate"
