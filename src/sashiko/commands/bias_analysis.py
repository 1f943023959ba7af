"""The analysis of `sashiko bias`, and its text output."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sashiko.base.files import sha256_tree
from sashiko.bias.clarify.analysis import Analysis, StageResult
from sashiko.bias.clarify.contract_intersections import (
    MOST_COMBINATIONS,
    combination_count,
    intersections,
)
from sashiko.bias.clarify.counting import count_groups
from sashiko.bias.gates.advice import Mitigation
from sashiko.bias.gates.bias import bias_checks, small_groups_reason
from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.bias.gates.intersections import (
    REPORTED_METRICS,
    comparable,
    looks_text,
    sort_worst_first,
)
from sashiko.bias.metrics.bias import METRICS
from sashiko.bias.metrics.bias_table import Stage
from sashiko.bias.steps.bias import analyse
from sashiko.bias.steps.bias_estimates import analyse_stage, estimate_bias
from sashiko.bias.steps.judge_bias import check_gates
from sashiko.commands.bias_file import file_config, file_dataset
from sashiko.commands.bias_predictions import Predictions
from sashiko.contract.model import Contract
from sashiko.evaluation.gates.verdict import Verdict, decide
from sashiko.settings.bias import BiasSection
from sashiko.settings.recipe import Recipe

_TITLES: tuple[tuple[Stage, str], ...] = (
    ("pre_training", "of the labels"),
    ("post_training", "of the predictions"),
)


@dataclass(frozen=True)
class FileAnalysis:
    """The bias of a file."""

    analysis: Analysis  # what Clarify's `analysis.json` holds
    estimates: tuple[BiasEstimate, ...]  # the same metrics with intervals and group sizes


def analyse_file(
    contract: Contract, data_file: Path, predictions: Predictions | None, *, section: BiasSection
) -> FileAnalysis:
    """Analyses a file by all facets of its contract.

    Raises:
        InputError: as `file_dataset` does.
    """
    section = _feasible(section, contract)
    config = file_config(contract, predicted=predictions is not None)
    data = file_dataset(contract, data_file, predictions)
    counts = count_groups(config, data)
    analysis = analyse(config, counts)
    results: dict[Stage, StageResult | None] = {
        "pre_training": analysis.pre_training_bias_metrics,
        "post_training": analysis.post_training_bias_metrics,
    }
    stages = {
        stage: analyse_stage(contract, section, result, data=data, group_counts=counts)
        for stage, result in results.items()
        if result
    }
    bias_estimates = estimate_bias(section, stages)
    return FileAnalysis(analysis, tuple(bias_estimates))


def _feasible(section: BiasSection, contract: Contract) -> BiasSection:
    """Drops intersections with too many combinations; a recipe with them is refused earlier."""
    gated = [gate.facets for gate in section.gates]
    combinations = intersections(contract, depth=section.intersection_depth, gated=gated)
    count = combination_count(contract, combinations)
    if count <= MOST_COMBINATIONS:
        return section
    print(
        f"the facets have {count:,} combinations of groups, more than {MOST_COMBINATIONS}: "
        "intersections are left out, but for those that a gate names",
        file=sys.stderr,
    )
    return section.model_copy(update={"intersection_depth": 1})


def file_verdict(
    analysis: FileAnalysis, contract: Contract, recipe: Recipe, *, inputs: dict[str, Path]
) -> Verdict:
    """Judges the predictions by a recipe's gates.

    Raises:
        InputError: if a gate is on no facet of the contract.
    """
    check_gates(recipe.bias, contract)
    mitigation = Mitigation(reweighing=recipe.reweighing, threshold=recipe.evaluate.threshold)
    return decide(
        gate="bias",
        checks=bias_checks(recipe.bias, analysis.estimates, mitigation),
        inputs={name: sha256_tree(path) for name, path in inputs.items()},
    )


def text(analysis: FileAnalysis, *, minimum_group_size: int) -> Iterator[str]:
    """Yields the lines of the text output: by group and metric, then the intersections."""
    single = [estimate for estimate in analysis.estimates if not estimate.is_intersection]
    for group in dict.fromkeys(estimate.subgroup for estimate in single):
        of_group = [item for item in single if item.subgroup == group]
        first = of_group[0]
        yield (f"{group}: {first.n_disadvantaged:,} rows against {first.n_advantaged:,} others")
        if warning := small_groups_reason(first, minimum_group_size):
            yield f"  {warning}"
        for stage, title in _TITLES:
            rows = [item for item in of_group if item.stage == stage]
            if rows:
                yield f"  {title}"
                yield from (f"    {_line(item)}" for item in rows)
        yield ""
    yield from _intersections(analysis, minimum_group_size=minimum_group_size)


def _intersections(analysis: FileAnalysis, *, minimum_group_size: int) -> Iterator[str]:
    for stage, title in _TITLES:
        for metric in REPORTED_METRICS[stage]:
            rows = sort_worst_first(analysis.estimates, metric)
            if not rows:
                continue
            yield f"intersections {title}, the worst off by {metric} first"
            if compared := [item for item in rows if comparable(item)]:
                yield f"  the intervals of all {looks_text(compared)} hold at once"
            for item in rows:
                few = small_groups_reason(item, minimum_group_size)
                yield f"    {item.subgroup}, {item.n_disadvantaged:,} rows"
                yield f"      {few or _line(item)}"
            yield ""


def _line(item: BiasEstimate) -> str:
    name = f"{item.metric:<6}"
    if item.value is None:
        return f"{name}undefined: {item.error}"
    ends = "no interval" if item.low is None else f"[{item.low:.3f}, {item.high:.3f}]"
    return f"{name}{item.value:>7.3f}  {ends:<17} {METRICS[item.metric].description}"
