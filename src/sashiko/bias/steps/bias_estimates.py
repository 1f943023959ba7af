"""Turns an `analysis.json` and the counts of its data into estimates with intervals."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.parquet import open_parquet
from sashiko.bias.clarify.analysis import AnalysisConfig, MetricResult, StageResult, Value
from sashiko.bias.clarify.contract_config import (
    NUMBER_COLUMNS,
    FacetGroup,
    facet_groups,
    intersections,
)
from sashiko.bias.clarify.counting import Column, Dataset, GroupCounts, count_groups, open_csv
from sashiko.bias.gates.estimates import (
    BiasEstimate,
    SimultaneousIntervals,
    Subgroup,
    count_bound_comparisons,
)
from sashiko.bias.metrics.bias_table import (
    METRICS,
    MetricValue,
    Stage,
    intervals,
    measure,
    stage_metrics,
)
from sashiko.bias.metrics.number_bias import (
    ABSTENTION_RATE,
    FEWEST_ROWS,
    NUMBER_METRICS,
    PredictedNumbers,
)
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Bools
from sashiko.evaluation.metrics.counts import Counts, tabulate
from sashiko.evaluation.metrics.numbers import exact_share
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.settings.recipe_bias import BiasSection

STEPS: Mapping[Stage, str] = {"pre_training": "PreBias", "post_training": "PostBias"}
_TOLERANCE = 1e-6
# Clarify's library ignores a label that one of the groups lacks, and joins all labels but the
# positive ones, contrary to the definition.
_WHOLE_DISTRIBUTION = frozenset({"JS", "KL", "LP", "TVD", "KS"})
# Metrics of each class against all others: its share of the predictions, recall and precision.
_BY_CLASS = ("DPPL", "DI", "RD", "DAR")
_UNKNOWN_GROUP = FacetGroup("not in the contract", (), disadvantaged=False)
# A combination of groups, such as `gender=Female & age_band=60+`, and the counts of its rows and
# of all others.
Intersection = tuple[Subgroup, Counts]


def count_intersections(
    contract: Contract, section: BiasSection, *, data: Dataset, group_counts: GroupCounts
) -> tuple[Intersection, ...]:
    """Counts each combination of groups against all other rows, in one pass per facet set.

    Combinations without rows are included, so that a gate reports them as too small. Rows that lack
    one of the facets belong to no combination.
    """
    gated = [gate.facets for gate in section.gates]
    sets = intersections(contract, depth=section.intersection_depth, gated=gated)
    encoded = {
        column.name: _encode(column, facet_groups(contract, facet.column))
        for facet, column in zip(contract.facets, data.facets, strict=True)
        if any(facet.column in facets for facets in sets)
    }
    counted: list[Intersection] = []
    for facets in sets:
        codes, complete = np.zeros(1, np.int64), np.ones(1, np.bool_)
        for facet in facets:
            groups, facet_codes = encoded[facet]
            codes = codes * len(groups) + facet_codes
            complete = complete & (facet_codes >= 0)
        combinations = list(product(*(encoded[facet][0] for facet in facets)))
        table = tabulate(
            np.where(complete, codes, -1),
            group_counts.outcomes.labels,
            group_counts.outcomes.predicted,
            values=len(combinations),
            positive=group_counts.outcomes.positive,
            strata=group_counts.strata,
            counts=data.counts,
        )
        for mask, groups in zip(np.eye(len(combinations), dtype=bool), combinations, strict=True):
            subgroup = Subgroup(
                facet=facets,
                group=tuple(group.name for group in groups),
                disadvantaged=any(group.disadvantaged for group in groups),
            )
            counted.append((subgroup, table.one_vs_rest(mask)))
    return tuple(counted)


def _encode(
    column: Column, groups: tuple[FacetGroup, ...]
) -> tuple[tuple[FacetGroup, ...], npt.NDArray[np.int8]]:
    """Returns the groups, and the index of each row's group, -1 for none."""
    numbers = {value: place for place, group in enumerate(groups) for value in group.values}
    indices = pc.index_in(column.values, value_set=pa.array(numbers, pa.string()))
    unknown = pc.and_(pc.is_null(indices), pc.is_valid(column.values))
    if pc.any(unknown).as_py():
        groups = (*groups, _UNKNOWN_GROUP)
    codes = np.array([*numbers.values(), -1], np.int8)[
        np.asarray(pc.fill_null(indices, len(numbers)))
    ]
    codes[np.asarray(unknown)] = len(groups) - 1
    return groups, codes


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
        names = [name for name in stage_metrics(stage) if METRICS[name].compares]
        for subgroup, counts in analysis.intersections:
            measures = {name: measure(name, counts) for name in names}
            yield from subgroup_estimates(stage, subgroup, measures, counts=counts, looks=looks)


