"""Precomputed scores of a binary classifier, for metrics under many row weights at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from sashiko.evaluation.metrics.arrays import Floats, Ints, ratio
from sashiko.evaluation.metrics.calibration import CALIBRATION_BINS, equal_mass_bins


@dataclass(frozen=True)
class Scored:
    """Precomputed rows: the metrics of many weightings need only a few array operations."""

    cells: Floats  # shape (rows, 4), 1 in the row's column of TP, FP, FN, TN
    gaps: Floats  # shape (rows, bins), score - label in the column of the row's calibration bin
    squares: Floats  # shape (rows,), (score - label)^2
    order: npt.NDArray[np.intp]  # rows by ascending score
    starts: npt.NDArray[np.intp]  # positions in `order` at which the distinct scores begin
    positive: Floats  # labels in `order`, float64

    @classmethod
    def of(cls, labels: Ints, scores: Floats, *, threshold: float) -> "Scored":
        """Prepares rows: labels 0 or 1, scores in [0, 1], both of shape (rows,)."""
        predicted = scores >= threshold
        positive = labels == 1
        cells = [positive & predicted, ~positive & predicted, positive & ~predicted,
                 ~positive & ~predicted]  # fmt: skip
        gaps = np.zeros((len(labels), CALIBRATION_BINS))
        gaps[np.arange(len(labels)), equal_mass_bins(scores)] = scores - labels
        order = np.argsort(scores, kind="stable")
        ascending = scores[order]
        starts = np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]]))
        return cls(
            cells=np.stack(cells, axis=1).astype(np.float64),
            gaps=gaps,
            squares=(scores - labels) ** 2,
            order=order,
            starts=starts,
            positive=positive[order].astype(np.float64),
        )

    def metrics(self, weights: Floats) -> dict[str, Floats]:
        """Returns name -> values of shape (weightings,) for weights of shape (weightings, rows)."""
        counted = threshold_metrics(*(weights @ self.cells).T)
        rows = weights.sum(axis=1)
        return {
            **counted,
            **self._rank_metrics(weights),
            "brier_score": ratio(weights @ self.squares, rows),
            "expected_calibration_error": ratio(np.abs(weights @ self.gaps).sum(axis=1), rows),
        }

    def _rank_metrics(self, weights: Floats) -> dict[str, Floats]:
        ascending = weights[:, self.order]
        positives = np.add.reduceat(ascending * self.positive, self.starts, axis=1)
        negatives = np.add.reduceat(ascending, self.starts, axis=1) - positives
        below = np.cumsum(negatives, axis=1) - negatives
        wins = (positives * (below + negatives / 2)).sum(axis=1)
        all_positives = positives.sum(axis=1)
        # Of the rows with at least each distinct score.
        true_positives = _sum_from_the_right(positives)
        precisions = np.nan_to_num(
            ratio(true_positives, true_positives + _sum_from_the_right(negatives))
        )
        return {
            "auc": ratio(wins, all_positives * negatives.sum(axis=1)),
            "average_precision": ratio((positives * precisions).sum(axis=1), all_positives),
        }


def _sum_from_the_right(values: Floats) -> Floats:
    result: Floats = np.cumsum(values[:, ::-1], axis=1)[:, ::-1]
    return result


def threshold_metrics(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Mapping[str, Floats]:
    """Returns the metrics of confusion counts, elementwise."""
    recall, specificity = ratio(tp, tp + fn), ratio(tn, tn + fp)
    return MappingProxyType(
        {
            "accuracy": ratio(tp + tn, tp + fp + fn + tn),
            "balanced_accuracy": (recall + specificity) / 2,
            "precision": ratio(tp, tp + fp),
            "recall": recall,
            "f1": ratio(2 * tp, 2 * tp + fp + fn),
        }
    )
