"""Evaluate: judges the artifact that will be served by its scores, without reading facets.

    python -m sashiko.steps.evaluate

Reads Score's scores, Compile's artifact, Prepare's splits and slices, Train's output, Train's
weights and ResolveChampion's champion. The linear baseline is fitted with the same weights, unless
the candidate is that model; they are as sensitive as the facets (`steps.weights`), and no output
contains them. Writes the predictions, the quality metrics, the reference for monitoring, the
decision threshold, and the verdict of the gate `model-quality`.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sashiko.base.files import sha256_file, sha256_tree, write_json
from sashiko.base.job_folders import pass_on, processing_input, processing_output
from sashiko.base.parquet import read_columns, write_table
from sashiko.contract.manifest import SNAPSHOTS_FILE, Snapshots
from sashiko.data.splits import META_FILE, SPLITS, SplitMeta
from sashiko.errors import InputError
from sashiko.evaluation import evaluation_record as records
from sashiko.evaluation.gates.own_gates import JudgedScores, ModelEvidence, own_checks
from sashiko.evaluation.gates.quality_checks import Training, own_metrics, quality_checks
from sashiko.evaluation.gates.verdict import decide, write_verdict
from sashiko.evaluation.metrics import calibration
from sashiko.evaluation.metrics.arrays import (
    Floats,
    Ints,
    ModelScores,
    Truth,
    favourable_scores,
)
from sashiko.evaluation.metrics.classes import class_rates
from sashiko.evaluation.metrics.numbers import covered_rows
from sashiko.evaluation.metrics.own_metrics import OwnMetrics
from sashiko.evaluation.metrics.quality import confusion, confusion_matrix
from sashiko.evaluation.metrics.selective import measure_selective
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.evaluation.reference import ClassCounts, NumberCounts, Reference, write_reference
from sashiko.evaluation.reference_columns import cells_of, count_reference
from sashiko.evaluation.sagemaker_statistics import (
    STATISTICS_FILE,
    multiclass_statistics,
    regression_statistics,
)
from sashiko.serving.artifact import open_artifact
from sashiko.serving.container.number import NUMBER_FILE, Number
from sashiko.serving.container.tar_reader import read_files
from sashiko.serving.container.text import columns
from sashiko.settings.recipe_data import DataSection
from sashiko.settings.recipe_quality import EvaluateSection, QualitySection
from sashiko.settings.recipe_train import PromptSection, ReweighingSection, TrainSection
from sashiko.steps import comparators
from sashiko.steps.entry import run_step
from sashiko.steps.evaluation_notes import plain_notes
from sashiko.steps.injection import artifact_scorer, measure_injection
from sashiko.steps.score import INPUTS as SCORED
from sashiko.steps.scored_splits import ARTIFACT, Split, load_split, read_champion, read_scores
from sashiko.steps.sections import is_linear, read_section
from sashiko.steps.slicing import Slice, read_slices, slice_figures
from sashiko.training.examples import read_weights
from sashiko.training.scoring import TEMPERATURE_FILE

__all__ = ["main"]

_METRICS = "metrics.jsonl"
_LARGEST_FILE = 1 << 26  # bytes
_CANDIDATE = "candidate"
_CALIBRATION = ("expected_calibration_error", "brier_score")
_ERRORS = ("rmse", "mae", "median_absolute_error", "r2")
_ANY_THRESHOLD = 0.5  # the scores do not depend on it
_GATE = "model-quality"


@dataclass(frozen=True)
class TrainOutput:
    """Train's output beside the model."""

    curve: tuple[records.MetricLine, ...]
    temperature: records.TemperatureFit | None
    snapshots: Snapshots
    split: SplitMeta  # Prepare's summary of the rows
    number: Number | None  # of a label that is a number