def estimate_by_class(
    section: BiasSection, config: AnalysisConfig, data: Dataset, *, outcomes: Sequence[Value]
) -> Iterator[BiasEstimate]:
    """Yields metrics of the predictions with each class in turn as the positive label, by facet.

    The intervals of a metric hold simultaneously over all classes and groups with enough rows,
    since a reader looks for the worst. `outcomes` are the values of the classes in the data.
    """
    counted = []
    for outcome in outcomes:
        one = config.model_copy(update={"label_values_or_threshold": (outcome,)})
        for facet, groups in count_groups(one, data).facets.items():
            for name, counts in groups.items():
                cells = counts.collapse_strata().collapse_labels()
                counted.append((str(outcome), Subgroup(facet=facet, group=name), cells))
    family = sum(_is_large_enough(cells, section) for _, _, cells in counted)
    for outcome, subgroup, cells in counted:
        measures = {name: measure(name, cells) for name in _BY_CLASS}
        for item in _with_intervals(
            "post_training", subgroup, measures, counts=cells, section=section,
            looks=dict.fromkeys(_BY_CLASS, max(1, family)),
        ):  # fmt: skip
            yield item.model_copy(update={"outcome": outcome})


def estimate_numbers(
    contract: Contract, section: BiasSection, data_file: Path, *, looks: SimultaneousIntervals
) -> Iterator[BiasEstimate]:
    """Yields the metrics of a number's predictions, from BiasInput's CSV, as `number_estimates`."""
    numbers, facets = read_numbers(data_file, [facet.column for facet in contract.facets])
    yield from number_estimates(contract, section, numbers, facets, looks=looks)


def read_numbers(
    data_file: Path, facets: Sequence[str]
) -> tuple[PredictedNumbers, dict[str, pa.ChunkedArray]]:
    """Reads a number's rows from BiasInput's CSV, and their facets by column."""
    table = open_csv(data_file)
    rows = pa.concat_tables(table.read([*NUMBER_COLUMNS, *facets]))
    values, predicted, covered = (
        rows[name].cast(pa.float64()).to_numpy() for name in NUMBER_COLUMNS
    )
    numbers = PredictedNumbers(values, predicted, covered == 1)
    return numbers, {facet: rows[facet] for facet in facets}


def number_estimates(
    contract: Contract,
    section: BiasSection,
    numbers: PredictedNumbers,
    facets: Mapping[str, pa.ChunkedArray],
    *,
    looks: SimultaneousIntervals,
) -> Iterator[BiasEstimate]:
    """Yields the metrics of a number's predictions by group of each facet, of these values."""
    names = tuple(NUMBER_METRICS)
    yield from _own_estimates(contract, section, names, numbers.of_group, facets, looks=looks)


def estimate_abstention(
    contract: Contract, section: BiasSection, answered_file: Path, *, looks: SimultaneousIntervals
) -> Iterator[BiasEstimate]:
    """Yields the share of rows without an answer by group of each facet, with exact intervals."""
    rows = open_parquet(answered_file).read()
    missing = rows["answered"].to_numpy() == 0

    def measure(group: Bools, *, looks: int) -> dict[str, Estimate]:
        return {ABSTENTION_RATE: exact_share(missing[group], looks=looks)}

    facets = {facet.column: rows[facet.column] for facet in contract.facets}
    yield from _own_estimates(contract, section, (ABSTENTION_RATE,), measure, facets, looks=looks)


