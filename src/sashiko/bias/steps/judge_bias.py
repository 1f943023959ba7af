"""JudgeBias: compares the bias of predictions and labels with the recipe's bounds.

    python -m sashiko.bias.steps.judge_bias

Inputs `config` (contract and the recipe's bias, reweighing and evaluate), `pre-analysis` and
`post-analysis` (`analysis.json` of the two bias steps), and the analysed rows: `facets`
(the facet snapshot) and `data` (BiasInput's CSV), with `data-meta`, its source digests. With a gate
on the change of a label metric also `labels-of-champion`, ResolveChampion's record of the
champion's.
Outputs `verdict` (`verdict.json`, gate "bias") and `intervals` (`intervals.json`: every metric,
facet and group of both analyses, the intersections of facets, and the metrics of `number_bias`; the
analyses are copied beside it; for more than two classes also `classes.json`, metrics of each class
against all others).

Values come from `analysis.json`, and intervals from the counts of the rows. If our own formula on
the rows gives another value, the two are of different data and the step fails. Clarify does not
support intersections, so their values always come from our own formula.
"""

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.files import sha256_file, sha256_tree
from sashiko.base.job_folders import pass_on, processing_input, processing_output
from sashiko.bias.clarify.analysis import AnalysisConfig, StageResult, read_analysis
from sashiko.bias.clarify.contract_config import analysis_config
from sashiko.bias.clarify.counting import Dataset, count_groups, distinct, read_dataset
from sashiko.bias.gates.bias_gate import Mitigation, bias_checks
from sashiko.bias.gates.estimates import (
    CLASSES_FILE,
    POST_ANALYSIS_FILE,
    PRE_ANALYSIS_FILE,
    write_estimates,
)
from sashiko.bias.gates.label_change import (
    CHAMPION_LABELS,
    ChampionLabels,
    label_meaning,
    read_champion_labels,
)
from sashiko.bias.metrics.bias_table import Stage
from sashiko.bias.steps.bias_estimates import (
    StageAnalysis,
    analyse_stage,
    estimate_abstention,
    estimate_bias,
    estimate_by_class,
    estimate_numbers,
    looks_of,
)
from sashiko.bias.steps.bias_input import ANSWERED_FILE, DATA_FILE
from sashiko.contract.manifest import read_snapshots
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Check, decide, write_verdict
from sashiko.settings.recipe_bias import BiasSection
from sashiko.settings.recipe_quality import EvaluateSection
from sashiko.settings.recipe_train import ReweighingSection
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_contract, read_section

_MOST_NAMED = 10  # of a facet
_INPUTS = ("pre-analysis", "post-analysis", "facets", "data")
# Facet -> value -> rows.
GroupRows = Mapping[str, Mapping[str, int]]


