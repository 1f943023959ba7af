"""Array types of the metrics, and division with NaN for undefined ratios."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Truth = Ints | Floats  # of each row the index of its class, or of a number its value; (rows,)


NO_THRESHOLD = 0.0  # of more than two classes, where every row is answered


@dataclass(frozen=True)
class ModelScores:
    """A model's scores of some rows.

    Attributes:
        scores: the probability of each class, shape (rows, classes); each row sums to 1. Of a
            number, its predicted values in the label's unit, shape (rows, 1).
        threshold: of two classes, the lowest score of the second that is predicted as it; of more,
            the lowest score of the most probable class with which a row is answered; of a number,
            the value above which the outcome is favourable.
        half_width: of a number, of the interval around each predicted value; None of classes.
    """

    scores: Floats
    threshold: float
    half_width: float | None = None

    @property
    def classes(self) -> int:
        """The number of classes; 1 says that the scores are numbers."""
        return int(self.scores.shape[1])

    @property
    def predicted(self) -> Ints:
        """The index of each row's predicted class, or of a number's outcome; shape (rows,).

        A row that is not answered has one too.
        """
        return predict_classes(self.scores, threshold=self.threshold)

    @property
    def answered(self) -> Bools:
        """Whether each row of more than two classes is answered, shape (rows,)."""
        answered: Bools = self.scores.max(axis=1) >= self.threshold
        return answered


def predict_classes(scores: Floats, *, threshold: float) -> Ints:
    """Decides rows by their scores, of shape (rows, classes).

    Of two classes, the second is predicted where its score is at least the threshold. Of more, the
    most probable one is, the first of equal ones. A number, of shape (rows, 1), has the second
    outcome where it is above the threshold.

    Returns:
        The index of each row's predicted class, shape (rows,).
    """
    if scores.shape[1] == 1:
        classes = scores[:, 0] > threshold
    else:
        classes = scores[:, 1] >= threshold if scores.shape[1] == 2 else scores.argmax(axis=1)
    return np.asarray(classes, dtype=np.int64)


def favourable_scores(scores: Floats, *, first: int) -> Floats:
    """Returns the probability that a row's class is favourable: one of those from `first` on.

    Of two classes it is the second one's score, bit for bit. Of a number it is the value itself.
    """
    if scores.shape[1] == 1:
        first = 0
    total: Floats = scores[:, first:].sum(axis=1)
    return total


def two_classes(scores: Floats) -> Floats:
    """Returns the scores of two classes, shape (rows, 2), by those of the second, shape (rows,)."""
    return np.stack([1 - scores, scores], axis=1)


def class_members(classes: Ints, count: int) -> Floats:
    """Returns 1.0 in the column of each row's class and else 0.0, shape (rows, count)."""
    return np.eye(count)[classes]


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divides; a denominator of 0 gives NaN, which means undefined."""
    result: Floats = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=np.not_equal(denominator, 0))
    return result
