"""Drift of texts: how well a classifier tells those of a window from those of the reference.

A classifier of two samples tests whether they differ (D. Lopez-Paz and M. Oquab, Revisiting
classifier two-sample tests, ICLR 2017). Here it is a ridge regression on hashed words and pairs of
words, each text scored by the model of all others, which for ridge has a closed form (R. Cook and
S. Weisberg, Residuals and influence in regression, 1982, chapter 2). So it learns from nearly all
rows, and thousands of permutations cost two products of matrices.
"""

import re
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy import linalg, stats
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.monitoring.checks import TEXT_AUC, Measurement

Singles = npt.NDArray[np.float32]
Members = npt.NDArray[np.int8]  # 1 of the window, 0 of the reference

ROWS_NEEDED = 100
MOST_TEXTS = 1500  # of the window, and of the reference: time grows with the cube
_PERMUTATIONS = 1999  # the smallest p-value is 0.0005, for Holm over 20 checks at 0.01
_FEATURES = 2**16
_RIDGE = 1.0  # of kernels whose diagonal is 1
_FOR_ERROR = 200  # permutations that the standard error of the AUC is taken from
_AT_ONCE = 256
_SPACE, _DIGIT = re.compile(r"\s+"), re.compile(r"\d")


def measure_text_drift(
    name: str,
    reference: Sequence[str],
    window: Sequence[str],
    *,
    tolerance: float,
    permutations: int = _PERMUTATIONS,
    seed: int = 0,
) -> Measurement:
    """Measures how well the window's texts are told from those of the reference.

    Texts that are equal but for case, digits and white space are one text, which is scored by the
    model of the others; each of its rows counts.

    Args:
        name: of the measurement.
        reference: texts.
        window: texts that are independent of each other (`text_sample.sample_window`); of more
            than 1,500 of either a sample is taken.
        tolerance: of the AUC above 0.5.
        permutations: of the rows.
        seed: of permutations and samples.

    Returns:
        The measurement; its `value` is the AUC.
    """
    generator = np.random.default_rng(seed)
    rows = len(window)
    measured = Measurement(
        name=name,
        kind="drift",
        effect=TEXT_AUC,
        rows=rows,
        rows_needed=ROWS_NEEDED,
        tolerance=0.5 + tolerance,
    )
    if len(reference) < ROWS_NEEDED:
        reason = f"the reference has {len(reference):,} texts, {ROWS_NEEDED} are needed"
        return measured.model_copy(update={"reason": reason})
    if rows < ROWS_NEEDED:
        return measured
    before = _sampled(reference, MOST_TEXTS, generator)
    now = _sampled(window, MOST_TEXTS, generator)
    texts, of_both, is_now = _grouped(before, now)
    auc, error, p_unchanged = _told_apart(
        texts, of_both, is_now, permutations=permutations, generator=generator
    )
    p_tolerated = float(stats.norm.sf((auc - measured.tolerance) / error))
    return measured.model_copy(
        update={"value": auc, "p_unchanged": p_unchanged, "p_tolerated": p_tolerated}
    )


def _sampled(texts: Sequence[str], most: int, generator: np.random.Generator) -> list[str]:
    """Takes at most so many texts at random; of fewer, all."""
    if len(texts) <= most:
        return list(texts)
    return [texts[index] for index in generator.choice(len(texts), most, replace=False)]


def _grouped(before: Sequence[str], now: Sequence[str]) -> tuple[list[str], Ints, Members]:
    """Returns the distinct texts, the rows of each, and whether a row is of the window.

    Rows are in the order of their texts.
    """
    normal = [_SPACE.sub(" ", _DIGIT.sub("0", text.casefold())).strip() for text in (*before, *now)]
    distinct, numbers = np.unique(np.array(normal, dtype=object), return_inverse=True)
    is_now = np.repeat(np.array([0, 1], dtype=np.int8), [len(before), len(now)])
    rows = np.bincount(numbers, minlength=len(distinct)).astype(np.int64)
    return distinct.tolist(), rows, is_now[np.argsort(numbers, kind="stable")]


def _told_apart(
    texts: Sequence[str],
    of_both: Ints,
    is_now: Members,
    *,
    permutations: int,
    generator: np.random.Generator,
) -> tuple[float, float, float]:
    """Returns the AUC, its standard error, and the p-value of no difference.

    The scores of texts by models of each other depend on each other, so the error is that of the
    permutations' AUCs. The p-value is by the agreement of scores and labels, which tells small
    differences better than their ranks.
    """
    model = _models_of_the_others(texts, of_both)
    drawn = np.tile(is_now, (permutations + 1, 1))
    generator.permuted(drawn[1:], axis=1, out=drawn[1:])
    labels = np.empty((len(texts), len(drawn)), dtype=np.float32, order="F")
    starts = np.cumsum(of_both) - of_both
    for some in _pieces(len(drawn)):
        of_window = np.add.reduceat(drawn[some], starts, axis=1, dtype=np.int64)
        labels[:, some] = of_window.T / of_both[:, None] - is_now.mean()
    scores = model @ labels
    agreement = np.einsum("gp,gp,g->p", scores, labels, of_both.astype(np.float32))
    as_large = int((agreement[1:] >= agreement[0]).sum())
    aucs = _aucs(np.repeat(scores[:, :_FOR_ERROR], of_both, axis=0), drawn[:_FOR_ERROR].T)
    return (
        float(aucs[0]),
        float(aucs[1:].std(ddof=1)),
        (as_large + 1) / (permutations + 1),
    )


def _models_of_the_others(texts: Sequence[str], of_both: Ints) -> Singles:
    """Returns the matrix that turns labels into scores, each by the model without that text."""
    words = HashingVectorizer(
        n_features=_FEATURES, ngram_range=(1, 2), norm=None, alternate_sign=False, binary=True
    )
    features = TfidfTransformer().fit_transform(words.transform(texts)).astype(np.float32)
    transposed = features.T.tocsr()
    kernel = np.empty((len(texts), len(texts)), dtype=np.float32)
    for some in _pieces(len(texts)):
        kernel[some] = (features[some] @ transposed).toarray()
    weights = of_both / of_both.sum()
    kernel -= (weights @ kernel).astype(np.float32)
    kernel -= (kernel @ weights)[:, None].astype(np.float32)
    kernel[np.diag_indices_from(kernel)] += (_RIDGE / of_both).astype(np.float32)
    inverse = linalg.inv(kernel, assume_a="pos", overwrite_a=True)
    # What is left of the closed form: the prediction for a text, from the residuals of all.
    model: Singles = np.negative(inverse, out=inverse)
    model /= -np.diag(model)[:, None]
    np.fill_diagonal(model, 0)
    return model


def _pieces(length: int) -> Iterator[slice]:
    """Yields slices of a long axis; an array that is computed of one at a time stays small."""
    for first in range(0, length, _AT_ONCE):
        yield slice(first, first + _AT_ONCE)


def _aucs(scores: Singles, is_now: Members) -> Floats:
    """Returns the AUC of each column, by Mann and Whitney's statistic; shapes (rows, columns)."""
    positives = int(is_now[:, 0].sum())
    ranks = np.where(is_now, stats.rankdata(scores, axis=0), 0.0).sum(axis=0)
    aucs: Floats = (ranks - positives * (positives + 1) / 2) / (
        positives * (len(is_now) - positives)
    )
    return aucs
