"""The counterfactual flip test, which compares rows with their neighbours in the other group.

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
_FEW_ROWS = 9  # with at most so many rows of the advantaged group, only the nearest one decides


@dataclass(frozen=True)
class FlipTest:
    """The result of a flip test."""

    value: float | None  # FT, or None if undefined
    rows: int  # the number of rows used; fewer than the data's if a sample was drawn
    error: str = ""  # why it is undefined; else empty


def flip_test(features: Floats, disadvantaged: Bools, predicted: Bools, *, seed: int) -> FlipTest:
    """FT = (F+ - F-) / n_d, from -1 to 1; above 0 similar rows of the advantaged group fare better.

    F+ counts the rows of the disadvantaged group that are predicted negative while the majority of
    their nearest neighbours in the advantaged group is predicted positive; F- the reverse.
    Neighbours are the five nearest by Euclidean distance of the unscaled features, as in Clarify:
    scale features with different units first.

    Args:
        features: numbers that describe a row, without facet and label, shape (rows, features).
        disadvantaged: whether a row is in the disadvantaged group, shape (rows,).
        predicted: whether it is predicted positive, shape (rows,).
        seed: of the sample, which is drawn from more than 10,000 rows.
    """
    if len(features) > MOST_ROWS:
        sample = np.random.default_rng(seed).choice(len(features), MOST_ROWS, replace=False)
        sample.sort()
        features, disadvantaged, predicted = (
            features[sample],
            disadvantaged[sample],
            predicted[sample],
        )
    if reason := _undefined(features, disadvantaged, predicted):
        return FlipTest(None, len(features), reason)
    own = predicted[disadvantaged]
    others = _neighbour_majority(features, disadvantaged, predicted)
    flips = int(np.sum(others & ~own)) - int(np.sum(own & ~others))
    return FlipTest(flips / len(own), len(features))


def _undefined(features: Floats, disadvantaged: Bools, predicted: Bools) -> str:
    reasons = {
        "there is no numeric feature for a neighbour search, as in text": not features.shape[1],
        "a feature is no finite number in some rows, so they have no neighbours": not np.isfinite(
            features
        ).all(),
        "the disadvantaged group has no rows": not disadvantaged.any(),
        "the advantaged group has no rows: every row is of the disadvantaged": disadvantaged.all(),
        "no row is predicted positive": not predicted.any(),
        "every row is predicted positive": predicted.all(),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _neighbour_majority(features: Floats, disadvantaged: Bools, predicted: Bools) -> Bools:
    """Returns the majority prediction of each disadvantaged row's neighbours."""
    from sklearn.neighbors import NearestNeighbors

    advantaged = features[~disadvantaged]
    nearest = NearestNeighbors(n_neighbors=_NEIGHBOURS if len(advantaged) > _FEW_ROWS else 1)
    neighbours = nearest.fit(advantaged).kneighbors(features[disadvantaged], return_distance=False)
    positive: Bools = predicted[~disadvantaged][neighbours].mean(axis=1) > 0.5
    return positive
