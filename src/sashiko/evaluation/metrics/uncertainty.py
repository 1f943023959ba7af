"""Percentile bootstrap intervals, seeded and vectorised.

Source: B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
Simultaneous intervals are widened by Bonferroni's inequality: O. J. Dunn, Multiple Comparisons
Among Means, Journal of the American Statistical Association 56 (1961), 52-64.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats, Ints

CONFIDENCE = 0.95
_MAX_UNDEFINED = 0.01
_LEAST_BEYOND = 5  # resamples beyond each end, so that no single one determines it
_MAX_WEIGHTS = 2_000_000  # 16 MB of 64-bit numbers per block


@dataclass(frozen=True)
class Interval:
    """The two ends of an interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A metric's value with its 95 % interval."""

    value: float | None  # the metric on the original rows; None if undefined
    low: float | None  # lower end of the interval; None if there is none
    high: float | None  # upper end of the interval; None if there is none

    @property
    def text(self) -> str:
        """Value and interval with three decimals: `0.812 [0.790, 0.834]`."""
        if self.value is None:
            return "undefined"
        ends = "" if self.low is None else f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.value:.3f}{ends}"


def percentile_interval(replicates: Floats, *, looks: int = 1) -> Interval | None:
    """Returns the central 95 % of a statistic's bootstrap replicates, or more for several looks.

    Args:
        replicates: one value per resample, shape (replicates,); NaN if undefined.
        looks: the number of simultaneous statistics. Each interval then excludes 5 % / looks, so
            that all of them cover their true values simultaneously with 95 % confidence, however
            the statistics depend on each other.

    Returns:
        The interval; None if the statistic is undefined in more than 1 % / looks of the resamples,
        since excluding them would then shift the ends.
    """
    undefined = np.isnan(replicates)
    if undefined.mean() > _MAX_UNDEFINED / looks:
        return None
    tail = (1 - CONFIDENCE) / 2 / looks
    low, high = np.quantile(replicates[~undefined], [tail, 1 - tail])
    return Interval(low=float(low), high=float(high))


def required_replicates(replicates: int, *, looks: int) -> int:
    """Returns the number of resamples for simultaneous intervals, at least `replicates`."""
    return max(replicates, math.ceil(_LEAST_BEYOND * 2 * looks / (1 - CONFIDENCE)))


def estimate(value: float, replicates: Floats) -> Estimate:
    """Returns the estimate of a value (NaN: undefined) with its bootstrap replicates."""
    if np.isnan(value):
        return Estimate(value=None, low=None, high=None)
    interval = percentile_interval(replicates)
    if interval is None:
        return Estimate(value=float(value), low=None, high=None)
    return Estimate(value=float(value), low=interval.low, high=interval.high)


def resampled_counts(counts: Ints, *, replicates: int, seed: int) -> Iterator[Ints]:
    """Draws counts, equivalent to resampling their n rows: one multinomial draw of size n.

    Args:
        counts: rows per cell, any shape, at least one row.
        replicates: the number of resamples.
        seed: of the random generator; equal seeds give equal draws.

    Yields:
        Blocks of shape (some, *counts.shape), `replicates` in all.
    """
    cells = counts.ravel()
    rows = int(cells.sum())
    generator = np.random.default_rng(seed)
    block = max(1, _MAX_WEIGHTS // len(cells))
    for start in range(0, replicates, block):
        size = min(block, replicates - start)
        drawn = generator.multinomial(rows, cells / rows, size=size)
        yield drawn.reshape(size, *counts.shape)


def resampled_weights(rows: int, *, replicates: int, seed: int) -> Iterator[Floats]:
    """Draws the count of each row in each resample of `rows` rows with replacement.

    Args:
        rows: the number of rows, at least one.
        replicates: the number of resamples.
        seed: of the random generator; equal seeds give equal draws.

    Yields:
        Blocks of shape (some, rows), `replicates` in all; each of their rows sums to `rows`.
    """
    generator = np.random.default_rng(seed)
    block = max(1, _MAX_WEIGHTS // rows)
    for start in range(0, replicates, block):
        size = min(block, replicates - start)
        drawn = generator.integers(0, rows, size=(size, rows))
        drawn += np.arange(size)[:, None] * rows
        counts = np.bincount(drawn.ravel(), minlength=size * rows)
        yield counts.reshape(size, rows).astype(np.float64)


Standing = Literal["better", "no worse", "worse", "not shown to be better", "undefined"]


def standing(lead: Estimate, *, minimum_effect: float) -> Standing:
    """Compares a model with another one.

    Args:
        lead: of the model over the other, paired by rows, with its 95 % interval; above 0 it is
            better (`quality.difference`).
        minimum_effect: the smallest relevant lead, 0 or more; also the non-inferiority margin.

    Returns:
        `better`: the whole interval lies above the minimum effect. `no worse`: it lies above minus
        that effect. `worse`: it lies below 0 but not above minus that effect. `not shown to be
        better`: any other interval; it contains 0. `undefined`: there is no interval.
    """
    if lead.low is None or lead.high is None:
        return "undefined"
    if lead.low > minimum_effect:
        return "better"
    if lead.low > -minimum_effect:
        return "no worse"
    return "worse" if lead.high < 0 else "not shown to be better"


def effective_rows(weights: Floats) -> float:
    """Returns how many equally weighted rows have as little variance: (sum w)^2 / sum w^2.

    Source: L. Kish, Survey Sampling (1965), section 11.7.
    """
    return float(weights.sum() ** 2 / np.square(weights).sum())