def main() -> None:
    """Scores, compares, judges, and writes the four outputs."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    section = read_section(EvaluateSection, "evaluate")
    quality = read_section(QualitySection, "quality")
    own = own_metrics(quality)
    splits = {name: load_split(processing_input(name)) for name in SPLITS}
    validation, test = splits["validation"], splits["test"]
    slices = read_slices(processing_input("slices"), keys=test.keys)
    train_output = read_training(processing_input("training-output") / "output.tar.gz")
    linear = is_linear()

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
    decision = comparators.decide_threshold(
        section.threshold,
        validation.labels,
        scores.validation,
        number=train_output.number,
        abstain=section.abstain,
    )
    candidate = ModelScores(scores.test, decision.threshold, scores.record.half_width)
    archive = processing_input("artifact") / ARTIFACT
    injection = None
    if section.injections:
        answers = labels
        # A causal LM answers by its prompt.
        if read_section(TrainSection, "train").lora is not None:
            by_label = read_section(PromptSection, "prompt").answers
            answers = tuple(by_label[label] for label in labels)
        with open_artifact(archive, threshold=_ANY_THRESHOLD, on_cpu=True) as artifact:
            scorer = artifact_scorer(artifact)
            injection = measure_injection(
                section, scorer, test.texts, candidate, answers=answers, as_rows=linear
            )

    others = baselines(section, splits, train_output, linear=linear)
    champion = read_champion(processing_input("champion"))
    if champion is not None and (reason := scores.record.not_comparable):
        champion = champion.model_copy(update={"not_comparable": reason})
    elif champion is not None:
        # The champion may be the candidate's artifact, which is scored once.
        champion_scores = scores.test if scores.champion is None else scores.champion
        others["champion"] = ModelScores(
            champion_scores, champion.threshold, scores.record.champion_half_width
        )

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
    recipe = Training(
        train=read_section(TrainSection, "train"),
        reweighing=read_section(ReweighingSection, "reweighing"),
        train_rows=read_section(DataSection, "data").train_rows,
        linear=linear,
    )
    checks = quality_checks(
        quality,
        evaluation.gateable,
        evaluation.leads,
        recipe,
        by_class=dict(zip(labels, class_rates(test.labels, candidate), strict=False)),
        not_comparable="" if champion is None else champion.not_comparable,
    )
    evidence = ModelEvidence(
        archive=archive,
        evaluation=evaluation,
        labels=test.truth,
        candidate=JudgedScores.of(candidate),
        champion=JudgedScores.of(others["champion"]) if "champion" in others else None,
    )
    checks += own_checks(quality.own_gates, evidence, taken={check.name for check in checks})
    snapshots = train_output.snapshots.model_dump()
    digests |= {f"{view}-snapshot": digest for view, digest in snapshots.items() if digest}
    verdict = decide(gate=_GATE, checks=checks, inputs=digests)
    write_predictions(
        processing_output("predictions") / "predictions.parquet",
        {
            "validation": (validation, replace(candidate, scores=scores.validation)),
            "test": (test, candidate),
        },
        evaluation=evaluation,
    )
    write_metrics(evaluation, processing_output("metrics"), test.truth, candidate, section=section)
    reference = held_out_reference(
        evaluation,
        candidate,
        test,
        template=scores.record.template,
        missing=scores.record.missing,
    )
    write_reference(reference, processing_output("metrics"))
    records.write_decision(decision, processing_output("decision"))
    write_verdict(verdict, processing_output("verdict"))
    pass_on(*(processing_output(name) for name in ("metrics", "decision", "verdict")))
    for line in (*evaluation.notes, verdict.summary):
        print(line, file=sys.stderr)


def baselines(
    section: EvaluateSection, splits: Mapping[str, Split], trained: TrainOutput, *, linear: bool
) -> dict[str, ModelScores]:
    """Fits the baselines, a linear one unless the candidate is `linear`, and scores the test split.

    Raises:
        InputError: if the train split has one label only.
    """
    print("fitting the baselines", file=sys.stderr)
    train, validation, test = (splits[name] for name in SPLITS)
    meta, number, rows = trained.split, trained.number, len(test.keys)
    if number is not None:
        mean = np.full((rows, 1), number.mean)
        others = {comparators.MEAN: ModelScores(mean, number.above)}
    else:
        majority = comparators.majority_baseline(train.labels, rows=rows, classes=len(meta.labels))
        others = {comparators.MAJORITY: majority}
    if not linear:
        # Train's weights; 1 where the recipe does not judge bias.
        train_keys = pa.chunked_array([pa.array(train.keys, pa.string())])
        weights = read_weights(processing_input("weights"), train_keys).astype(np.float64)
        others |= comparators.linear_baselines(
            section, train, validation, test, kinds=meta.kinds, weights=weights, number=number
        )
    return others


def read_training(archive: Path) -> TrainOutput:
    """Reads Train's `output.tar.gz`.

    Raises:
        InputError: if the archive is missing or damaged, or has no metrics.
    """
    names = (_METRICS, META_FILE, SNAPSHOTS_FILE, TEMPERATURE_FILE, NUMBER_FILE)
    try:
        files = read_files(archive, names, at_most=_LARGEST_FILE)
        lines = files[_METRICS].decode().splitlines()
        snapshots, meta = files[SNAPSHOTS_FILE], files[META_FILE]
    except KeyError as error:
        missing = error.args[0]
        raise InputError(f"{archive} holds no readable {missing}: it has none") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{archive} holds no readable {_METRICS}: {error}") from error
    temperature, number = files.get(TEMPERATURE_FILE), files.get(NUMBER_FILE)
    return TrainOutput(
        curve=tuple(records.MetricLine.model_validate_json(line) for line in lines),
        temperature=records.TemperatureFit.model_validate_json(temperature)
        if temperature
        else None,
        snapshots=Snapshots.model_validate_json(snapshots),
        split=SplitMeta.model_validate_json(meta),
        number=Number(**json.loads(number)) if number else None,
    )


def evaluate(
    section: EvaluateSection,
    *,
    splits: Mapping[str, Split],
    slices: Sequence[Slice],
    labels: tuple[str, ...],
    decision: records.Decision,
    candidate: ModelScores,
    validation_scores: Floats,
    others: Mapping[str, ModelScores],
    own: OwnMetrics,
    champion: records.ChampionRecord | None,
    train_output: TrainOutput,
    injection: records.InjectionFigures | None,
) -> records.Evaluation:
    """Computes all metrics; the intervals of a split use the same bootstrap resamples.

    Candidate and others, the baselines and the champion, have scored the test split.
    """
    test, validation = splits["test"], splits["validation"]
    classes, first_favourable = len(labels), train_output.split.first_favourable
    number = train_output.number
    models = comparators.resample_models(
        section, test.truth, {_CANDIDATE: candidate, **others}, own
    )
    dates = train_output.split.dates
    first_days = {"validation": dates.validation_from, "test": dates.test_from} if dates else {}
    fit = train_output.temperature
    before: records.Estimates = {}
    if fit is not None:
        scores = calibration.without_temperature(candidate.scores, fit.temperature)
        unscaled = ModelScores(scores, candidate.threshold)
        before = comparators.model_metrics(section, test.labels, unscaled, {})
    # What the reliability curve is of: the positive label, the predicted one of several, or the
    # interval around a number.
    certainty, came_true = candidate.scores[:, -1], test.labels
    by_chance = Estimate(value=None, low=None, high=None)
    if test.values is not None:
        came_true = covered_rows(test.values, candidate).astype(np.int64)
    elif classes > 2:
        certainty = candidate.scores.max(axis=1)
        came_true = (candidate.predicted == test.labels).astype(np.int64)
    if test.values is None:
        by_chance = calibration.error_by_chance(
            certainty, replicates=section.bootstrap_replicates, seed=section.seed
        )
    evaluation = records.Evaluation(
        splits={
            name: split.count(
                since=first_days.get(name), classes=classes, first_favourable=first_favourable
            )
            for name, split in splits.items()
        },
        labels=labels,
        first_favourable=first_favourable,
        threshold=candidate.threshold,
        number=number
        and records.NumberFigures(
            mean=number.mean,
            standard_deviation=number.scale,
            half_width=number.half_width,
            coverage=number.coverage,
        ),
        bootstrap_replicates=section.bootstrap_replicates,
        candidate=models[_CANDIDATE].estimates(),
        validation=comparators.model_metrics(
            section, validation.truth, replace(candidate, scores=validation_scores), own
        ),
        others={name: models[name].estimates() for name in others},
        thresholds={name: other.threshold for name, other in others.items()},
        # A lead over a model without the candidate's mitigation would include the mitigation's
        # cost.
        leads={
            name: models[_CANDIDATE].lead(models[name], own)
            for name in others
            if not name.endswith(comparators.UNMITIGATED)
        },
        minimum_effect=section.minimum_effect,
        champion=champion,
        confusion=confusion(test.labels, candidate)
        if classes == 2
        else tuple(map(tuple, confusion_matrix(test.labels, candidate).tolist())),
        classes=class_rates(test.labels, candidate) if classes > 2 else (),
        calibration=records.Calibration(
            curve=tuple(calibration.reliability_curve(came_true, certainty)),
            error_by_chance=by_chance,
            temperature=fit,
            before={name: before[name] for name in _CALIBRATION if before},
        ),
        slices=slice_figures(
            section,
            test.labels,
            candidate,
            slices,
            first_favourable=first_favourable,
            values=test.values,
        ),
        selective=section.abstain
        and measure_selective(
            test.labels, candidate, replicates=section.bootstrap_replicates, seed=section.seed
        ),
        injection=injection,
        learning_curve=train_output.curve,
        notes=(),
    )
    return evaluation.model_copy(update={"notes": tuple(plain_notes(evaluation, decision))})


def write_metrics(
    evaluation: records.Evaluation,
    folder: Path,
    truth: Truth,
    candidate: ModelScores,
    *,
    section: EvaluateSection,
) -> None:
    """Writes the metrics; but for two classes also by SageMaker's names, for its registry."""
    records.write_evaluation(evaluation, folder)
    replicates, seed = section.bootstrap_replicates, section.seed
    statistics: dict[str, Any] = {}
    if evaluation.number is not None:
        statistics = regression_statistics(truth, candidate, replicates=replicates, seed=seed)
    elif evaluation.classes:
        matrix, labels = np.array(evaluation.matrix, dtype=np.int64), evaluation.labels
        statistics = multiclass_statistics(matrix, labels, replicates=replicates, seed=seed)
    if statistics:
        write_json(folder / STATISTICS_FILE, statistics)


