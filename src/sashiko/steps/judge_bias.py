"""JudgeBias: holds the bias of the predictions against the recipe's bounds.

    python -m sashiko.steps.judge_bias

Inputs `config` (contract, bias), `pre-analysis` and `post-analysis` (`analysis.json` of the two
bias steps), and the rows that these are of: `facets` (the facet snapshot) and `data` (BiasInput's
CSV). Outputs `verdict` (`verdict.json`, gate "bias") and `intervals` (`intervals.json`: every
metric, facet and group of both analyses, which lie beside it for the registry).

Values come from `analysis.json`, whoever wrote it, and intervals from the counts of the rows. Where
our own formula on the rows gives another value, the two are not of the same data and the step ends
with an error.
"""

import argparse
import shutil
import sys
from collections.abc import Mapping
from typing import Literal

from sashiko.clarify.analysis import Analysis, read_analysis
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
from sashiko.metrics.counts import Counts
from sashiko.paths import processing_input, processing_output
from sashiko.recipe import BiasSection
from sashiko.sections import read_contract, read_section
from sashiko.steps.bias_estimates import stage_estimates
from sashiko.steps.entry import run_step

_INPUTS = ("pre-analysis", "post-analysis", "facets", "data")


def main() -> None:
    """Writes the bias verdict and the table of all bias metrics."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    contract = read_contract()
    section = read_section(BiasSection, "bias")
    check_gates(section, contract)

    estimates = read_and_estimate(contract, section)
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


def read_and_estimate(contract: Contract, section: BiasSection) -> list[BiasEstimate]:
    """Reads both analyses and their rows.

    Returns:
        The metrics of the labels, then those of the predictions.

    Raises:
        InputError: if an analysis and its rows do not fit together.
    """
    labels: Analysis = read_analysis(processing_input("pre-analysis"))
    predictions: Analysis = read_analysis(processing_input("post-analysis"))
    return [
        *stage_estimates(
            "pre_training",
            labels.pre_training_bias_metrics,
            counted=_counted(contract, "pre", "facets"),
            section=section,
        ),
        *stage_estimates(
            "post_training",
            predictions.post_training_bias_metrics,
            counted=_counted(contract, "post", "data"),
            section=section,
        ),
    ]


def _counted(
    contract: Contract, kind: Literal["pre", "post"], rows: str
) -> Mapping[str, Mapping[str, Counts]]:
    """Counts the rows as the bias step did, which has the same configuration."""
    config = AnalysisConfig.model_validate(analysis_config(contract, kind=kind))
    return group_counts(config, read_dataset(config, processing_input(rows))).facets


if __name__ == "__main__":
    run_step(main)
