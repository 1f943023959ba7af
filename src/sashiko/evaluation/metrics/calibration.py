"""Calibration of scores, temperature scaling, and shares of rows with their intervals.

Labels are 0 or 1, int64; scores are P(label = 1), float64 in [0, 1]; both of shape (rows,).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from sashiko.evaluation.metrics.arrays import Bools, Floats, Ints, two_classes
from sashiko.evaluation.metrics.uncertainty import CONFIDENCE, Estimate, estimate

CALIBRATION_BINS = 15
_LEAST, _MOST = 0.05, 20.0  # range of temperatures
_HALVINGS = 60  # of their logarithms, to the precision of float64
_MAX_DRAWS = 2_000_000  # 16 MB of float64 per block
_Z = 1.959964  # two-sided 95 %


@dataclass(frozen=True)
class CalibrationBin:
    """One point of a reliability curve."""

    low: float  # the lowest score in the bin
    high: float  # the highest one
    rows: int  # the number of scores in it, at least one
    mean_score: float  # their mean
    positive_rate: float  # the share of positive labels among them
    rate_low: float  # lower end of that share's 95 % interval (Wilson, JASA 22, 1927)
    rate_high: float  # its upper end


@dataclass(frozen=True)
class Temperature:
    """The divisor of the logits, and the mean negative log-likelihood before and after."""

    value: float  # the temperature; 1 leaves the logits unchanged
    loss_before: float  # at temperature 1, in nats per row
    loss_after: float  # at `value`
    kept: str = ""  # why it is 1 if there is no optimum; else empty


def equal_mass_bins(scores: Floats) -> npt.NDArray[np.intp]:
    """Assigns scores to `CALIBRATION_BINS` bins of about equal numbers of rows.

    Equal scores share a bin, so there may be fewer bins. The calibration error is less biased with
    equal-mass bins than with equal-width bins, most of which are nearly empty for concentrated
    scores (Roelofs et al., AISTATS 2022).
    """
    ascending = np.sort(scores)
    first = np.searchsorted(ascending, scores, side="left")
    last = np.searchsorted(ascending, scores, side="right")
    bins: npt.NDArray[np.intp] = (first + last) * CALIBRATION_BINS // (2 * len(scores))
    return bins


def reliability_curve(labels: Ints, scores: Floats) -> list[CalibrationBin]:
    """Returns the non-empty bins of `expected_calibration_error`, by ascending score."""
    bins = equal_mass_bins(scores)
    curve = []
    for index in np.unique(bins):
        part, rate = scores[bins == index], float(labels[bins == index].mean())
        low, high = wilson_interval(rate, len(part))
        curve.append(
            CalibrationBin(
                low=float(part.min()),
                high=float(part.max()),
                rows=len(part),
                mean_score=float(part.mean()),
                positive_rate=rate,
                rate_low=low,
                rate_high=high,
            )
        )
    return curve


def error_by_chance(scores: Floats, *, replicates: int, seed: int) -> Estimate:
    """Estimates the calibration error of a perfectly calibrated model on these rows.

    The error is a mean of absolute values, so chance makes it positive, the more so the fewer rows
    there are. Labels are drawn from the scores (consistency resampling: Broecker and Smith, Weather
    and Forecasting 22, 2007).

    Returns:
        The mean error of the draws and their central 95 %. A model whose error lies within is not
        shown to be miscalibrated.
    """
    rows = len(scores)
    member = np.zeros((rows, CALIBRATION_BINS))
    member[np.arange(rows), equal_mass_bins(scores)] = 1
    generator = np.random.default_rng(seed)
    block = max(1, _MAX_DRAWS // rows)
    errors = []
    for start in range(0, replicates, block):
        labels = generator.random((min(block, replicates - start), rows)) < scores
        errors.append(np.abs((labels - scores) @ member).sum(axis=1) / rows)
    drawn = np.concatenate(errors)
    return estimate(float(drawn.mean()), drawn)


def fit_temperature(labels: Ints, logits: Floats) -> Temperature:
    """Fits the temperature by maximum likelihood on validation labels (Guo et al., ICML 2017).

    The mean negative log-likelihood is convex in 1/temperature, so its slope has one zero, which
    bisection finds reproducibly up to rounding.

    Args:
        labels: the index of each row's class, of the validation split.
        logits: of the classes, float64, shape (rows, classes).

    Returns:
        The temperature, between 0.05 and 20; 1 with the reason if the optimum is outside.
    """
    others = np.arange(logits.shape[1]) != labels[:, None]
    own = logits[np.arange(len(labels)), labels]
    # Of each row, the log-odds of every other class against the row's own.
    against = logits[others].reshape(len(labels), -1) - own[:, None]

    def slope(inverse: float) -> float:
        scaled = inverse * against
        together = np.logaddexp.reduce(scaled, axis=1)  # log-odds of all other classes
        shares = np.exp(scaled - together[:, None])  # of each among them
        wrong = np.exp(-np.logaddexp(0, -together))
        return float(np.mean((against * shares).sum(axis=1) * wrong))

    def loss(temperature: float) -> float:
        together = np.logaddexp.reduce(against / temperature, axis=1)
        return float(np.logaddexp(0, together).mean())

    before = loss(1.0)
    if slope(1 / _MOST) >= 0:
        reason = "the scores do not separate the labels of the validation split"
        return Temperature(1.0, before, before, reason)
    if slope(1 / _LEAST) <= 0:
        reason = "the scores separate (nearly) all labels of the validation split"
        return Temperature(1.0, before, before, reason)
    low, high = np.log(1 / _MOST), np.log(1 / _LEAST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(float(np.exp(middle))) < 0 else (low, middle)
    value = float(np.exp(-(low + high) / 2))
    return Temperature(value, before, loss(value))


def without_temperature(scores: Floats, temperature: float) -> Floats:
    """Returns the scores before their logits were divided by `temperature`.

    Scores are those of the classes, shape (rows, classes), each row with a sum of 1.
    """
    with np.errstate(divide="ignore"):
        if scores.shape[1] == 2:
            positive = scores[:, 1]
            margins = np.log(positive) - np.log1p(-positive)
            return two_classes(np.exp(-np.logaddexp(0, -margins * temperature)))
        logits = np.log(scores) * temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    original: Floats = powers / powers.sum(axis=1, keepdims=True)
    return original


def wilson_interval(share: float, rows: int) -> tuple[float, float]:
    """Returns the 95 % interval of a share of rows, which has positive width at 0 and 1 too.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference
    (JASA 22, 1927).
    """
    centre = (share + _Z**2 / (2 * rows)) / (1 + _Z**2 / rows)
    half = _Z * np.sqrt(share * (1 - share) / rows + _Z**2 / (4 * rows**2)) / (1 + _Z**2 / rows)
    # At a share of 0 or 1 the end equals that share up to rounding.
    return float(np.clip(centre - half, 0, share)), float(np.clip(centre + half, share, 1))


def share_estimate(rows: Bools) -> Estimate:
    """Returns the share of rows that are true, shape (rows,), with Wilson's 95 % interval.

    Without rows it is undefined.
    """
    if not len(rows):
        return Estimate(value=None, low=None, high=None)
    share = float(rows.mean())
    return Estimate(share, *wilson_interval(share, len(rows)))


def excess_flip_rate(before: Bools, after: Bools, control: Bools) -> Estimate:
    """Returns how many more rows turn under a change than under a control, as a share of the rows.

    `after` and `control` are the decisions of the same rows under either. The interval is the
    adjusted Wald interval of a difference of paired proportions: D. G. Bonett and R. M. Price,
    Adjusted Wald Confidence Interval for a Difference of Binomial Proportions Based on Paired Data,
    Journal of Educational and Behavioral Statistics 37 (2012), 479-488.

    Returns:
        The estimate, between -1 and 1; undefined without rows.
    """
    rows = len(before)
    if not rows:
        return Estimate(value=None, low=None, high=None)
    turned, by_control = before != after, before != control
    more, fewer = int(np.sum(turned & ~by_control)), int(np.sum(by_control & ~turned))
    gained, lost = (more + 1) / (rows + 2), (fewer + 1) / (rows + 2)
    error = math.sqrt((gained + lost - (gained - lost) ** 2) / (rows + 2))
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * error
    return Estimate(
        value=(more - fewer) / rows,
        low=max(-1.0, gained - lost - reach),
        high=min(1.0, gained - lost + reach),
    )
