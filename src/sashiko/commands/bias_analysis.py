"""What `sashiko bias` works out, and how it puts it for a person to read."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sashiko.clarify.analysis import Analysis
from sashiko.clarify.counting import group_counts
from sashiko.commands.bias_file import file_config, file_dataset
from sashiko.commands.bias_predictions import Predictions
from sashiko.contract.model import Contract
from sashiko.files import sha256_tree
from sashiko.gates.bias import bias_checks, too_few
from sashiko.gates.estimates import BiasEstimate
from sashiko.gates.verdict import Verdict, decide
from sashiko.metrics.bias import METRICS
from sashiko.metrics.bias_table import Stage
from sashiko.recipe import BiasSection
from sashiko.steps.bias import analyse
from sashiko.steps.bias_estimates import stage_estimates
from sashiko.steps.judge_bias import check_gates

_TITLES: tuple[tuple[Stage, str], ...] = (
    ("pre_training", "of the labels"),
    ("post_training", "of the predictions"),
)


@dataclass(frozen=True)
class FileAnalysis:
    """The bias of a file.

    Attributes:
        analysis: what Clarify's `analysis.json` holds.
        estimates: the same metrics with intervals and group sizes.
    """

    analysis: Analysis
    estimates: tuple[BiasEstimate, ...]


def analyse_file(
    contract: Contract, data: Path, told: Predictions | None, *, section: BiasSection
) -> FileAnalysis:
    """Analyses a file by all facets of its contract.

    Args:
        contract: the data's.
        data: a file or a folder.
        told: the predictions, if there are any.
        section: replicates and seed of the intervals.

    Raises:
        InputError: as `file_dataset` does.
    """
    config = file_config(contract, predicted=told is not None)
    counted = group_counts(config, file_dataset(contract, data, told))
    analysis = analyse(config, counted)
    results = {
        "pre_training": analysis.pre_training_bias_metrics,
        "post_training": analysis.post_training_bias_metrics,
    }
    estimates = [
        estimate
        for stage, _ in _TITLES
        if results[stage]
        for estimate in stage_estimates(
            stage, results[stage], counted=counted.facets, section=section
        )
    ]
    return FileAnalysis(analysis, tuple(estimates))


def file_verdict(
    found: FileAnalysis, contract: Contract, section: BiasSection, *, inputs: dict[str, Path]
) -> Verdict:
    """Judges the predictions by a recipe's gates.

    Args:
        found: the analysis.
        contract: the data's.
        section: the recipe's.
        inputs: name -> file or folder that was read.

    Raises:
        InputError: if a gate is on no facet of the contract.
    """
    check_gates(section, contract)
    return decide(
        gate="bias",
        checks=bias_checks(section, found.estimates),
        inputs={name: sha256_tree(path) for name, path in inputs.items()},
    )


def text(found: FileAnalysis, *, minimum_group_size: int) -> Iterator[str]:
    """Yields the lines that a person reads: group by group, metric by metric."""
    groups = dict.fromkeys((estimate.facet, estimate.group) for estimate in found.estimates)
    for facet, group in groups:
        of_group = [item for item in found.estimates if (item.facet, item.group) == (facet, group)]
        first = of_group[0]
        yield (
            f"{facet}={group}: {first.n_disadvantaged:,} rows against {first.n_advantaged:,} others"
        )
        if warning := too_few(first, minimum_group_size):
            yield f"  {warning}"
        for stage, title in _TITLES:
            rows = [item for item in of_group if item.stage == stage]
            if rows:
                yield f"  {title}"
                yield from (f"    {_line(item)}" for item in rows)
        yield ""


def _line(item: BiasEstimate) -> str:
    name = f"{item.metric:<6}"
    if item.value is None:
        return f"{name}undefined: {item.error}"
    ends = "no interval" if item.low is None else f"[{item.low:.3f}, {item.high:.3f}]"
    return f"{name}{item.value:>7.3f}  {ends:<17} {METRICS[item.metric].description}"
