"""An `analysis.json` and the counts of its data become estimates: value, interval, group sizes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sashiko.clarify.bias.analysis import MetricResult, StageResult
from sashiko.clarify.bias.counting import Counted
from sashiko.clarify.bias.dataset import Dataset
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.evaluation.gates.estimates import BiasEstimate, Subgroup
from sashiko.evaluation.gates.intersections import SimultaneousIntervals, count_bound_comparisons
from sashiko.evaluation.metrics.bias import METRICS, MetricValue, intervals, measure, stage_metrics
from sashiko.evaluation.metrics.bias_table import Stage
from sashiko.evaluation.metrics.counts import Counts
from sashiko.settings.bias import BiasSection
from sashiko.steps.intersections import Intersection, count_intersections

STEPS: Mapping[Stage, str] = {"pre_training": "PreBias", "post_training": "PostBias"}
_TOLERANCE = 1e-6
# Clarify's library leaves out a label that one of the groups lacks; the definition does not.
_WHOLE_DISTRIBUTION = frozenset({"JS", "LP", "TVD", "KS"})


@dataclass(frozen=True)
class Analysed:
    """The labels or the predictions of some rows.

    Attributes:
        result: what an `analysis.json` has of them.
        facets: facet -> group -> its rows and everyone else's.
        intersections: the combinations of groups.
    """

    result: StageResult | None
    facets: Mapping[str, Mapping[str, Counts]]
    intersections: tuple[Intersection, ...]

    def subgroups(self) -> Iterator[tuple[Subgroup, Counts]]:
        """Yields every group of every facet, then every combination, with its counts."""
        for facet, groups in self.facets.items():
            for name, counts in groups.items():
                yield Subgroup(facet=facet, group=name), counts
        yield from ((one.subgroup, one.counts) for one in self.intersections)


def analysed(
    contract: Contract,
    section: BiasSection,
    result: StageResult | None,
    *,
    data: Dataset,
    counted: Counted,
) -> Analysed:
    """Counts what an analysis does not: the intersections. Nothing of the rows is kept.

    Args:
        contract: names the facets and their groups.
        section: how many facets are combined, and what its gates name.
        result: what an `analysis.json` has of the rows.
        data: the rows.
        counted: what was counted of them, facet by facet.
    """
    crossed = count_intersections(contract, section, data=data, counted=counted)
    return Analysed(result, counted.facets, crossed)


def estimates(section: BiasSection, stages: Mapping[Stage, Analysed]) -> Iterator[BiasEstimate]:
    """Yields each stage's metrics by facet, as the analysis has them, then by intersection.

    Args:
        section: the recipe's gates, replicates, seed and smallest group.
        stages: what was analysed.

    Raises:
        InputError: if an analysis lacks its stage, or is of other groups, or of other data.
    """
    looks = looks_of(section, stages)
    for stage, one in stages.items():
        yield from _by_facet(stage, one, looks=looks)
        yield from _by_intersection(stage, one.intersections, looks=looks)


def looks_of(section: BiasSection, stages: Mapping[Stage, Analysed]) -> SimultaneousIntervals:
    """Counts what is looked at, which is how wide the intervals must be.

    Args:
        section: the recipe's gates and its smallest group.
        stages: what was analysed.
    """
    judged: list[Subgroup] = []
    if "post_training" in stages:
        judged = [subgroup for subgroup, _ in stages["post_training"].subgroups()]
    enough = {
        stage: sum(_enough(one.counts, section) for one in of.intersections)
        for stage, of in stages.items()
    }
    return SimultaneousIntervals(
        section, bound=count_bound_comparisons(section, judged), intersections=enough
    )


def _by_facet(
    stage: Stage, analysed: Analysed, *, looks: SimultaneousIntervals
) -> Iterator[BiasEstimate]:
    step, result = STEPS[stage], analysed.result
    if result is None:
        raise InputError(f"{step}'s analysis.json has no {stage}_bias_metrics")
    for facet, groups in sorted(result.facets.items()):
        for group in groups:
            name = group.value_or_threshold
            counts = analysed.facets.get(facet, {}).get(name)
            if counts is None:
                raise InputError(
                    f"{step}'s analysis.json has group {facet}={name}, which is no disadvantaged "
                    "group of the contract; both must come from the same run"
                )
            found = {
                metric.name: _found(
                    metric, counts, source=f"{step}'s analysis.json", of=(facet, name)
                )
                for metric in group.metrics
            }
            subgroup = Subgroup(facet=facet, group=name)
            yield from subgroup_estimates(stage, subgroup, found, counts=counts, looks=looks)


def _by_intersection(
    stage: Stage, crossed: Sequence[Intersection], *, looks: SimultaneousIntervals
) -> Iterator[BiasEstimate]:
    names = [name for name in stage_metrics(stage) if METRICS[name].compares]
    for one in crossed:
        found = {name: measure(name, one.counts) for name in names}
        yield from subgroup_estimates(stage, one.subgroup, found, counts=one.counts, looks=looks)


def subgroup_estimates(
    stage: Stage,
    subgroup: Subgroup,
    found: Mapping[str, MetricValue],
    *,
    counts: Counts,
    looks: SimultaneousIntervals,
) -> Iterator[BiasEstimate]:
    """Yields metrics of one group with their intervals; none where too few rows would mislead.

    Below some 100 rows a group a 95 % bootstrap interval covers the truth less often than it says,
    so a group that is too small to judge has values and no intervals
    (`verification.benchmarks.interval_coverage`).

    Args:
        stage: of the labels or of the predictions.
        subgroup: the group.
        found: metric -> its value.
        counts: of the group and of everyone else.
        looks: what must hold at once, with replicates and seed of the bootstrap.
    """
    section = looks.section
    over = {name: looks.over(stage, name, subgroup) for name in found}
    enough = _enough(counts, section)
    ends = intervals(
        [name for name in found if name in METRICS and enough],
        counts,
        replicates=section.bootstrap_replicates,
        seed=section.seed,
        looks=over,
    )
    for name, measured in found.items():
        yield BiasEstimate(
            **dict(subgroup),
            stage=stage,
            metric=name,
            value=measured.value,
            low=ends[name].low if name in ends else None,
            high=ends[name].high if name in ends else None,
            looks=over[name],
            error=measured.error,
            n_disadvantaged=counts.n_disadvantaged,
            n_advantaged=counts.n_advantaged,
        )


def _enough(counts: Counts, section: BiasSection) -> bool:
    return min(counts.n_disadvantaged, counts.n_advantaged) >= section.minimum_group_size


def _found(
    metric: MetricResult, counts: Counts, *, source: str, of: tuple[str, str]
) -> MetricValue:
    """Takes the analysis's value, held against our own formula where there is one."""
    # Clarify writes an infinity for x / 0, which is undefined here.
    value = metric.value if isinstance(metric.value, float) else None
    if metric.name not in METRICS:
        reason = metric.error or f"the analysis has no number but {metric.value or 'nothing'}"
        return MetricValue(value, "" if value is not None else reason)
    own = measure(metric.name, counts)
    if own.value is None or _defined_otherwise(metric.name, counts):
        return own
    if value is None or not math.isclose(value, own.value, abs_tol=_TOLERANCE):
        raise InputError(
            f"{source} says {metric.name} {of[0]}={of[1]} is {metric.value}, "
            f"but the data give {own.value:.6f}; both must come from the same run"
        )
    return MetricValue(value)


def _defined_otherwise(metric: str, counts: Counts) -> bool:
    lacks_a_label = not counts.cells.sum(axis=(0, 3)).all()
    return metric in _WHOLE_DISTRIBUTION and lacks_a_label
