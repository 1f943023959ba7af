"""Every figure of a model's quality, from scores alone."""

from collections.abc import Mapping

from sashiko.evaluation import ChampionRecord, Decision, Estimates, Evaluation
from sashiko.metrics.arrays import Floats
from sashiko.metrics.quality import calibration, confusion, difference, evaluate_scores
from sashiko.recipe import EvaluateSection
from sashiko.steps.comparators import Scored
from sashiko.steps.evaluation_notes import plain_notes
from sashiko.steps.scored_splits import Split
from sashiko.training.checkpoint import MetricLine


def evaluate(
    section: EvaluateSection,
    candidate: Scored,
    others: Mapping[str, Scored],
    *,
    splits: Mapping[str, Split],
    validation_scores: Floats,
    decision: Decision,
    labels: tuple[str, str],
    champion: ChampionRecord | None,
    curve: tuple[MetricLine, ...],
) -> Evaluation:
    """Computes every figure; all intervals of a split rest on the same resamples.

    Args:
        section: size and seed of the bootstrap.
        candidate: its scores of the test split, and the decision threshold.
        others: `majority`, `tfidf_logistic_regression` and perhaps `champion`, likewise.
        splits: train, validation and test.
        validation_scores: the candidate's.
        decision: how the threshold came about.
        labels: the negative and the positive one.
        champion: which version that is.
        curve: Train's metrics.
    """
    test, validation = splits["test"], splits["validation"]
    replicates, seed = section.bootstrap_replicates, section.seed

    def metrics(split: Split, model: Scored) -> Estimates:
        return evaluate_scores(
            split.labels, model.scores, threshold=model.threshold, replicates=replicates, seed=seed
        )

    leads = {
        name: difference(
            test.labels,
            candidate.scores,
            other.scores,
            threshold=candidate.threshold,
            other_threshold=other.threshold,
            replicates=replicates,
            seed=seed,
        )
        for name, other in others.items()
    }
    on_test = metrics(test, candidate)
    return Evaluation(
        splits={name: split.count for name, split in splits.items()},
        labels=labels,
        threshold=candidate.threshold,
        bootstrap_replicates=replicates,
        candidate=on_test,
        validation=metrics(validation, Scored(validation_scores, candidate.threshold)),
        others={name: metrics(test, other) for name, other in others.items()},
        thresholds={name: other.threshold for name, other in others.items()},
        leads=leads,
        champion=champion,
        confusion=confusion(test.labels, candidate.scores, threshold=candidate.threshold),
        calibration=tuple(calibration(test.labels, candidate.scores)),
        learning_curve=curve,
        notes=plain_notes(
            leads=leads, candidate=on_test, decision=decision, test_rows=len(test.keys)
        ),
    )
