"""Evaluate: judges the artifact that will be served by its scores, without reading facets.

    python -m sashiko.steps.evaluate

Reads Score's scores, Compile's artifact, Prepare's splits and slices, Train's output, Train's
weights and ResolveChampion's champion. The linear baseline is fitted with the same weights; they
are as sensitive as the facets (`steps.weights`), and no output contains them. Writes the
predictions, the quality metrics, the reference for monitoring, the decision threshold, and the
verdict of the gate `model-quality`.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from sashiko.base.files import sha256_file, sha256_tree
from sashiko.base.job_folders import processing_input, processing_output
from sashiko.base.parquet import read_columns, write_table
from sashiko.data.splits import SPLITS
from sashiko.evaluation.gates.own import ModelEvidence, own_checks
from sashiko.evaluation.gates.quality import Training, own_metrics, quality_checks
from sashiko.evaluation.gates.verdict import decide, write_verdict
from sashiko.evaluation.metrics.arrays import Floats, Ints, ModelScores
from sashiko.evaluation.record import (
    Evaluation,
    InjectionFigures,
    write_decision,
    write_evaluation,
)
from sashiko.evaluation.reference import Reference, write_reference
from sashiko.evaluation.reference_columns import cells_of, count_reference
from sashiko.serving.artifact import open_artifact
from sashiko.serving.container.text import columns
from sashiko.settings.causal import PromptSection
from sashiko.settings.data import DataSection
from sashiko.settings.quality import EvaluateSection, QualitySection
from sashiko.settings.train import ReweighingSection, TrainSection
from sashiko.steps.baselines import MAJORITY
from sashiko.steps.champion import ARTIFACT, read_champion
from sashiko.steps.comparators import decide_threshold, linear_baselines, majority_baseline
from sashiko.steps.entry import run_step
from sashiko.steps.figures import evaluate
from sashiko.steps.injection import artifact_scorer, measure_injection
from sashiko.steps.score import INPUTS as SCORED
from sashiko.steps.score_parts import read_scores
from sashiko.steps.scored_splits import Split, load_split
from sashiko.steps.sections import read_section
from sashiko.steps.slicing import read_slices
from sashiko.steps.train_output import read_training
from sashiko.training.examples import read_weights

__all__ = ["main"]

_ANY_THRESHOLD = 0.5  # the scores do not depend on it
_GATE = "model-quality"


def main() -> None:
    """Scores, compares, judges, and writes the four outputs."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    section = read_section(EvaluateSection, "evaluate")
    quality = read_section(QualitySection, "quality")
    own = own_metrics(quality)
    splits = {name: load_split(processing_input(name)) for name in SPLITS}
    train, validation, test = (splits[name] for name in SPLITS)
    slices = read_slices(processing_input("slices"), keys=test.keys)
    train_output = read_training(processing_input("training-output") / "output.tar.gz")

    digests = {
        name: sha256_tree(processing_input(name))
        for name in ("artifact", "champion", "slices", *SPLITS, "weights")
        if name != "weights" or processing_input(name).exists()
    }
    scores = read_scores(
        processing_input("scores"),
        validation=validation,
        test=test,
        inputs={name: digests[name] for name in SCORED},
    )
    labels = scores.record.labels
    decision = decide_threshold(section.threshold, validation.labels, scores.validation)
    candidate = ModelScores(scores.test, decision.threshold)
    archive = processing_input("artifact") / ARTIFACT
    injection = _injection(section, archive, test, candidate, labels=labels)

    print("fitting the baselines", file=sys.stderr)
    others = {
        MAJORITY: majority_baseline(train, test),
        **linear_baselines(section, train, validation, test, weights=read_train_weights(train)),
    }
    champion = read_champion(processing_input("champion"))
    if champion is not None:
        # The champion may be the candidate's artifact, which is scored once.
        champion_scores = scores.test if scores.champion is None else scores.champion
        others["champion"] = ModelScores(champion_scores, champion.threshold)

    print("computing metrics and intervals", file=sys.stderr)
    evaluation = evaluate(
        section,
        splits=splits,
        slices=slices,
        labels=labels,
        decision=decision,
        candidate=candidate,
        validation_scores=scores.validation,
        others=others,
        own=own,
        champion=champion,
        train_output=train_output,
        injection=injection,
    )
    checks = quality_checks(quality, evaluation.gateable, evaluation.leads, _training())
    evidence = ModelEvidence(
        archive=archive,
        evaluation=evaluation,
        labels=test.labels,
        candidate=candidate,
        champion=others.get("champion"),
    )
    checks += own_checks(quality.own_gates, evidence, taken={check.name for check in checks})
    verdict = decide(
        gate=_GATE,
        checks=checks,
        inputs=digests | train_output.snapshot_digests(),
    )
    write_predictions(
        processing_output("predictions") / "predictions.parquet",
        {"validation": (validation, scores.validation), "test": (test, scores.test)},
        threshold=decision.threshold,
    )
    write_evaluation(evaluation, processing_output("metrics"))
    reference = held_out_reference(
        evaluation,
        scores.test,
        test.labels,
        template=scores.record.template,
        missing=scores.record.missing,
    )
    write_reference(reference, processing_output("metrics"))
    write_decision(decision, processing_output("decision"))
    write_verdict(verdict, processing_output("verdict"))
    for line in (*evaluation.notes, verdict.summary):
        print(line, file=sys.stderr)


