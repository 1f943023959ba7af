"""JudgeBias: holds the bias of the predictions against the recipe's bounds.

    python -m sashiko.steps.judge_bias

Inputs `config` (contract and the recipe's bias, reweighing and evaluate), `pre-analysis` and
`post-analysis` (`analysis.json` of the two bias steps), and the rows that these are of: `facets`
(the facet snapshot) and `data` (BiasInput's CSV), with `data-meta`, which says what that was made
of. Outputs `verdict` (`verdict.json`, gate "bias") and `intervals` (`intervals.json`: every metric,
facet and group of both analyses, which lie beside it for the registry, and of the intersections of
facets).

Values come from `analysis.json`, whoever wrote it, and intervals from the counts of the rows. Where
our own formula on the rows gives another value, the two are not of the same data and the step ends
with an error. Clarify knows no intersections: theirs are our own values, whoever made the analyses.
"""

import argparse
import shutil
import sys
from typing import Literal

from sashiko.clarify.bias.analysis import StageResult, read_analysis
from sashiko.clarify.bias.config import AnalysisConfig
from sashiko.clarify.bias.counting import group_counts
from sashiko.clarify.bias.dataset import read_dataset
from sashiko.contract.bias_config import analysis_config
from sashiko.contract.manifest import read_snapshots
from sashiko.contract.model import Contract
from sashiko.core.files import sha256_file, sha256_tree
from sashiko.core.job_folders import processing_input, processing_output
from sashiko.errors import InputError
from sashiko.evaluation.gates.advice import Mitigation
from sashiko.evaluation.gates.bias import bias_checks
from sashiko.evaluation.gates.estimates import (
    POST_ANALYSIS_FILE,
    PRE_ANALYSIS_FILE,
    BiasEstimate,
    write_estimates,
)
from sashiko.evaluation.gates.verdict import decide, write_verdict
from sashiko.evaluation.metrics.bias_table import Stage
from sashiko.settings.bias import BiasSection
from sashiko.settings.quality import EvaluateSection
from sashiko.settings.recipe import ReweighingSection
from sashiko.steps.bias_estimates import Analysed, analysed, estimates
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_contract, read_section
from sashiko.steps.unjudged_groups import GroupRows, group_rows, unjudged_groups

_ROWS = {"pre": "facets", "post": "data"}
_INPUTS = ("pre-analysis", "post-analysis", "facets", "data")


def main() -> None:
    """Writes the bias verdict and the table of all bias metrics."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    contract = read_contract()
    section = read_section(BiasSection, "bias")
    check_gates(section, contract)

    recipe = Mitigation(
        reweighing=read_section(ReweighingSection, "reweighing"),
        threshold=read_section(EvaluateSection, "evaluate").threshold,
    )
    found, known, tested = read_and_estimate(contract, section)
    write_estimates(found, processing_output("intervals"))
    for name, file in (("pre-analysis", PRE_ANALYSIS_FILE), ("post-analysis", POST_ANALYSIS_FILE)):
        shutil.copyfile(
            processing_input(name) / "analysis.json", processing_output("intervals") / file
        )
    checks = bias_checks(section, found, recipe)
    if checks:  # none at all fails: a group that is not judged is no check
        checks += unjudged_groups(contract, section, known=known, tested=tested)
    verdict = decide(
        gate="bias",
        checks=checks,
        inputs={name: sha256_tree(processing_input(name)) for name in _INPUTS} | _made_of(),
    )
    write_verdict(verdict, processing_output("verdict"))
    print(verdict.summary, file=sys.stderr)


def _made_of() -> dict[str, str]:
    """Names the facets that were read here, and those that BiasInput joined, which may be older."""
    joined = read_snapshots(processing_input("data-meta")).facets
    return {
        "facets-snapshot": sha256_file(processing_input("facets") / "data.parquet"),
        "joined-facets-snapshot": joined or "none",
    }


def check_gates(section: BiasSection, contract: Contract) -> None:
    """Refuses a gate on what is not a facet of the contract.

    Raises:
        InputError: naming the key of the recipe and the contract's facets.
    """
    known = [facet.column for facet in contract.facets]
    for number, gate in enumerate(section.gates):
        for facet in gate.facets:
            if facet not in known:
                raise InputError(
                    f"recipe key bias.gates.{number}.facet: `{facet}` is not a facet of the "
                    f"contract, whose facets are {', '.join(known)}"
                )


def read_and_estimate(
    contract: Contract, section: BiasSection
) -> tuple[list[BiasEstimate], GroupRows, GroupRows]:
    """Reads both analyses and their rows.

    Returns:
        The metrics of the labels, then those of the predictions, of each the facets' first, then
        the intersections'; the rows of each group in the facet snapshot, and in the test split.

    Raises:
        InputError: if an analysis and its rows do not fit together.
    """
    labels = read_analysis(processing_input("pre-analysis")).pre_training_bias_metrics
    predictions = read_analysis(processing_input("post-analysis")).post_training_bias_metrics
    pre, known = _count(labels, contract, section, kind="pre")
    post, tested = _count(predictions, contract, section, kind="post")
    stages: dict[Stage, Analysed] = {"pre_training": pre, "post_training": post}
    return list(estimates(section, stages)), known, tested


def _count(
    result: StageResult | None,
    contract: Contract,
    section: BiasSection,
    *,
    kind: Literal["pre", "post"],
) -> tuple[Analysed, GroupRows]:
    """Counts the rows as the bias step did, which has the same configuration."""
    config = AnalysisConfig.model_validate(analysis_config(contract, kind=kind))
    data = read_dataset(config, processing_input(_ROWS[kind]))
    counted = group_counts(config, data)
    found = analysed(contract, section, result, data=data, counted=counted)
    return found, group_rows(data)


if __name__ == "__main__":
    run_step(main)
