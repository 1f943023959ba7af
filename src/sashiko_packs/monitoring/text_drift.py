"""Drift of texts: how well a classifier tells those of a window from those of the reference.

A classifier of two samples tests whether they differ (D. Lopez-Paz and M. Oquab, Revisiting
classifier two-sample tests, ICLR 2017). Here it is a ridge regression on hashed words and pairs of
words, each text scored by the model of all others, which for ridge has a closed form (R. Cook and
S. Weisberg, Residuals and influence in regression, 1982, chapter 2). So it learns from nearly all
rows, and thousands of permutations cost two products of matrices.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import linalg, stats
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

from sashiko.base.parquet import open_parquet, stream_columns
from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.evaluation.reference import Reference
from sashiko.serving.container import text as texts_of
from sashiko_packs.monitoring.capture.record import stream_requests
from sashiko_packs.monitoring.checks import TEXT_AUC, Measurement
from sashiko_packs.monitoring.clusters import FEWEST_CLUSTERS, TOO_FEW_CLUSTERS, ClusteredCounts

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
    clusters: Ints,
    tolerance: float,
    note: str = "",
    permutations: int = _PERMUTATIONS,
    seed: int = 0,
) -> Measurement:
    """Measures how well the window's texts are told from those of the reference.

    Texts that are equal but for case, digits and white space are one text, which is scored by the
    model of the others; each of its rows counts. Of more than 1,500 texts of either a sample is
    taken. `clusters` has the number of the cluster of each of the window's texts, shape (texts,).

    Returns:
        The measurement; its `value` is the AUC.
    """
    generator = np.random.default_rng(seed)
    rows = len(window)
    measured = Measurement(
        name=name, kind="drift", effect=TEXT_AUC, rows=rows, rows_needed=ROWS_NEEDED,
        tolerance=0.5 + tolerance, note=note,
    )  # fmt: skip
    if len(reference) < ROWS_NEEDED:
        reason = f"the reference has {len(reference):,} texts, {ROWS_NEEDED} are needed"
        return measured.model_copy(update={"reason": reason})
    if rows < ROWS_NEEDED:
        return measured
    before = [reference[index] for index in _chosen(len(reference), generator)]
    chosen = _chosen(rows, generator)
    texts, of_both, is_now, order = _grouped(before, [window[index] for index in chosen])
    of_row = np.concatenate([np.full(len(before), -1), clusters[chosen]])[order]
    apart = _told_apart(
        texts, of_both, is_now, of_row, permutations=permutations, generator=generator
    )
    measured = measured.model_copy(update={"rows": int(rows / apart.design_effect)})
    if measured.rows < ROWS_NEEDED:
        return measured
    if apart.freedom < FEWEST_CLUSTERS - 1:
        return measured.model_copy(update={"reason": TOO_FEW_CLUSTERS})
    p_unchanged = apart.p_value
    if apart.design_effect > 1:  # permutations of rows do not know clusters
        p_unchanged = max(p_unchanged, _p_above(apart, 0.5))
    return measured.model_copy(
        update={
            "value": apart.auc,
            "p_unchanged": p_unchanged,
            "p_tolerated": _p_above(apart, measured.tolerance),
        }
    )


@dataclass(frozen=True)
class _Apart:
    """How well two samples of texts are told apart."""

    auc: float
    error: float  # its standard error, of rows in clusters
    p_value: float  # of no difference, were rows independent
    design_effect: float  # of the window's rows
    freedom: float  # degrees of freedom of the variance between clusters


def _p_above(apart: _Apart, auc: float) -> float:
    return float(stats.t.sf((apart.auc - auc) / apart.error, apart.freedom))


def _grouped(before: Sequence[str], now: Sequence[str]) -> tuple[list[str], Ints, Members, Ints]:
    """Returns the distinct texts, the rows of each, and whether a row is of the window.

    Rows are in the order of their texts, which is returned as well.
    """
    normal = [_SPACE.sub(" ", _DIGIT.sub("0", text.casefold())).strip() for text in (*before, *now)]
    distinct, numbers = np.unique(np.array(normal, dtype=object), return_inverse=True)
    is_now = np.repeat(np.array([0, 1], dtype=np.int8), [len(before), len(now)])
    rows = np.bincount(numbers, minlength=len(distinct)).astype(np.int64)
    order = np.argsort(numbers, kind="stable")
    return distinct.tolist(), rows, is_now[order], order


def _told_apart(
    texts: Sequence[str],
    of_both: Ints,
    is_now: Members,
    clusters: Ints,
    *,
    permutations: int,
    generator: np.random.Generator,
) -> _Apart:
    """Measures how well texts of the window are told from the others.

    The scores of texts by models of each other depend on each other, so the error is that of the
    permutations' AUCs, times the root of the design effect. The p-value is by the agreement of
    scores and labels, which tells small differences better than their ranks.
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
    of_rows = np.repeat(scores[:, :_FOR_ERROR], of_both, axis=0)
    aucs = _aucs(of_rows, drawn[:_FOR_ERROR].T)
    observed, window = of_rows[:, 0], is_now == 1
    effect, freedom = _clustering(observed[~window], observed[window], clusters[window])
    return _Apart(
        auc=float(aucs[0]),
        error=float(aucs[1:].std(ddof=1)) * math.sqrt(effect),
        p_value=(as_large + 1) / (permutations + 1),
        design_effect=effect,
        freedom=freedom,
    )


