"""An `analysis.json` and the counts of its data become estimates: value, interval, group sizes."""

import math
from collections.abc import Iterator, Mapping

from sashiko.clarify.analysis import MetricResult, StageResult
from sashiko.errors import InputError
from sashiko.gates.estimates import BiasEstimate
from sashiko.metrics.bias import METRICS, Measure, intervals, measure
from sashiko.metrics.bias_table import Stage
from sashiko.metrics.counts import Counts
from sashiko.recipe import BiasSection

STEPS: Mapping[Stage, str] = {"pre_training": "PreBias", "post_training": "PostBias"}
_TOLERANCE = 1e-6
# Clarify's library leaves out a label that one of the groups lacks; the definition does not.
_WHOLE_DISTRIBUTION = frozenset({"JS", "LP", "TVD", "KS"})


def stage_estimates(
    stage: Stage,
    result: StageResult | None,
    *,
    counted: Mapping[str, Mapping[str, Counts]],
    section: BiasSection,
) -> Iterator[BiasEstimate]:
    """Yields the metrics of one `analysis.json` with their intervals and group sizes.

    Args:
        stage: of the labels or of the predictions.
        result: what the analysis has of that stage.
        counted: facet -> group -> counts, of the rows that the analysis is of.
        section: replicates and seed of the bootstrap.

    Raises:
        InputError: if the analysis lacks the stage, or is of other groups, or of other data.
    """
    step = STEPS[stage]
    if result is None:
        raise InputError(f"{step}'s analysis.json has no {stage}_bias_metrics")
    for facet, groups in sorted(result.facets.items()):
        for group in groups:
            name = group.value_or_threshold
            counts = counted.get(facet, {}).get(name)
            if counts is None:
                raise InputError(
                    f"{step}'s analysis.json has group {facet}={name}, which is no disadvantaged "
                    "group of the contract; both must come from the same run"
                )
            ends = intervals(
                [metric.name for metric in group.metrics if metric.name in METRICS],
                counts,
                replicates=section.bootstrap_replicates,
                seed=section.seed,
            )
            for metric in group.metrics:
                found = _found(metric, counts, source=f"{step}'s analysis.json", of=(facet, name))
                yield BiasEstimate(
                    stage=stage,
                    metric=metric.name,
                    facet=facet,
                    group=name,
                    value=found.value,
                    low=ends[metric.name].low if metric.name in ends else None,
                    high=ends[metric.name].high if metric.name in ends else None,
                    error=found.error,
                    n_disadvantaged=counts.n_disadvantaged,
                    n_advantaged=counts.n_advantaged,
                )


def _found(metric: MetricResult, counts: Counts, *, source: str, of: tuple[str, str]) -> Measure:
    """Takes the analysis's value, held against our own formula where there is one."""
    # Clarify writes an infinity for x / 0, which is undefined here.
    value = metric.value if isinstance(metric.value, float) else None
    if metric.name not in METRICS:
        reason = metric.error or f"the analysis has no number but {metric.value or 'nothing'}"
        return Measure(value, "" if value is not None else reason)
    own = measure(metric.name, counts)
    if own.value is None or _defined_otherwise(metric.name, counts):
        return own
    if value is None or not math.isclose(value, own.value, abs_tol=_TOLERANCE):
        raise InputError(
            f"{source} says {metric.name} {of[0]}={of[1]} is {metric.value}, "
            f"but the data give {own.value:.6f}; both must come from the same run"
        )
    return Measure(value)


def _defined_otherwise(metric: str, counts: Counts) -> bool:
    lacks_a_label = not counts.cells.sum(axis=(0, 3)).all()
    return metric in _WHOLE_DISTRIBUTION and lacks_a_label
