"""The counterfactual flip test, which asks whether like rows of the other group fare otherwise.

Source: "Counterfactual Fliptest (FT)" in the Amazon SageMaker AI Developer Guide, after E. Black,
S. Yeom and M. Fredrikson, "FlipTest: Fairness Testing via Optimal Transport" (2020).
"""

from dataclasses import dataclass

import numpy as np

from sashiko.evaluation.metrics.arrays import Bools, Floats

NAME = "FT"
DESCRIPTION = "Flip Test (FT)"
MOST_ROWS = 10_000
_NEIGHBOURS = 5
_FEW_ROWS = 9  # with so few rows of the advantaged group the nearest alone decides


@dataclass(frozen=True)
class FlipTest:
    """The outcome of a flip test.

    Attributes:
        value: FT, or None where it is undefined.
        rows: on how many rows it was made; fewer than the data have where it is of a sample.
        error: why it is undefined; empty where it is not.
    """

    value: float | None
    rows: int
    error: str = ""


def flip_test(features: Floats, disadvantaged: Bools, predicted: Bools, *, seed: int) -> FlipTest:
    """FT = (F+ - F-) / n_d, from -1 to 1; more than 0: like rows of the advantaged fare better.

    F+ counts the rows of the disadvantaged group that are predicted negative while the majority of
    their nearest neighbours in the advantaged group is predicted positive; F- the other way round.
    Neighbours are the five nearest by Euclidean distance of the features as they are, as Clarify
    takes them: bring features of different units to one scale first.

    Args:
        features: numbers that describe a row, without facet and label, shape (rows, features).
        disadvantaged: whether a row is of the disadvantaged group, shape (rows,).
        predicted: whether it is predicted positive, shape (rows,).
        seed: of the sample that is drawn from more than 10,000 rows.
    """
    if len(features) > MOST_ROWS:
        drawn = np.random.default_rng(seed).choice(len(features), MOST_ROWS, replace=False)
        drawn.sort()
        features, disadvantaged, predicted = features[drawn], disadvantaged[drawn], predicted[drawn]
    if reason := _undefined(features, disadvantaged, predicted):
        return FlipTest(None, len(features), reason)
    own = predicted[disadvantaged]
    others = _neighbours_outcome(features, disadvantaged, predicted)
    flips = int(np.sum(others & ~own)) - int(np.sum(own & ~others))
    return FlipTest(flips / len(own), len(features))


def _undefined(features: Floats, disadvantaged: Bools, predicted: Bools) -> str:
    reasons = {
        "there is no numeric feature to find a neighbour by, as in text": not features.shape[1],
        "a feature is no finite number in some rows, so they have no neighbours": not np.isfinite(
            features
        ).all(),
        "the disadvantaged group has no rows": not disadvantaged.any(),
        "the advantaged group has no rows: every row is of the disadvantaged": disadvantaged.all(),
        "no row is predicted positive": not predicted.any(),
        "every row is predicted positive": predicted.all(),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _neighbours_outcome(features: Floats, disadvantaged: Bools, predicted: Bools) -> Bools:
    """Returns what the majority of each disadvantaged row's neighbours is predicted."""
    from sklearn.neighbors import NearestNeighbors

    advantaged = features[~disadvantaged]
    nearest = NearestNeighbors(n_neighbors=_NEIGHBOURS if len(advantaged) > _FEW_ROWS else 1)
    found = nearest.fit(advantaged).kneighbors(features[disadvantaged], return_distance=False)
    positive: Bools = predicted[~disadvantaged][found].mean(axis=1) > 0.5
    return positive
