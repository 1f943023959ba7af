"""The analysis of `sashiko bias`, and its text output."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.files import sha256_tree
from sashiko.base.joining import positions, unique_keys
from sashiko.bias.clarify.analysis import Analysis, StageResult
from sashiko.bias.clarify.config import CSV, AnalysisConfig
from sashiko.bias.clarify.contract_config import PREDICTED_LABEL, analysis_config
from sashiko.bias.clarify.contract_intersections import (
    MOST_COMBINATIONS,
    combination_count,
    intersections,
)
from sashiko.bias.clarify.counting import count_groups
from sashiko.bias.clarify.dataset import Column, Dataset
from sashiko.bias.gates.advice import Mitigation
from sashiko.bias.gates.bias_gate import bias_checks, small_groups_reason
from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.bias.gates.intersections import (
    REPORTED_METRICS,
    comparable,
    looks_text,
    sort_worst_first,
)
from sashiko.bias.metrics.bias_table import Stage
from sashiko.bias.metrics.clarify_metrics import METRICS
from sashiko.bias.steps.bias_estimates import analyse_stage, estimate_bias
from sashiko.bias.steps.clarify_bias import analyse
from sashiko.bias.steps.judge_bias import check_gates
from sashiko.commands.bias_predictions import SEEN, Predictions, read_predictions
from sashiko.commands.bias_rows import contract_rows
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Verdict, decide
from sashiko.settings.recipe import Recipe
from sashiko.settings.recipe_bias import BiasSection

_TITLES: tuple[tuple[Stage, str], ...] = (
    ("pre_training", "of the labels"),
    ("post_training", "of the predictions"),
)


def file_config(contract: Contract, *, predicted: bool) -> AnalysisConfig:
    """Returns the analysis of a contract's label by its facets: all metrics.

    Raises:
        InputError: if the contract has no facets.
    """
    if not contract.facets:
        raise InputError(
            f"contract `{contract.id}` has no facets, so there is no group to compare; name a "
            "sensitive column under `facets`"
        )
    label_option = {"predicted_label": PREDICTED_LABEL} if predicted else {}
    stages = ["pre_training_bias", *(["post_training_bias"] if predicted else [])]
    return AnalysisConfig.model_validate(
        {
            "dataset_type": CSV,
            "label": contract.label.column,
            "label_values_or_threshold": [contract.label.positive],
            "facet": analysis_config(contract, kind="post")["facet"],
            "methods": {stage: {"methods": "all"} for stage in stages},
            **label_option,
        }
    )


def file_dataset(contract: Contract, data: Path, prediction_file: Predictions | None) -> Dataset:
    """Reads label, facets and group variable of a file or folder, and joins the predictions.

    The file may have the contract's names or the physical ones. Where there are predictions, the
    rows that have one are analysed.

    Raises:
        InputError: if a file cannot be read or lacks a column, a label is none of the contract, a
            prediction is no label or has no row in the data, or a key occurs twice.
    """
    facets = [facet.column for facet in contract.facets]
    group = contract.group_variable
    needed = [contract.label.column, *facets, *([] if group is None else [group])]
    rows = contract_rows(
        data, contract, needed if prediction_file is None else [contract.key, *needed]
    )
    _check_labels(rows, contract, source=data)
    predicted = None
    if prediction_file is not None:
        predictions = read_predictions(prediction_file, contract)
        keys = unique_keys(rows, contract.key, source=data)
        predicted_keys = unique_keys(predictions, contract.key, source=prediction_file.path)
        rows = rows.take(
            positions(predicted_keys, keys, source=prediction_file.path, among_source=data)
        )
        _check_same(rows, predictions, contract, source=prediction_file.path, among_source=data)
        predicted = Column(PREDICTED_LABEL, predictions[PREDICTED_LABEL], prediction_file.path)
        print(
            f"{len(predicted_keys):,} of the {len(keys):,} rows of {data} have a prediction: these "
            "are analysed",
            file=sys.stderr,
        )
    return Dataset(
        label=Column(contract.label.column, rows[contract.label.column], data),
        predicted=predicted,
        facets=tuple(Column(name, rows[name], data) for name in facets),
        # Rows without one are compared with each other.
        group=None if group is None else Column(group, pc.fill_null(rows[group], ""), data),
    )


def _check_labels(rows: pa.Table, contract: Contract, *, source: Path) -> None:
    labels = rows[contract.label.column]
    allowed = [contract.label.positive, contract.label.negative]
    invalid = labels.filter(pc.invert(pc.is_in(labels, pa.array(allowed))))
    if len(invalid):
        raise InputError(
            f"{source}: column `{contract.label.column}` has {len(invalid)} labels of "
            f"{len(labels)}, such as {invalid[0].as_py()!r}, that are not of the contract: "
            f"{' or '.join(allowed)}"
        )


def _check_same(
    rows: pa.Table, predictions: pa.Table, contract: Contract, *, source: Path, among_source: Path
) -> None:
    """Compares the labels of a run's file with those of the data."""
    if SEEN not in predictions.column_names:
        return
    mismatches = pc.sum(pc.not_equal(predictions[SEEN], rows[contract.label.column])).as_py()
    if mismatches:
        raise InputError(
            f"{source}: {mismatches} labels of {len(rows)} differ from column "
            f"`{contract.label.column}` of {among_source}; both must be of the same data"
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
