"""Metrics of more than two classes, as functions of row weights (`evaluation.metrics.quality`).

A label is the index of a class, int64, shape (rows,); scores are the probabilities of the classes,
shape (rows, classes). The most probable class is predicted.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sashiko.evaluation.metrics.arrays import (
    Floats,
    Ints,
    ModelScores,
    class_members,
    ratio,
)
from sashiko.evaluation.metrics.calibration import (
    CALIBRATION_BINS,
    equal_mass_bins,
    share_estimate,
    wilson_interval,
)
from sashiko.evaluation.metrics.uncertainty import Estimate

WORST_RECALL = "worst_class_recall"
FEWEST_OF_A_CLASS = 30  # rows, to judge the recall of a class by
_SMALLEST = np.finfo(np.float64).eps  # probability in the log loss, as scikit-learn clips it


@dataclass(frozen=True)
class ClassRates:
    """How a model finds the rows of one class, on some rows."""

    rows: int  # rows of the class
    predicted: int  # rows that are predicted as it
    recall: Estimate  # share of its rows that are predicted as it, with Wilson's 95 % interval
    precision: Estimate  # share of the predictions as it that are right, likewise
    f1: float | None  # 2 TP / (rows + predicted); None if both are 0

    @property
    def judged(self) -> bool:
        """Whether it has enough rows to judge its recall."""
        return self.rows >= FEWEST_OF_A_CLASS

    def estimate(self, metric: str) -> Estimate:
        """Returns the class's `recall`, `precision` or `f1` with its 95 % interval.

        F1 is 2 F / (1 + F), where F is the share of rows predicted right among those that are
        labelled or predicted as the class; its interval is that of F by Wilson (Lam, Gopal and
        Qian, Confidence Intervals for the F1 Score, arXiv 2309.14621, the indirect method).
        """
        if metric != "f1":
            return self.recall if metric == "recall" else self.precision
        if self.f1 is None:
            return Estimate(value=None, low=None, high=None)
        share = self.f1 / (2 - self.f1)
        rows = round((self.rows + self.predicted) / (1 + share))
        low, high = (2 * end / (1 + end) for end in wilson_interval(share, rows))
        return Estimate(self.f1, low, high)


def class_rates(labels: Ints, model: ModelScores) -> tuple[ClassRates, ...]:
    """Measures a model by class, in the order of the classes."""
    predicted = model.predicted

    def rates(index: int) -> ClassRates:
        truth, answer = labels == index, predicted == index
        rows, answers = int(truth.sum()), int(answer.sum())
        right = int((truth & answer).sum())
        return ClassRates(
            rows=rows,
            predicted=answers,
            recall=share_estimate(answer[truth]),
            precision=share_estimate(truth[answer]),
            f1=2 * right / (rows + answers) if rows + answers else None,
        )

    return tuple(rates(index) for index in range(model.classes))


def worst_judged(rates: "tuple[ClassRates, ...]") -> int | None:
    """Returns the index of the class with the lowest recall, of those with enough rows."""
    judged = [index for index, rate in enumerate(rates) if rate.judged]
    return min(judged, key=lambda index: rates[index].recall.value or 0.0, default=None)


@dataclass(frozen=True)
class ScoredClasses:
    """Precomputed rows of a model, of more than two classes."""

    truth: Floats  # 1 in the column of the row's class, shape (rows, classes)
    answer: Floats  # 1 in the column of the predicted class, likewise
    judged: Ints  # indices of the classes whose recall is judged
    # Per row: whether it is decided right, whether its class is among the `top_k` most probable
    # ones, the log loss and the squared distance. Shape (rows, 4).
    sums: Floats
    top_k: int
    gaps: Floats  # shape (rows, classes), score - truth of each class
    bins: npt.NDArray[np.intp]  # calibration bin of each class's score, shape (rows, classes)
    top_gaps: Floats  # shape (rows,), score of the predicted class - whether it is right
    top_bins: npt.NDArray[np.intp]  # calibration bin of the predicted class's score, shape (rows,)
    exact: dict[str, Estimate]  # estimates whose interval is not the bootstrap's

    @classmethod
    def of(cls, labels: Ints, model: ModelScores, *, top_k: int = 2) -> "ScoredClasses":
        """Prepares rows of more than two classes."""
        scores, predicted, every = model.scores, model.predicted, np.arange(len(labels))
        truth = class_members(labels, model.classes)
        right = predicted == labels
        # The first of equal ones, as the prediction is chosen.
        likeliest = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
        likely = (likeliest == labels[:, None]).any(axis=1)
        losses = -np.log(np.clip(scores[every, labels], _SMALLEST, 1))
        rates = class_rates(labels, model)
        worst = worst_judged(rates)
        top = scores[every, predicted]
        return cls(
            truth=truth,
            answer=class_members(predicted, model.classes),
            judged=np.flatnonzero([rate.judged for rate in rates]).astype(np.int64),
            sums=np.stack([right, likely, losses, ((scores - truth) ** 2).sum(axis=1)], axis=1),
            top_k=top_k,
            gaps=scores - truth,
            bins=np.stack([equal_mass_bins(column) for column in scores.T], axis=1),
            top_gaps=top - right,
            top_bins=equal_mass_bins(top),
            exact={} if worst is None else {WORST_RECALL: rates[worst].recall},
        )

    def metrics(self, weights: Floats) -> dict[str, Floats]:
        """Returns name -> values of shape (weightings,) for weights of shape (weightings, rows)."""
        of_classes = zip(self.gaps.T, self.bins.T, strict=True)
        errors = [_calibration_error(weights, *both) for both in of_classes]
        return {
            **self.quality(weights),
            "expected_calibration_error": _calibration_error(weights, self.top_gaps, self.top_bins),
            "classwise_calibration_error": np.mean(errors, axis=0),
        }

    def quality(self, weights: Floats) -> dict[str, Floats]:
        """Returns the metrics without the calibration errors, which take most of the time.

        A class without rows counts for no mean of recalls, and one without rows and predictions for
        no mean of F1, as in scikit-learn.
        """
        right = weights @ (self.truth * self.answer)
        labelled, predicted = weights @ self.truth, weights @ self.answer
        recalls = ratio(right, labelled)
        rows = weights.sum(axis=1)
        accuracy, likely, log_loss, brier = ((weights @ self.sums) / rows[:, None]).T
        worst = recalls[:, self.judged].min(axis=1) if len(self.judged) else np.nan * rows
        return {
            "accuracy": accuracy,
            "balanced_accuracy": np.nanmean(recalls, axis=1),
            "macro_f1": np.nanmean(ratio(2 * right, labelled + predicted), axis=1),
            WORST_RECALL: worst,
            f"top_{self.top_k}_accuracy": likely,
            "log_loss": log_loss,
            "brier_score": brier,
        }


def _calibration_error(weights: Floats, gaps: Floats, bins: npt.NDArray[np.intp]) -> Floats:
    """Returns the mean over rows of |mean gap| of the row's bin, shape (weightings,)."""
    member = np.zeros((len(gaps), CALIBRATION_BINS))
    member[np.arange(len(gaps)), bins] = gaps
    return ratio(np.abs(weights @ member).sum(axis=1), weights.sum(axis=1))
