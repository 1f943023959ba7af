"""Drift of texts: how well a classifier tells those of a window from those of the reference.

A classifier of two samples tests whether they differ (D. Lopez-Paz and M. Oquab, Revisiting
classifier two-sample tests, ICLR 2017). Here it is a ridge regression on hashed words and pairs of
words, each text scored by the model of all others, which for ridge has a closed form (R. Cook and
S. Weisberg, Residuals and influence in regression, 1982, chapter 2). So it learns from nearly all
rows, and thousands of permutations cost two products of matrices.
"""

import re
from collections.abc import Sequence

import numpy as np
from scipy import linalg, stats
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.metrics import roc_auc_score

from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.monitoring.checks import Measurement

ROWS_NEEDED = 100
MOST_TEXTS = 1500  # of the window, and of the reference: time grows with the cube
_PERMUTATIONS = 1999  # the smallest p-value is 0.0005, for Holm over 20 checks at 0.01
_FEATURES = 2**16
_RIDGE = 1.0  # of kernels whose diagonal is 1
_SPACE, _DIGIT = re.compile(r"\s+"), re.compile(r"\d")


def measure_text_drift(
    name: str,
    reference: Sequence[str],
    window: Sequence[str],
    *,
    tolerance: float,
    requests: Ints | None = None,
    permutations: int = _PERMUTATIONS,
    seed: int = 0,
) -> Measurement:
    """Measures how well the window's texts are told from those of the reference.

    Texts that are equal but for case, digits and white space are one text, which is scored by the
    model of the others; each of its rows counts.

    Args:
        name: of the measurement.
        reference: texts.
        window: texts; of more than 1,500 of either a sample is taken.
        tolerance: of the AUC above 0.5.
        requests: the number of the request that each text of the window came in, shape (texts,),
            where the rows of a request are alike (`drift.design_effect` of their scores says so):
            one text of each is then compared. None: texts are independent.
        permutations: of the rows.
        seed: of permutations and samples.

    Returns:
        The measurement; its `value` is the AUC.
    """
    generator = np.random.default_rng(seed)
    independent = window if requests is None else _one_of_each(window, requests, generator)
    rows = len(independent)
    measured = Measurement(
        name=name,
        effect="AUC of telling the window from the reference",
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
    now = _sampled(independent, MOST_TEXTS, generator)
    texts, of_window, of_both = _grouped(before, now)
    scores, p_unchanged = _told_apart(
        texts, of_window, of_both, permutations=permutations, generator=generator
    )
    auc = _weighted_auc(scores, of_window, of_both - of_window)
    return measured.model_copy(
        update={
            "value": auc,
            "p_unchanged": p_unchanged,
            "p_tolerated": _p_at(0.5 + tolerance, auc, len(now), len(before)),
        }
    )


def _one_of_each(texts: Sequence[str], requests: Ints, generator: np.random.Generator) -> list[str]:
    order = generator.permutation(len(texts))
    first = np.unique(requests[order], return_index=True)[1]
    return [texts[index] for index in order[first]]


def _sampled(texts: Sequence[str], most: int, generator: np.random.Generator) -> list[str]:
    """Takes at most so many texts at random; of fewer, all."""
    if len(texts) <= most:
        return list(texts)
    return [texts[index] for index in generator.choice(len(texts), most, replace=False)]


def _grouped(before: Sequence[str], now: Sequence[str]) -> tuple[list[str], Ints, Ints]:
    """Returns the distinct texts, with their rows in the window, and in both."""
    normal = [_SPACE.sub(" ", _DIGIT.sub("0", text.casefold())).strip() for text in (*before, *now)]
    distinct, numbers = np.unique(np.array(normal, dtype=object), return_inverse=True)
    of_window = np.bincount(numbers[len(before) :], minlength=len(distinct))
    of_both = np.bincount(numbers, minlength=len(distinct))
    return distinct.tolist(), of_window.astype(np.int64), of_both.astype(np.int64)


def _told_apart(
    texts: Sequence[str],
    of_window: Ints,
    of_both: Ints,
    *,
    permutations: int,
    generator: np.random.Generator,
) -> tuple[Floats, float]:
    """Returns each text's score by the model of the others, and the p-value of all together."""
    rows, share = int(of_both.sum()), of_window.sum() / of_both.sum()
    model = _models_of_the_others(texts, of_both)
    permuted = np.zeros((permutations, rows), dtype=np.int64)
    permuted[:, : of_window.sum()] = 1
    permuted = generator.permuted(permuted, axis=1, out=permuted)
    first_rows = np.cumsum(of_both) - of_both
    drawn = np.add.reduceat(permuted, first_rows, axis=1)
    labels = np.concatenate([of_window[None], drawn]).T / of_both[:, None] - share
    labels = labels.astype(np.float32)
    scores = model @ labels
    agreement = np.einsum("gp,gp,g->p", scores, labels, of_both.astype(np.float32))
    as_large = int((agreement[1:] >= agreement[0]).sum())
    return scores[:, 0].astype(np.float64), (as_large + 1) / (permutations + 1)


def _models_of_the_others(
    texts: Sequence[str], of_both: Ints
) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    """Returns the matrix that turns labels into scores, each by the model without that text."""
    words = HashingVectorizer(
        n_features=_FEATURES, ngram_range=(1, 2), norm=None, alternate_sign=False, binary=True
    )
    features = TfidfTransformer().fit_transform(words.transform(texts)).astype(np.float32)
    kernel = (features @ features.T).toarray()
    weights = of_both / of_both.sum()
    kernel -= (weights @ kernel).astype(np.float32)
    kernel -= (kernel @ weights)[:, None].astype(np.float32)
    kernel[np.diag_indices_from(kernel)] += (_RIDGE / of_both).astype(np.float32)
    inverse = linalg.inv(kernel, assume_a="pos", overwrite_a=True)
    # What is left of the closed form: the prediction for a text, from the residuals of all.
    model: np.ndarray[tuple[int, int], np.dtype[np.float32]] = -inverse / np.diag(inverse)[:, None]
    np.fill_diagonal(model, 0)
    return model


def _weighted_auc(scores: Floats, positives: Ints, negatives: Ints) -> float:
    labels = np.repeat([1, 0], len(scores))
    weights = np.concatenate([positives, negatives])
    return float(roc_auc_score(labels, np.tile(scores, 2), sample_weight=weights))


def _p_at(tolerated: float, auc: float, positives: int, negatives: int) -> float:
    """Returns the p-value of an AUC if the true one is `tolerated`.

    By the standard error of J. A. Hanley and B. J. McNeil, The meaning and use of the area under a
    receiver operating characteristic curve, Radiology 143 (1982), 29-36.
    """
    both_positives = tolerated / (2 - tolerated) - tolerated**2
    both_negatives = 2 * tolerated**2 / (1 + tolerated) - tolerated**2
    variance = (
        tolerated * (1 - tolerated)
        + (positives - 1) * both_positives
        + (negatives - 1) * both_negatives
    ) / (positives * negatives)
    return float(stats.norm.sf((auc - tolerated) / np.sqrt(variance)))
