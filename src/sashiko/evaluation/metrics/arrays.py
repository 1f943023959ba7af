"""Array types of the metrics, and division with NaN for undefined ratios."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ModelScores:
    """A model's scores of the test split, P(label = 1) of shape (rows,), and its threshold."""

    scores: Floats
    threshold: float


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divides; a denominator of 0 gives NaN, which means undefined."""
    result: Floats = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=np.not_equal(denominator, 0))
    return result
