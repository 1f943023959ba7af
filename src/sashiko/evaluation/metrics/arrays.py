"""Array types of the metrics, and division with NaN for undefined ratios."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divides; a denominator of 0 gives NaN, which means undefined."""
    result: Floats = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=np.not_equal(denominator, 0))
    return result