def held_out_reference(
    evaluation: records.Evaluation,
    candidate: ModelScores,
    split: Split,
    *,
    template: str,
    missing: str,
) -> Reference:
    """Describes the test split, with which monitoring compares captured requests.

    The template and what stands for a null in its text are the candidate's.

    Raises:
        InputError: if Prepare's slices lack a column of the template.
    """
    slices = processing_input("slices")
    table = read_columns(slices / "data.parquet", columns(template))
    test, labels = evaluation.splits["test"], split.labels
    first = evaluation.first_favourable
    scored = pa.chunked_array([favourable_scores(candidate.scores, first=first)])
    score_counts = count_reference("score", scored)
    right = candidate.predicted == labels
    confidence, decided_by, decided = None, scored, score_counts
    if candidate.classes > 2:
        decided_by = pa.chunked_array([candidate.scores.max(axis=1)])
        confidence = decided = count_reference("confidence", decided_by)
    right_by_cell = np.bincount(cells_of(decided, decided_by)[right], minlength=len(decided.counts))
    return Reference(
        rows=test.rows,
        positives=test.positives,
        true_positives=int(np.sum(right & (labels == 1))) if candidate.classes <= 2 else None,
        labels=evaluation.labels,
        first_favourable=first,
        threshold=evaluation.threshold,
        template=template,
        missing=missing,
        columns=tuple(count_reference(name, table[name]) for name in table.column_names),
        scores=score_counts,
        number=_number_counts(evaluation, candidate, split.values),
        classes=_class_counts(candidate, labels) if candidate.classes > 2 else (),
        confidence=confidence,
        right=tuple(int(rows) for rows in right_by_cell),
        calibration=evaluation.calibration.curve,
        artifact_sha256=sha256_file(processing_input("artifact") / ARTIFACT),
        test_sha256=sha256_tree(processing_input("test")),
        columns_sha256=sha256_tree(slices),
    )


