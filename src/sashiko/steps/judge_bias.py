"""JudgeBias: holds the bias of the predictions against the recipe's bounds.

    python -m sashiko.steps.judge_bias

Inputs `config` (contract, bias), `pre-analysis` and `post-analysis` (`analysis.json` of the two
bias steps) and `data` (BiasInput's CSV); outputs `verdict` (`verdict.json`, gate "bias") and
`intervals` (`intervals.json`: every metric, facet and group of both analyses, which lie beside it
for the registry).

Values come from `analysis.json`, whoever wrote it, and intervals from the counts in the CSV. Where
our own formula on the CSV gives another value, the two are not of the same data and the step ends
with an error.
"""

import argparse
import math
import shutil
import sys
from collections.abc import Mapping

from sashiko.clarify.analysis import Analysis, MetricResult, read_analysis
from sashiko.clarify.config import AnalysisConfig
from sashiko.clarify.counting import group_counts
from sashiko.clarify.dataset import read_dataset
from sashiko.contract.bias_config import analysis_config
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.files import sha256_tree
from sashiko.gates.bias import bias_checks
from sashiko.gates.estimates import (
    POST_ANALYSIS_FILE,
    PRE_ANALYSIS_FILE,
    BiasEstimate,
    write_estimates,
)
from sashiko.gates.verdict import decide, write_verdict
from sashiko.metrics.bias import METRICS, intervals, measure
from sashiko.metrics.counts import Counts
from sashiko.metrics.uncertainty import Interval
from sashiko.paths import processing_input, processing_output
from sashiko.recipe import BiasSection
from sashiko.sections import read_contract, read_section
from sashiko.steps.entry import run_step

_INPUTS = ("pre-analysis", "post-analysis", "data")
_TOLERANCE = 1e-6


def main() -> None:
    """Writes the bias verdict and the table of all bias metrics."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    contract = read_contract()
    section = read_section(BiasSection, "bias")
    check_gates(section, contract)

    config = AnalysisConfig.model_validate(analysis_config(contract, kind="post"))
    table = read_dataset(config, processing_input("data"))
    estimates = [
        *label_estimates(read_analysis(processing_input("pre-analysis"))),
        *prediction_estimates(
            read_analysis(processing_input("post-analysis")),
            counted=group_counts(config, table),
            section=section,
        ),
    ]
    write_estimates(estimates, processing_output("intervals"))
    for name, file in (("pre-analysis", PRE_ANALYSIS_FILE), ("post-analysis", POST_ANALYSIS_FILE)):
        shutil.copyfile(
            processing_input(name) / "analysis.json", processing_output("intervals") / file
        )
    verdict = decide(
        gate="bias",
        checks=bias_checks(section, estimates),
        inputs={name: sha256_tree(processing_input(name)) for name in _INPUTS},
    )
    write_verdict(verdict, processing_output("verdict"))
    print(verdict.summary, file=sys.stderr)


def check_gates(section: BiasSection, contract: Contract) -> None:
    """Refuses a gate on what is not a facet of the contract.

    Raises:
        InputError: naming the key of the recipe and the contract's facets.
    """
    known = [facet.column for facet in contract.facets]
    for number, gate in enumerate(section.gates):
        if gate.facet not in known:
            raise InputError(
                f"recipe key bias.gates.{number}.facet: `{gate.facet}` is not a facet of the "
                f"contract, whose facets are {', '.join(known)}"
            )


def label_estimates(analysis: Analysis) -> list[BiasEstimate]:
    """Returns the metrics of the labels; they are of the whole snapshot and have no interval."""
    stage = analysis.pre_training_bias_metrics
    if stage is None:
        raise InputError("PreBias's analysis.json has no pre_training_bias_metrics")
    return [
        BiasEstimate(
            stage="pre_training",
            metric=metric.name,
            facet=facet,
            group=group.value_or_threshold,
            value=_number(metric),
            error=_error(metric),
        )
        for facet, results in sorted(stage.facets.items())
        for group in results
        for metric in group.metrics
    ]


def prediction_estimates(
    analysis: Analysis, *, counted: Mapping[str, Mapping[str, Counts]], section: BiasSection
) -> list[BiasEstimate]:
    """Returns the metrics of the predictions with their intervals.

    Args:
        analysis: PostBias's.
        counted: facet -> group -> counts, of the CSV that PostBias read.
        section: replicates and seed of the bootstrap.

    Raises:
        InputError: if the analysis is of other groups, or of other data, than the CSV.
    """
    stage = analysis.post_training_bias_metrics
    if stage is None:
        raise InputError("PostBias's analysis.json has no post_training_bias_metrics")
    estimates = []
    for facet, results in sorted(stage.facets.items()):
        for group in results:
            name = group.value_or_threshold
            counts = counted.get(facet, {}).get(name)
            if counts is None:
                raise InputError(
                    f"PostBias's analysis.json has group {facet}={name}, which is no disadvantaged "
                    "group of the contract; both must come from the same run"
                )
            ends = intervals(
                [metric.name for metric in group.metrics if metric.name in METRICS],
                counts,
                replicates=section.bootstrap_replicates,
                seed=section.seed,
            )
            estimates += [
                _estimate(metric, facet=facet, group=name, counts=counts, ends=ends)
                for metric in group.metrics
            ]
    return estimates


def _estimate(
    metric: MetricResult, *, facet: str, group: str, counts: Counts, ends: Mapping[str, Interval]
) -> BiasEstimate:
    value, error = _number(metric), _error(metric)
    if metric.name in METRICS:
        own = measure(metric.name, counts)
        if own.value is None:
            value, error = None, own.error
        elif value is None or not math.isclose(value, own.value, abs_tol=_TOLERANCE):
            raise InputError(
                f"PostBias's analysis.json says {metric.name} {facet}={group} is {metric.value}, "
                f"but the data give {own.value:.6f}; both must come from the same run"
            )
    found = ends.get(metric.name)
    return BiasEstimate(
        stage="post_training",
        metric=metric.name,
        facet=facet,
        group=group,
        value=value,
        low=found.low if found else None,
        high=found.high if found else None,
        error=error,
        n_disadvantaged=counts.n_disadvantaged,
        n_advantaged=counts.n_advantaged,
    )


def _number(metric: MetricResult) -> float | None:
    """Returns the value; an infinity, which Clarify writes for x / 0, is undefined here."""
    return metric.value if isinstance(metric.value, float) else None


def _error(metric: MetricResult) -> str:
    if _number(metric) is not None:
        return ""
    return metric.error or f"the analysis has no number but {metric.value or 'nothing'}"


if __name__ == "__main__":
    run_step(main)
