"""Compares the trained model's scores with those of the artifact that is served."""

import numpy as np
import pyarrow as pa

from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Floats
from sashiko.evaluation.metrics.flips import flip_rate
from sashiko.explain.check_records import Rounding
from sashiko.explain.notes import NEAR

# Limit of the mean difference: int8 causes 0.010, another seed 0.034 or more
# (verification.benchmarks.quantization).
_ROUNDED = 0.02


def check_same_model(scores: Floats, predictions: pa.Table, *, rounded: bool) -> float:
    """Returns the largest difference of a probability from Evaluate's, of the same model.

    Args:
        scores: of the trained model, in float32.
        predictions: Evaluate's of the same rows; key, score.
        rounded: whether the artifact is served in another type.

    Raises:
        InputError: if the scores differ from Evaluate's.
    """
    evaluated: Floats = predictions["score"].to_numpy()
    # Rounding moves a few rows far, another model most of them.
    difference = np.abs(scores - evaluated)
    differs = difference.mean() > _ROUNDED if rounded else difference.max() > NEAR
    if differs:
        index = int(difference.argmax())
        raise InputError(
            f"the model scores the row with key {predictions['key'][index].as_py()!r} "
            f"{difference[index]:.3f} away from its prediction, and all {len(difference)} rows "
            f"{difference.mean():.3f} on average: it is not the model that Evaluate judged; run "
            "the pipeline again from Train"
        )
    return float(difference.max())


def compare_rounded(
    scores: Floats, predictions: pa.Table, *, threshold: float, dtype: str
) -> Rounding:
    """Compares the trained model's scores with those of the rounded artifact that is served.

    Args:
        scores: of the trained model, in float32.
        predictions: Evaluate's of the same rows; score, predicted.
        threshold: lowest score that is predicted positive.
        dtype: what the artifact is served in.
    """
    served: Floats = predictions["score"].to_numpy()
    decided = predictions["predicted"].to_numpy() == 1
    decides = scores >= threshold
    difference = np.abs(scores - served)
    return Rounding(
        dtype=dtype,
        rows=len(scores),
        changed=int((decides != decided).sum()),
        rate=flip_rate(decides, decided),
        largest_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
    )
