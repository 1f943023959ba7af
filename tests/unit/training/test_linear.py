"""The linear model reads numbers and categories as such, as scikit-learn's own pipeline does."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from sashiko.errors import InputError
from sashiko.training.linear_model import LinearModel, load_linear
from tests.unit.training.people import KINDS, fit_linear, labels_of, objects, people


def fitted(rows: list[dict[str, Any]], labels: np.ndarray, **options: Any) -> LinearModel:
    return fit_linear(objects(rows), labels, kinds=KINDS, seed=0, **options)


@pytest.mark.parametrize("edges", [(0.8,), (0, 0.8, 1.6)], ids=["two", "four"])
@pytest.mark.parametrize("weighted", [False, True])
def test_scores_are_those_of_scikit_learns_own_pipeline(
    weighted: bool, edges: tuple[float, ...]
) -> None:
    train, test = people(300, seed=1), people(80, seed=2)
    labels = labels_of(train, edges)
    weights = np.random.default_rng(3).uniform(0.5, 2, 300) if weighted else None

    bins = {}

    def binned(table: pd.DataFrame) -> pd.DataFrame:
        """Six bins of 300 rows, with as many distinct values each; those of train."""
        for name in table.columns:
            bins.setdefault(name, np.quantile(table[name].unique(), [n / 6 for n in range(1, 6)]))
        return pd.DataFrame({name: np.digitize(table[name], bins[name]) for name in table.columns})

    def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
        table = pd.DataFrame(rows)
        table["seen"] = (pd.to_datetime(table["seen"]) - pd.Timestamp(0)).dt.days
        return table

    numbers = ["age", "seen", "income"]
    pipeline = make_pipeline(
        ColumnTransformer([
            ("numbers", StandardScaler(), numbers),
            ("bins", make_pipeline(FunctionTransformer(binned), OneHotEncoder()), numbers),
            ("desk", OneHotEncoder(handle_unknown="ignore"), ["desk"]),
            ("note", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), "note"),
        ]),
        LogisticRegression(max_iter=1000, random_state=0),
    )  # fmt: skip
    pipeline.fit(frame(train), labels, logisticregression__sample_weight=weights)
    expected = pipeline.predict_proba(frame(test))
    scores = fitted(train, labels, weights=weights).scores(objects(test))
    # The two stop at a gradient of 1e-4, from features in another order.
    assert scores == pytest.approx(expected, abs=2e-3)
    assert np.corrcoef(scores.ravel(), expected.ravel())[0, 1] > 0.99999
    assert scores.sum(axis=1) == pytest.approx(np.ones(80))


def test_missing_and_unknown_values_are_scored_and_one_label_is_refused() -> None:
    train = people(200, seed=1)
    for row in train[:40]:
        row |= {"age": None, "desk": None, "note": None, "income": float("nan")}
    labels = np.array([1] * 40 + [0] * 160)
    model = fitted(train, labels)
    missing, unknown = train[0], people(1, seed=9)[0] | {"desk": "west", "note": "unheard of"}
    assert model.scores(objects([missing]))[0, 1] > 0.9
    assert model.scores(objects([unknown]))[0, 1] < 0.2

    rows = ["{}"] * 4
    with pytest.raises(InputError, match="one label only"):
        fit_linear(rows, np.ones(4, dtype=np.int64), kinds={}, seed=0)
    rows = [json.dumps({"note": "?"})] * 4
    with pytest.raises(InputError, match="no word in any text column"):
        fit_linear(rows, np.array([0, 1, 0, 1]), kinds={"note": "text"}, seed=0)


def test_a_saved_model_is_the_same_and_so_are_its_bytes(tmp_path: Path) -> None:
    train = people(120, seed=1)
    model = fitted(train, labels_of(train))
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        model.save(tmp_path / name, labels=("no", "yes"))
    read = load_linear(tmp_path / "one")
    assert read.scores(objects(train)).tolist() == model.scores(objects(train)).tolist()
    files = {file.name: file.read_bytes() for file in (tmp_path / "one").iterdir()}
    assert files == {file.name: file.read_bytes() for file in (tmp_path / "other").iterdir()}
    assert files.keys() == {"linear.json", "model.safetensors"}
    (tmp_path / "one" / "model.safetensors").write_bytes(b"x" * 20)
    with pytest.raises(InputError, match="the linear model cannot be read"):
        load_linear(tmp_path / "one")


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
