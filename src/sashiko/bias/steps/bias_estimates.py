"""Turns an `analysis.json` and the counts of its data into estimates with intervals."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sashiko.bias.clarify.analysis import MetricResult, StageResult
from sashiko.bias.clarify.counting import GroupCounts
from sashiko.bias.clarify.dataset import Dataset
from sashiko.bias.gates.estimates import BiasEstimate, Subgroup
from sashiko.bias.gates.intersections import SimultaneousIntervals, count_bound_comparisons
from sashiko.bias.metrics.bias import METRICS, MetricValue, intervals, measure, stage_metrics
from sashiko.bias.metrics.bias_table import Stage
from sashiko.bias.steps.intersections import Intersection, count_intersections
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.evaluation.metrics.counts import Counts
from sashiko.settings.bias import BiasSection

STEPS: Mapping[Stage, str] = {"pre_training": "PreBias", "post_training": "PostBias"}
_TOLERANCE = 1e-6
# Clarify's library ignores a label that one of the groups lacks, contrary to the definition.
_WHOLE_DISTRIBUTION = frozenset({"JS", "LP", "TVD", "KS"})


@dataclass(frozen=True)
class StageAnalysis:
    """The analysis of one stage: labels or predictions."""

    result: StageResult | None
    # Facet -> group -> counts of the group and of all other rows.
    facets: Mapping[str, Mapping[str, Counts]]
    intersections: tuple[Intersection, ...]

    def subgroups(self) -> Iterator[tuple[Subgroup, Counts]]:
        """Yields every group of every facet, then every combination, with its counts."""
        for facet, groups in self.facets.items():
            for name, counts in groups.items():
                yield Subgroup(facet=facet, group=name), counts
        yield from self.intersections


def analyse_stage(
    contract: Contract,
    section: BiasSection,
    result: StageResult | None,
    *,
    data: Dataset,
    group_counts: GroupCounts,
) -> StageAnalysis:
    """Adds the intersections of facets to an analysis."""
    intersections = count_intersections(contract, section, data=data, group_counts=group_counts)
    return StageAnalysis(result, group_counts.facets, intersections)


def estimate_bias(
    section: BiasSection, stages: Mapping[Stage, StageAnalysis]
) -> Iterator[BiasEstimate]:
    """Yields each stage's metrics by facet, from the analysis, then by intersection.

    Raises:
        InputError: if an analysis lacks its stage, or has other groups or other data.
    """
    looks = looks_of(section, stages)
    for stage, analysis in stages.items():
        yield from _by_facet(stage, analysis, looks=looks)
        yield from _by_intersection(stage, analysis.intersections, looks=looks)


def looks_of(section: BiasSection, stages: Mapping[Stage, StageAnalysis]) -> SimultaneousIntervals:
    """Counts the comparisons, which determine the width of the intervals."""
    subgroups: list[Subgroup] = []
    if "post_training" in stages:
        subgroups = [subgroup for subgroup, _ in stages["post_training"].subgroups()]
    large_enough = {
        stage: sum(_is_large_enough(counts, section) for _, counts in analysis.intersections)
        for stage, analysis in stages.items()
    }
    return SimultaneousIntervals(
        section, bound=count_bound_comparisons(section, subgroups), intersections=large_enough
    )


def _by_facet(
    stage: Stage, analysis: StageAnalysis, *, looks: SimultaneousIntervals
) -> Iterator[BiasEstimate]:
    step, result = STEPS[stage], analysis.result
    if result is None:
        raise InputError(f"{step}'s analysis.json has no {stage}_bias_metrics")
    for facet, groups in sorted(result.facets.items()):
        for group in groups:
            name = group.value_or_threshold
            counts = analysis.facets.get(facet, {}).get(name)
            if counts is None:
                raise InputError(
                    f"{step}'s analysis.json has group {facet}={name}, which the contract does not "
                    "list as disadvantaged; both must come from the same run"
                )
            measures = {
                metric.name: _checked_measure(
                    metric, counts, source=f"{step}'s analysis.json", of=(facet, name)
                )
                for metric in group.metrics
            }
            subgroup = Subgroup(facet=facet, group=name)
            yield from subgroup_estimates(stage, subgroup, measures, counts=counts, looks=looks)


def _by_intersection(
    stage: Stage, intersections: Sequence[Intersection], *, looks: SimultaneousIntervals
) -> Iterator[BiasEstimate]:
    names = [name for name in stage_metrics(stage) if METRICS[name].compares]
    for subgroup, counts in intersections:
        measures = {name: measure(name, counts) for name in names}
        yield from subgroup_estimates(stage, subgroup, measures, counts=counts, looks=looks)


def subgroup_estimates(
    stage: Stage,
    subgroup: Subgroup,
    measures: Mapping[str, MetricValue],
    *,
    counts: Counts,
    looks: SimultaneousIntervals,
) -> Iterator[BiasEstimate]:
    """Yields metrics of one group with their intervals; small groups have no intervals.

    Below about 100 rows per group, a 95 % bootstrap interval has less than its nominal coverage
    (`verification.benchmarks.interval_coverage`).
    """
    section = looks.section
    looks_by_metric = {name: looks.over(stage, name, subgroup) for name in measures}
    large_enough = _is_large_enough(counts, section)
    bounds = intervals(
        [name for name in measures if name in METRICS and large_enough],
        counts,
        replicates=section.bootstrap_replicates,
        seed=section.seed,
        looks=looks_by_metric,
    )
    for name, point in measures.items():
        yield BiasEstimate(
            **dict(subgroup),
            stage=stage,
            metric=name,
            value=point.value,
            low=bounds[name].low if name in bounds else None,
            high=bounds[name].high if name in bounds else None,
            looks=looks_by_metric[name],
            error=point.error,
            n_disadvantaged=counts.n_disadvantaged,
            n_advantaged=counts.n_advantaged,
        )


def _is_large_enough(counts: Counts, section: BiasSection) -> bool:
    return min(counts.n_disadvantaged, counts.n_advantaged) >= section.minimum_group_size


def _checked_measure(
    metric: MetricResult, counts: Counts, *, source: str, of: tuple[str, str]
) -> MetricValue:
    """Returns the analysis's value, checked against our own formula where there is one."""
    # Clarify writes an infinity for x / 0, which is undefined here.
    value = metric.value if isinstance(metric.value, float) else None
    if metric.name not in METRICS:
        reason = (
            metric.error or f"the analysis has {metric.value or 'nothing'} in place of a number"
        )
        return MetricValue(value, "" if value is not None else reason)
    own = measure(metric.name, counts)
    if own.value is None or _differs_by_definition(metric.name, counts):
        return own
    if value is None or not math.isclose(value, own.value, abs_tol=_TOLERANCE):
        raise InputError(
            f"{source} says {metric.name} {of[0]}={of[1]} is {metric.value}, "
            f"but the data give {own.value:.6f}; both must come from the same run"
        )
    return MetricValue(value)


def _differs_by_definition(metric: str, counts: Counts) -> bool:
    lacks_a_label = not counts.cells.sum(axis=(0, 3)).all()
    return metric in _WHOLE_DISTRIBUTION and lacks_a_label