def _number_counts(
    evaluation: records.Evaluation, candidate: ModelScores, values: Floats | None
) -> NumberCounts | None:
    figures = evaluation.number
    if figures is None or values is None:
        return None
    cap = 2 * figures.half_width or figures.standard_deviation
    errors = np.abs(values - candidate.scores[:, 0])
    return NumberCounts(
        half_width=figures.half_width,
        covered=int(covered_rows(values, candidate).sum()),
        error_cap=cap,
        capped_error=float(np.minimum(errors / cap, 1).sum()),
        metrics={name: one.value for name, one in evaluation.candidate.items() if name in _ERRORS},
    )


def _class_counts(candidate: ModelScores, labels: Ints) -> tuple[ClassCounts, ...]:
    classes, decided = range(candidate.classes), candidate.predicted.copy()
    decided[~candidate.answered] = -1
    return tuple(
        ClassCounts(
            rows=int(np.sum((labels == index) & candidate.answered)),
            predicted=int(np.sum(decided == index)),
            right=int(np.sum((labels == index) & (decided == index))),
            scores=count_reference("score", pa.chunked_array([candidate.scores[:, index]])),
        )
        for index in classes
    )


def write_predictions(
    path: Path,
    scored_splits: Mapping[str, tuple[Split, ModelScores]],
    *,
    evaluation: records.Evaluation,
) -> None:
    """Writes key, split, label, score and prediction of each row.

    Label and prediction are indices of classes, and the score is the probability of a favourable
    one. With more than two classes, `scores` lists the probability of each, and with the policy
    `abstain` `answered` says whether the prediction is given. Of a number, label and
    prediction are those of the outcomes, the score is the predicted value, `value` the observed
    one, and `half_width` that of the interval around the prediction.
    """
    tables = []
    for name, (split, model) in scored_splits.items():
        scores = favourable_scores(model.scores, first=evaluation.first_favourable)
        columns = {
            "key": pa.array(split.keys, pa.string()),
            "split": pa.array([name] * len(split.keys), pa.string()),
            "label": pa.array(split.labels, pa.int64()),
            "score": pa.array(scores, pa.float64()),
            "predicted": pa.array(model.predicted),
        }
        if model.classes > 2:
            columns["scores"] = pa.array(list(model.scores), pa.list_(pa.float64()))
        if evaluation.selective is not None:
            columns["answered"] = pa.array(model.answered)
        if split.values is not None:
            columns["value"] = pa.array(split.values, pa.float64())
            columns["half_width"] = pa.array([model.half_width] * len(scores), pa.float64())
        tables.append(pa.table(columns))
    write_table(path, pa.concat_tables(tables))


if __name__ == "__main__":
    run_step(main)