def _own_estimates(
    contract: Contract,
    section: BiasSection,
    names: Sequence[str],
    measure: Callable[..., dict[str, Estimate]],
    facets: Mapping[str, pa.ChunkedArray],
    *,
    looks: SimultaneousIntervals,
) -> Iterator[BiasEstimate]:
    """Yields metrics that are not Clarify's, by group of each facet.

    The disadvantaged group is one of the groups, and each other value. A reader looks for the
    worst of them, so a metric's intervals hold over all that have enough rows; others have none.
    `measure` takes whether each row is of the group, and the number of `looks`.
    """
    members = [
        (facet, group, np.asarray(pc.is_in(values, pa.array(group.values)), dtype=np.bool_))
        for facet, values in facets.items()
        for group in facet_groups(contract, facet)
    ]
    sizes = [(int(own.sum()), int((~own).sum())) for _, _, own in members]
    judged = [min(size) >= max(section.minimum_group_size, FEWEST_ROWS) for size in sizes]
    family = max(1, sum(judged), looks.bound)
    for (facet, group, own), (inside, outside), enough in zip(members, sizes, judged, strict=True):
        subgroup = Subgroup(facet=facet, group=group.name, disadvantaged=group.disadvantaged)
        measurable = min(inside, outside) >= FEWEST_ROWS
        measures = measure(own, looks=family) if measurable else {}
        for name in names:
            point = measures.get(name)
            yield BiasEstimate(
                **dict(subgroup),
                stage="post_training",
                metric=name,
                value=point.value if point else None,
                low=point.low if point and enough else None,
                high=point.high if point and enough else None,
                looks=family,
                error="" if point else "the group or all others have fewer than two rows",
                n_disadvantaged=inside,
                n_advantaged=outside,
            )


def looks_of(section: BiasSection, stages: Mapping[Stage, StageAnalysis]) -> SimultaneousIntervals:
    """Counts the comparisons, which determine the width of the intervals."""
    subgroups = [pair[0] for analysis in stages.values() for pair in analysis.subgroups()]
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
    source, result = f"{STEPS[stage]}'s analysis.json", analysis.result
    if result is None:
        raise InputError(f"{source} has no {stage}_bias_metrics")
    for facet, groups in sorted(result.facets.items()):
        for group in groups:
            name = group.value_or_threshold
            counts = analysis.facets.get(facet, {}).get(name)
            if counts is None:
                raise InputError(
                    f"{source} has group {facet}={name}, which the contract does not list as "
                    "disadvantaged; both must come from the same run"
                )
            measures = {
                metric.name: _checked_measure(metric, counts, f"{source} says", f"{facet}={name}")
                for metric in group.metrics
            }
            subgroup = Subgroup(facet=facet, group=name)
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
    looks_by_metric = {name: looks.over(stage, name, subgroup) for name in measures}
    return _with_intervals(
        stage, subgroup, measures, counts=counts, section=looks.section, looks=looks_by_metric
    )


def _with_intervals(
    stage: Stage,
    subgroup: Subgroup,
    measures: Mapping[str, MetricValue],
    *,
    counts: Counts,
    section: BiasSection,
    looks: Mapping[str, int],
) -> Iterator[BiasEstimate]:
    large_enough = _is_large_enough(counts, section)
    bounds = intervals(
        [name for name in measures if name in METRICS and large_enough],
        counts,
        replicates=section.bootstrap_replicates,
        seed=section.seed,
        looks=looks,
    )
    for name, point in measures.items():
        yield BiasEstimate(
            **dict(subgroup),
            stage=stage,
            metric=name,
            value=point.value,
            low=bounds[name].low if name in bounds else None,
            high=bounds[name].high if name in bounds else None,
            looks=looks[name],
            error=point.error,
            n_disadvantaged=counts.n_disadvantaged,
            n_advantaged=counts.n_advantaged,
        )


def _is_large_enough(counts: Counts, section: BiasSection) -> bool:
    return min(counts.n_disadvantaged, counts.n_advantaged) >= section.minimum_group_size


def _checked_measure(
    metric: MetricResult, counts: Counts, source: str, subgroup: str
) -> MetricValue:
    """Returns the analysis's value, checked against our own formula where there is one."""
    # Clarify writes an infinity for x / 0, which is undefined here.
    value = metric.value if isinstance(metric.value, float) else None
    if metric.name not in METRICS:
        unknown = f"the analysis has {metric.value or 'nothing'} in place of a number"
        return MetricValue(value, "" if value is not None else metric.error or unknown)
    own = measure(metric.name, counts)
    joins_labels = not counts.cells.sum(axis=(0, 3)).all() or counts.cells.shape[2] > 2
    if own.value is None or (joins_labels and metric.name in _WHOLE_DISTRIBUTION):
        return own
    if value is None or not math.isclose(value, own.value, abs_tol=_TOLERANCE):
        raise InputError(
            f"{source} {metric.name} {subgroup} is {metric.value}, but the data give "
            f"{own.value:.6f}; both must come from the same run"
        )
    return MetricValue(value)
