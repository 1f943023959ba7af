"""Computes all quality metrics from scores."""

from collections.abc import Mapping, Sequence

from sashiko.evaluation.metrics.arrays import Floats, Ints, ModelScores
from sashiko.evaluation.metrics.calibration import (
    error_by_chance,
    reliability_curve,
    without_temperature,
)
from sashiko.evaluation.metrics.own import OwnMetrics
from sashiko.evaluation.metrics.quality import confusion
from sashiko.evaluation.record import (
    Calibration,
    ChampionRecord,
    Decision,
    Estimates,
    Evaluation,
    InjectionFigures,
    TemperatureFit,
)
from sashiko.settings.quality import EvaluateSection
from sashiko.steps.baselines import LINEAR, LINEAR_UNMITIGATED
from sashiko.steps.comparators import model_metrics, resample_models
from sashiko.steps.evaluation_notes import plain_notes
from sashiko.steps.scored_splits import Split
from sashiko.steps.seen_text import seen_in_train, seen_text_figures
from sashiko.steps.slicing import Slice, slice_figures
from sashiko.steps.train_output import TrainOutput

_CANDIDATE = "candidate"
_CALIBRATION = ("expected_calibration_error", "brier_score")


def evaluate(
    section: EvaluateSection,
    *,
    splits: Mapping[str, Split],
    slices: Sequence[Slice],
    labels: tuple[str, str],
    decision: Decision,
    candidate: ModelScores,
    validation_scores: Floats,
    others: Mapping[str, ModelScores],
    own: OwnMetrics,
    champion: ChampionRecord | None,
    train_output: TrainOutput,
    injection: InjectionFigures | None,
) -> Evaluation:
    """Computes all metrics; the intervals of a split use the same bootstrap resamples.

    Candidate and others, the baselines and the champion, have scored the test split.
    """
    test, validation = splits["test"], splits["validation"]
    models = resample_models(section, test.labels, {_CANDIDATE: candidate, **others}, own)
    on_test = models[_CANDIDATE].estimates()
    # A lead over a model without the candidate's mitigation would include the mitigation's cost.
    leads = {
        name: models[_CANDIDATE].lead(models[name], own)
        for name in others
        if name != LINEAR_UNMITIGATED
    }
    dates = train_output.dates
    first_days = {"validation": dates.validation_from, "test": dates.test_from} if dates else {}
    calibration = _calibration(section, test.labels, candidate, train_output.temperature)
    slice_records = slice_figures(section, test.labels, candidate, slices)
    seen = seen_in_train(splits["train"].texts, test.texts)
    seen_text = seen_text_figures(section, test.labels, seen, candidate, others[LINEAR])
    return Evaluation(
        splits={name: split.count(since=first_days.get(name)) for name, split in splits.items()},
        labels=labels,
        threshold=candidate.threshold,
        bootstrap_replicates=section.bootstrap_replicates,
        candidate=on_test,
        validation=model_metrics(
            section, validation.labels, ModelScores(validation_scores, candidate.threshold), own
        ),
        others={name: models[name].estimates() for name in others},
        thresholds={name: other.threshold for name, other in others.items()},
        leads=leads,
        minimum_effect=section.minimum_effect,
        champion=champion,
        confusion=confusion(test.labels, candidate.scores, threshold=candidate.threshold),
        calibration=calibration,
        slices=slice_records,
        seen_text=seen_text,
        injection=injection,
        learning_curve=train_output.curve,
        notes=plain_notes(
            leads=leads,
            reweighed=LINEAR_UNMITIGATED in others,
            minimum_effect=section.minimum_effect,
            candidate=on_test,
            calibration=calibration,
            slices=slice_records,
            seen_text=seen_text,
            injection=injection,
            decision=decision,
            test=test.count(since=first_days.get("test")),
            champion=champion,
        ),
    )


def _calibration(
    section: EvaluateSection, labels: Ints, candidate: ModelScores, fit: TemperatureFit | None
) -> Calibration:
    before: Estimates = {}
    if fit is not None:
        scores = without_temperature(candidate.scores, fit.temperature)
        unscaled = model_metrics(section, labels, ModelScores(scores, candidate.threshold), {})
        before = {name: unscaled[name] for name in _CALIBRATION}
    return Calibration(
        curve=tuple(reliability_curve(labels, candidate.scores)),
        error_by_chance=error_by_chance(
            candidate.scores, replicates=section.bootstrap_replicates, seed=section.seed
        ),
        temperature=fit,
        before=before,
    )
