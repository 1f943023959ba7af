"""The linear model reads numbers and categories as such, as scikit-learn's own pipeline does."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sashiko.data.splits import ColumnKind
from sashiko.errors import InputError
from sashiko.serving.container import text as texts_of
from sashiko.training.linear import LinearModel, fit_linear

KINDS: dict[str, ColumnKind] = {
    "age": "number", "desk": "category", "note": "text", "seen": "date", "income": "number",
}  # fmt: skip
_TEXT = "late again my parcel never came für alles schön früh a I"
WORDS = _TEXT.split()


def people(rows: int, *, seed: int) -> list[dict[str, Any]]:
    """Rows without missing values; nothing in them repeats in an order."""
    draw = np.random.default_rng(seed)
    return [
        {
            "age": int(draw.integers(18, 90)),
            "desk": str(draw.choice(["north", "south", "Zürich, West"])),
            "note": " ".join(draw.choice(WORDS, size=draw.integers(1, 12))) + ".",
            "seen": f"2026-0{draw.integers(1, 9)}-1{draw.integers(0, 9)}",
            "income": float(draw.normal(4_000, 900)),
        }
        for _ in range(rows)
    ]


def objects(rows: list[dict[str, Any]]) -> list[str]:
    template = texts_of.row_template(KINDS)
    return [texts_of.assemble(template, row, "") for row in rows]


def labels_of(rows: list[dict[str, Any]]) -> np.ndarray:
    draw = np.random.default_rng(5)
    points = [
        (row["age"] - 50) / 20 + ("late" in row["note"]) + (row["desk"] == "north") for row in rows
    ]
    return (np.array(points) + draw.normal(0, 1, len(rows)) > 0.8).astype(np.int64)


def fitted(rows: list[dict[str, Any]], labels: np.ndarray, **options: Any) -> LinearModel:
    return fit_linear(objects(rows), labels, kinds=KINDS, seed=0, **options)


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_are_those_of_scikit_learns_own_pipeline(weighted: bool) -> None:
    train, test = people(300, seed=1), people(80, seed=2)
    labels = labels_of(train)
    weights = np.random.default_rng(3).uniform(0.5, 2, 300) if weighted else None

    def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
        table = pd.DataFrame(rows)
        table["seen"] = (pd.to_datetime(table["seen"]) - pd.Timestamp(0)).dt.days
        return table

    numbers = ["age", "seen", "income"]
    pipeline = make_pipeline(
        ColumnTransformer([
            ("numbers", StandardScaler(), numbers),
            ("desk", OneHotEncoder(handle_unknown="ignore"), ["desk"]),
            ("note", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), "note"),
        ]),
        LogisticRegression(max_iter=1000, random_state=0),
    )  # fmt: skip
    pipeline.fit(frame(train), labels, logisticregression__sample_weight=weights)
    expected = pipeline.predict_proba(frame(test))[:, 1]
    scores = fitted(train, labels, weights=weights).scores(objects(test))
    # The two stop at a gradient of 1e-4, from features in another order.
    assert scores == pytest.approx(expected, abs=2e-3)
    assert np.corrcoef(scores, expected)[0, 1] > 0.99999


def test_a_number_decides_though_no_test_row_has_a_training_rows_number() -> None:
    """As words of a text, numbers that train lacks say nothing: the baseline was a weak rival."""
    train = [{"age": age, "desk": "x", "note": "", "seen": None, "income": None}
             for age in range(20, 80, 2)]  # fmt: skip
    model = fitted(train, np.array([int(row["age"] > 50) for row in train]))
    low, high = model.scores(objects([row | {"age": row["age"] + 1} for row in train]))[[2, -3]]
    assert low < 0.2
    assert high > 0.8


def test_missing_and_unknown_values_are_scored() -> None:
    train = people(200, seed=1)
    for row in train[:40]:
        row |= {"age": None, "desk": None, "note": None, "income": float("nan")}
    labels = np.array([1] * 40 + [0] * 160)
    model = fitted(train, labels)
    missing, unknown = train[0], people(1, seed=9)[0] | {"desk": "west", "note": "unheard of"}
    assert model.scores(objects([missing]))[0] > 0.9
    assert model.scores(objects([unknown]))[0] < 0.2


def test_equal_rows_give_equal_models() -> None:
    train = people(120, seed=1)
    one, other = (fitted(train, labels_of(train)) for _ in range(2))
    assert one.features.columns == other.features.columns
    assert one.coefficients.tobytes() == other.coefficients.tobytes()
    assert one.intercept == other.intercept


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"age": "old"}, "column `age` of the train split: expected a number"),
        ({"seen": "yesterday"}, "column `seen` of the train split: expected a date"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_its_column(change, message) -> None:
    train = people(20, seed=1)
    labels = labels_of(train)
    train[7] |= change
    with pytest.raises(InputError, match=message):
        fitted(train, labels)


def test_one_label_and_rows_without_a_feature_are_refused() -> None:
    rows = ["{}"] * 4
    with pytest.raises(InputError, match="one label only"):
        fit_linear(rows, np.ones(4, dtype=np.int64), kinds={}, seed=0)
    rows = [json.dumps({"note": "?"})] * 4
    with pytest.raises(InputError, match="no word in any text column"):
        fit_linear(rows, np.array([0, 1, 0, 1]), kinds={"note": "text"}, seed=0)