def _clustering(before: Singles, now: Singles, clusters: Ints) -> tuple[float, float]:
    """Returns the design effect of the AUC, at least 1, and the degrees of freedom of its variance.

    The AUC is the mean of the window's placements among the other scores (E. DeLong and others,
    Biometrics 44, 1988), so its variance between clusters is that of their sums.
    """
    numbers = np.unique(clusters, return_inverse=True)[1]
    sizes = np.bincount(numbers)
    if sizes.max() == 1:
        return 1.0, math.inf
    ascending = np.sort(before)
    places = np.searchsorted(ascending, now, "left") + np.searchsorted(ascending, now, "right")
    deviations = places - places.mean()
    of_clusters = np.bincount(numbers, weights=deviations)
    squares = float((deviations**2).sum())
    effect = float((of_clusters**2).sum()) / squares if squares else 1.0
    return max(effect, 1.0), float(sizes.sum() ** 2 / (sizes**2).sum()) - 1


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
    return (slice(first, first + _AT_ONCE) for first in range(0, length, _AT_ONCE))


def _aucs(scores: Singles, is_now: Members) -> Floats:
    """Returns the AUC of each column, by Mann and Whitney's statistic; shapes (rows, columns)."""
    positives = int(is_now[:, 0].sum())
    ranks = np.where(is_now, stats.rankdata(scores, axis=0), 0.0).sum(axis=0)
    aucs: Floats = (ranks - positives * (positives + 1) / 2) / (
        positives * (len(is_now) - positives)
    )
    return aucs


_SEED = 0


def sample_test(path: Path) -> list[str]:
    """Takes at most 1,500 texts of a split of Prepare, at random with a fixed seed.

    Raises:
        InputError: if the file is missing, damaged, or lacks the column `text`.
    """
    with open_parquet(path) as file:
        rows = file.metadata.num_rows
    chosen = _chosen(rows, np.random.default_rng(_SEED))
    texts: list[str] = []
    start = 0
    for table in stream_columns(path, ["text"]):
        numbers = _within(chosen, start, table.num_rows)
        texts += table["text"].take(pa.array(numbers)).to_pylist()
        start += table.num_rows
    return texts


@dataclass(frozen=True)
class TextSample:
    """Texts of a window."""

    texts: Sequence[str]
    clusters: Ints  # the number of each text's cluster, shape (texts,)


def sample_window(path: Path, reference: Reference, scores: ClusteredCounts) -> TextSample:
    """Takes at most 1,500 texts of a window, at random with a fixed seed.

    They are what the model read: a captured text, or a row in the reference's template. Where the
    scores of a cluster's rows are alike, one text of a request is taken, since a classifier would
    know a text by the others of its request. Rows that the scores leave out are left out here.

    Raises:
        InputError: if the file is damaged.
    """
    generator = np.random.default_rng(_SEED)
    units = sum(len(places) for _, places in _units(path, (), scores))
    chosen = _chosen(units, generator)
    texts: list[str] = []
    clusters: list[Ints] = []
    start = 0
    for table, places in _units(path, ("text", "input", "cluster"), scores):
        numbers = _within(chosen, start, len(places))
        start += len(places)
        sizes = np.diff(places, append=table.num_rows)
        rows = table.take(pa.array(places[numbers] + generator.integers(sizes[numbers])))
        texts += captured_texts(rows, reference)
        clusters.append(rows["cluster"].to_numpy())
    return TextSample(texts, np.concatenate([np.zeros(0, dtype=np.int64), *clusters]))


def _units(
    path: Path, columns: Sequence[str], scores: ClusteredCounts
) -> Iterator[tuple[pa.Table, Ints]]:
    """Yields rows that count, and where each unit of them begins: each row, or each request."""
    for piece, of_piece in stream_requests(path, [*columns, "dominates"]):
        table, requests = piece, of_piece
        if scores.set_aside:
            counted = pc.invert(piece["dominates"])
            table, requests = piece.filter(counted), of_piece[counted.to_numpy()]
        if scores.design_effect == 1.0 and scores.has_enough_clusters:
            yield table, np.arange(len(requests))
        else:
            yield table, np.flatnonzero(np.diff(requests, prepend=-1))


def captured_texts(rows: pa.Table, reference: Reference) -> Iterator[str]:
    """Yields what a version reads of captured rows: a text, or their columns in its template."""
    numbers = [counts.column for counts in reference.columns if counts.kind == "number"]
    for row in rows.to_pylist():
        if row["text"] is not None:
            yield row["text"]
        else:
            values = row["input"] | {name: _number(row["input"][name]) for name in numbers}
            yield texts_of.assemble(reference.template, values, reference.missing)


def _chosen(units: int, generator: np.random.Generator) -> Ints:
    """Returns the numbers of at most 1,500 units, ascending."""
    if units <= MOST_TEXTS:
        return np.arange(units)
    return np.sort(generator.choice(units, MOST_TEXTS, replace=False))


def _within(chosen: Ints, start: int, length: int) -> Ints:
    low, high = np.searchsorted(chosen, [start, start + length])
    return chosen[low:high] - start


def _number(text: str | None) -> Any:
    """Reads a number as the handler does, which writes 40.0 as 40; any other text stays."""
    if not text or text[0] not in "-0123456789":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
