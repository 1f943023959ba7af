"""Made rows of people, which a linear model learns from."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sashiko.data.splits import ColumnKind
from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.serving.container import text as texts_of
from sashiko.training.linear_model import LinearModel, fit_coefficients, fit_features, matrix

KINDS: dict[str, ColumnKind] = {
    "age": "number", "desk": "category", "note": "text", "seen": "date", "income": "number",
}  # fmt: skip
TEMPLATE = "age {age} at {desk}: {note} {seen} {income}"
_TEXT = "late again my parcel never came für alles schön früh a I"
_WORDS = _TEXT.split()


def people(rows: int, *, seed: int) -> list[dict[str, Any]]:
    """Returns rows without missing values."""
    draw = np.random.default_rng(seed)
    return [
        {
            "age": int(draw.integers(18, 90)),
            "desk": str(draw.choice(["north", "south", "Zürich, West"])),
            "note": " ".join(draw.choice(_WORDS, size=draw.integers(1, 12))) + ".",
            "seen": f"2026-0{draw.integers(1, 9)}-1{draw.integers(0, 9)}",
            "income": float(draw.normal(4_000, 900)),
        }
        for _ in range(rows)
    ]


def objects(rows: list[dict[str, Any]]) -> list[str]:
    """Returns the rows as Prepare writes them for a linear model."""
    template = texts_of.row_template(KINDS)
    return [texts_of.assemble(template, row, "") for row in rows]


def numbers_of(rows: list[dict[str, Any]]) -> np.ndarray:
    """Returns numbers, which age, a word and chance decide; about half of them are above 0."""
    noise = np.random.default_rng(6).normal(0, 4, len(rows))
    return np.array([row["age"] - 50 + 20 * ("late" in row["note"]) for row in rows]) + noise


def labels_of(rows: list[dict[str, Any]], edges: Sequence[float] = (0.8,)) -> np.ndarray:
    """Returns classes, of which each begins at an edge; age, desk, a word and chance decide."""
    draw = np.random.default_rng(5)
    points = [
        (row["age"] - 50) / 20 + ("late" in row["note"]) + (row["desk"] == "north") for row in rows
    ]
    return np.digitize(np.array(points) + draw.normal(0, 1, len(rows)), edges)


def fit_linear(
    rows: Sequence[str],
    labels: Ints,
    *,
    kinds: Mapping[str, ColumnKind],
    weights: Floats | None = None,
    seed: int,
) -> LinearModel:
    """Fits features and coefficients, as Train does."""
    features = fit_features(rows, kinds)
    return fit_coefficients(features, matrix(features, rows), labels, weights=weights, seed=seed)