def main() -> None:
    """Writes the bias verdict and the table of all bias metrics."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    contract = read_contract()
    section = read_section(BiasSection, "bias")
    check_gates(section, contract)
    recipe = Mitigation(
        reweighing=read_section(ReweighingSection, "reweighing"),
        threshold=read_section(EvaluateSection, "evaluate").threshold
        if len(contract.classes) == 2 and not contract.is_number
        else None,
    )
    labels = read_analysis(processing_input("pre-analysis")).pre_training_bias_metrics
    predictions = read_analysis(processing_input("post-analysis")).post_training_bias_metrics
    pre, snapshot_rows, _ = _count(labels, contract, section, "facets", kind="pre")
    post, test_rows, data = _count(predictions, contract, section, "data", kind="post")
    stages: dict[Stage, StageAnalysis] = {"pre_training": pre, "post_training": post}
    estimates, looks = list(estimate_bias(section, stages)), looks_of(section, stages)
    if contract.is_number:
        csv = processing_input("data") / DATA_FILE
        estimates += estimate_numbers(contract, section, csv, looks=looks)
    answered = processing_input("data-meta") / ANSWERED_FILE
    if answered.exists():  # of a model that may not answer
        estimates += estimate_abstention(contract, section, answered, looks=looks)
    write_estimates(estimates, processing_output("intervals"))
    if len(contract.classes) > 2:
        config = AnalysisConfig.model_validate(analysis_config(contract, kind="post"))
        by_class = estimate_by_class(section, config, data, outcomes=contract.classes)
        write_estimates([*by_class], processing_output("intervals"), file=CLASSES_FILE)
    for name, file in (("pre-analysis", PRE_ANALYSIS_FILE), ("post-analysis", POST_ANALYSIS_FILE)):
        source = processing_input(name) / "analysis.json"
        shutil.copyfile(source, processing_output("intervals") / file)
    inputs: tuple[str, ...] = _INPUTS
    champion: ChampionLabels | str = ""
    if section.compares_labels and labels:
        inputs = (*inputs, CHAMPION_LABELS)
        meaning = label_meaning(
            contract=contract.id,
            version=contract.version,
            label=labels.label,
            positive=labels.label_value_or_threshold,
        )
        champion = read_champion_labels(processing_input(CHAMPION_LABELS), meaning=meaning)
    checks = bias_checks(section, estimates, recipe, champion=champion)
    facets_file = processing_input("facets") / "data.parquet"
    if checks:  # no checks fail the gate; unjudged groups must not prevent that
        checks += unjudged_groups(
            contract, section, snapshot_rows=snapshot_rows, test_rows=test_rows
        )
    # BiasInput's facets may be older than this step's.
    joined = read_snapshots(processing_input("data-meta"))
    snapshots = {
        "facets-snapshot": sha256_file(facets_file),
        "joined-facets-snapshot": joined.facets or "none",
        **({"predictions": joined.predictions} if joined.predictions else {}),
    }
    digests = {name: sha256_tree(processing_input(name)) for name in inputs}
    verdict = decide(gate="bias", checks=checks, inputs=digests | snapshots)
    write_verdict(verdict, processing_output("verdict"))
    pass_on(processing_output("intervals"), processing_output("verdict"))
    print(verdict.summary, file=sys.stderr)


def unjudged_groups(
    contract: Contract, section: BiasSection, *, snapshot_rows: GroupRows, test_rows: GroupRows
) -> Iterator[Check]:
    """Yields an unjudged check for each group with too few rows in the test split.

    A group is a value that the contract allows or that occurs in any split. A group with its own
    gate on predictions is omitted, because it fails that gate; a group that the contract joins with
    others is judged with them, and is reported here separately.
    """
    gated = {gate.facet for gate in section.gates if not gate.of_labels}
    for facet in contract.facets:
        allowed = [str(value) for value in contract.column(facet.column).allowed_values]
        rows = Counter(test_rows.get(facet.column, {}))
        small = sorted(
            (rows[value], value)
            for value in {*allowed, *snapshot_rows.get(facet.column, {})}
            if rows[value] < section.minimum_group_size
            and not (facet.column in gated and facet.disadvantaged == (value,))
        )
        for count, value in small[:_MOST_NAMED]:
            total = snapshot_rows.get(facet.column, {}).get(value, 0)
            is_joined = value in facet.disadvantaged and len(facet.disadvantaged) > 1
            reason = (
                f"{_rows_text(count)} in the test split, {total:,} in all the data; "
                f"at least {section.minimum_group_size} are needed to judge it"
            )
            if is_joined:
                reason += f" but as part of {','.join(facet.disadvantaged)}"
            name = f"{facet.column}={value}"
            yield Check(name=name, passed=True, judged=False, reason=reason)
        if rest := small[_MOST_NAMED:]:
            yield Check(
                name=f"{len(rest)} more groups of {facet.column}",
                passed=True,
                judged=False,
                reason=f"{rest[0][0]} to {_rows_text(rest[-1][0])} each in the test split; "
                f"at least {section.minimum_group_size} are needed to judge one",
            )


def _rows_text(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def check_gates(section: BiasSection, contract: Contract) -> None:
    """Checks that every gate names a facet of the contract.

    Raises:
        InputError: names the recipe's key and the contract's facets.
    """
    facets = [facet.column for facet in contract.facets]
    for number, gate in enumerate(section.gates):
        for facet in gate.facets:
            if facet not in facets:
                raise InputError(
                    f"recipe key bias.gates.{number}.facet: `{facet}` is not a facet of the "
                    f"contract, whose facets are {', '.join(facets)}"
                )


def _count(
    result: StageResult | None,
    contract: Contract,
    section: BiasSection,
    rows: str,
    *,
    kind: Literal["pre", "post"],
) -> tuple[StageAnalysis, GroupRows, Dataset]:
    """Counts the rows of an input, with the bias step's configuration and by facets' values."""
    config = AnalysisConfig.model_validate(analysis_config(contract, kind=kind))
    data = read_dataset(config, processing_input(rows))
    group_counts = count_groups(config, data)
    analysis = analyse_stage(contract, section, result, data=data, group_counts=group_counts)
    groups = {}
    for column in data.facets:  # rows without a value are ignored
        texts = distinct(column.values)
        places = pc.index_in(column.values, value_set=pa.array(texts, pa.string()))
        weights = None if data.counts is None else data.counts[np.asarray(pc.is_valid(places))]
        rows_of = np.bincount(np.asarray(places.drop_null()), weights, minlength=len(texts))
        groups[column.name] = {text: int(rows_of[place]) for place, text in enumerate(texts)}
    return analysis, groups, data


if __name__ == "__main__":
    run_step(main)
