"""Validation rows with a known bias, and sweeps over them."""

import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sashiko.bias.clarify.analysis import AnalysisConfig
from sashiko.bias.clarify.contract_config import LABEL, analysis_config
from sashiko.bias.clarify.dataset import Column, Dataset
from sashiko.contract.model import Contract
from sashiko.settings.recipe import Recipe
from sashiko_packs.selection.rows import Validation
from sashiko_packs.selection.sweep import Curve, Sweep, choose, curve, mark_front
from tests.unit.contract.documents import contract_of, document
from tests.unit.run_report import runs

ROWS = 2000
CHECK = "DI age=old"
FACETS_FILE = Path("facets.parquet")


def recipe(**changes: Any) -> Recipe:
    """A recipe of late loans with cheap intervals."""
    value = runs.recipe().model_dump(mode="json")
    value["bias"]["bootstrap_replicates"] = 1000
    value["evaluate"]["bootstrap_replicates"] = 100
    value["reweighing"] = {"facets": ["age"], "strength": 1.0}
    return Recipe.model_validate(value | changes)


@cache
def _contract() -> Contract:
    with tempfile.TemporaryDirectory() as folder:
        return contract_of(document(), Path(folder))


def validation(*, handicap: float, rows: int = ROWS) -> Validation:
    """Rows on which the scores of `old` are lower by `handicap`, whatever the label."""
    generator = np.random.default_rng(5)
    labels = (np.arange(rows) % 5 < 2).astype(np.int64)
    old = np.arange(rows) // 5 % 2 == 0
    noise = generator.normal(0, 0.16, rows)
    scores = np.clip(0.35 + 0.3 * labels + noise - handicap * old, 0, 1)
    ages = pa.chunked_array([pa.array(np.where(old, "old", "young"))])
    return Validation(
        labels=labels,
        scores=scores,
        train_labels=labels,
        contract=_contract(),
        config=AnalysisConfig.model_validate(analysis_config(_contract(), kind="post")),
        data=Dataset(
            label=Column(LABEL, pa.chunked_array([pa.array(labels.astype(str))]), FACETS_FILE),
            predicted=None,
            facets=(Column("age", ages, FACETS_FILE),),
            group=None,
        ),
        inputs={"validation": runs.DIGEST, "facets": runs.DIGEST},
    )


@cache
def _curve(handicap: float, recipe_json: str) -> Curve:
    """Makes a curve once for all tests: it takes a second."""
    config = Recipe.model_validate_json(recipe_json)
    return curve(validation(handicap=handicap), config, strength=0.0, run="run-0")


def curves(config: Recipe, handicaps: Sequence[float]) -> tuple[Curve, ...]:
    """A curve per handicap, of strengths 0, 1 and so on."""
    results = [
        _curve(handicap, config.model_dump_json(include=set(Recipe.model_fields))).model_copy(
            update={"strength": float(index), "run": f"run-{index}"}
        )
        for index, handicap in enumerate(handicaps)
    ]
    return mark_front(results, check=CHECK, metric="balanced_accuracy")


def sweep(config: Recipe, handicaps: Sequence[float] = (0.3, 0.1, 0.0)) -> Sweep:
    """A whole sweep."""
    all_curves = curves(config, handicaps)
    return Sweep(
        id="20260102-030405-0001",
        recipe=config,
        metric="balanced_accuracy",
        rows=ROWS,
        inputs={"validation": runs.DIGEST, "facets": runs.DIGEST},
        curves=all_curves,
        chosen=choose(all_curves, config, metric="balanced_accuracy", command="sashiko run"),
    )