def held_out_reference(
    evaluation: Evaluation, scores: Floats, labels: Ints, *, template: str, missing: str
) -> Reference:
    """Describes the test split, with which monitoring compares captured requests.

    Args:
        evaluation: of the candidate.
        scores: the candidate's, P(positive) of each test row.
        labels: of the same rows, 0 or 1.
        template: the candidate's, whose columns are described.
        missing: what stands for a null in its text.

    Raises:
        InputError: if Prepare's slices lack a column of the template.
    """
    slices = processing_input("slices")
    table = read_columns(slices / "data.parquet", columns(template))
    test = evaluation.splits["test"]
    scored = pa.chunked_array([scores])
    score_counts = count_reference("score", scored)
    positive = scores >= evaluation.threshold
    right = positive == labels
    right_by_cell = np.bincount(
        cells_of(score_counts, scored)[right], minlength=len(score_counts.counts)
    )
    return Reference(
        rows=test.rows,
        positives=test.positives,
        true_positives=int(np.sum(positive & (labels == 1))),
        labels=evaluation.labels,
        threshold=evaluation.threshold,
        template=template,
        missing=missing,
        columns=tuple(count_reference(name, table[name]) for name in table.column_names),
        scores=score_counts,
        right=tuple(int(rows) for rows in right_by_cell),
        calibration=evaluation.calibration.curve,
        artifact_sha256=sha256_file(processing_input("artifact") / ARTIFACT),
        test_sha256=sha256_tree(processing_input("test")),
        columns_sha256=sha256_tree(slices),
    )


def _injection(
    section: EvaluateSection,
    archive: Path,
    test: Split,
    candidate: ModelScores,
    *,
    labels: tuple[str, str],
) -> InjectionFigures | None:
    """Scores texts with injections in them, if the recipe asks for it."""
    if not section.injections:
        return None
    with open_artifact(archive, threshold=_ANY_THRESHOLD, on_cpu=True) as artifact:
        return measure_injection(
            section, artifact_scorer(artifact), test.texts, candidate, answers=_answers(labels)
        )


def _answers(labels: tuple[str, str]) -> tuple[str, str]:
    """Returns what the model is asked to answer: a causal LM by its prompt, else the labels."""
    if read_section(TrainSection, "train").lora is None:
        return labels
    negative, positive = labels
    answers = read_section(PromptSection, "prompt").answers
    return answers[negative], answers[positive]


def _training() -> Training:
    return Training(
        train=read_section(TrainSection, "train"),
        reweighing=read_section(ReweighingSection, "reweighing"),
        train_rows=read_section(DataSection, "data").train_rows,
    )


def read_train_weights(train: Split) -> Floats:
    """Reads Train's weight of each train row; 1 where the recipe does not judge bias.

    Raises:
        InputError: if the weights have other keys, or one is not a positive number.
    """
    keys = pa.chunked_array([pa.array(train.keys, pa.string())])
    return read_weights(processing_input("weights"), keys).astype(np.float64)


def write_predictions(
    path: Path, scored_splits: Mapping[str, tuple[Split, Floats]], *, threshold: float
) -> None:
    """Writes key, split, label, score and prediction of each row."""
    tables = [
        pa.table(
            {
                "key": pa.array(split.keys, pa.string()),
                "split": pa.array([name] * len(split.keys), pa.string()),
                "label": pa.array(split.labels, pa.int64()),
                "score": pa.array(scores, pa.float64()),
                "predicted": pa.array((scores >= threshold).astype(np.int64)),
            }
        )
        for name, (split, scores) in scored_splits.items()
    ]
    write_table(path, pa.concat_tables(tables))


if __name__ == "__main__":
    run_step(main)
