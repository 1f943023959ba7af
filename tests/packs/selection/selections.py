"""Validation rows with a known bias, and sweeps over them."""

import json
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sashiko.bias.clarify.analysis import AnalysisConfig
from sashiko.bias.clarify.contract_config import LABEL, analysis_config
from sashiko.bias.clarify.counting import Column, Dataset
from sashiko.contract.model import Contract
from sashiko.evaluation.metrics.arrays import Bools, Floats, Ints, ModelScores, two_classes
from sashiko.settings.recipe import Recipe
from sashiko.steps.scored_splits import Split
from sashiko_packs.selection.candidates import Scored
from sashiko_packs.selection.file import BedrockCandidate, Selection
from sashiko_packs.selection.record import Answers, CandidateRecord, Cost
from sashiko_packs.selection.rows import JudgedRows, Validation, outcome_texts
from sashiko_packs.selection.sweep import Point, Sweep, choose, command_for, judge
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
    noise = generator.normal(0, 0.16, rows)
    scores = np.clip(0.35 + 0.3 * labels + noise - handicap * is_old(rows), 0, 1)
    model = ModelScores(two_classes(scores), 0.5)
    return validation_of(_contract(), model, labels)


def is_old(rows: int) -> Bools:
    """Which rows are of the group `old`: five in a row, then five `young` ones."""
    return np.arange(rows) // 5 % 2 == 0


def validation_of(
    contract: Contract, scored: ModelScores, labels: Ints, *, values: Floats | None = None
) -> Validation:
    """Rows of any label with their ages; the train split has the same ones."""
    ages = pa.chunked_array([pa.array(np.where(is_old(len(labels)), "old", "young"))])
    config = analysis_config(contract, kind="post") | {"label_values_or_threshold": [1]}
    return Validation(
        labels=labels, values=values, scored=scored, train=labels if values is None else values,
        contract=contract, config=AnalysisConfig.model_validate(config),
        data=Dataset(
            label=Column(LABEL, outcome_texts(contract, labels), FACETS_FILE),
            predicted=None,
            facets=(Column("age", ages, FACETS_FILE),),
            group=None,
        ),
        inputs={"validation": runs.DIGEST, "facets": runs.DIGEST},
    )  # fmt: skip


@cache
def _point(handicap: float, recipe_json: str) -> Point:
    """Judges a model once for all tests: it takes a second."""
    config = Recipe.model_validate_json(recipe_json)
    return judge(validation(handicap=handicap), config, strength=0.0, run="run-0")


def points(config: Recipe, handicaps: Sequence[float]) -> tuple[Point, ...]:
    """A point per handicap, of strengths 0, 1 and so on."""
    text = config.model_dump_json(include=set(Recipe.model_fields))
    return tuple(
        _point(handicap, text).model_copy(update={"strength": float(at), "run": f"run-{at}"})
        for at, handicap in enumerate(handicaps)
    )


def sweep(config: Recipe, handicaps: Sequence[float] = (0.3, 0.1, 0.0)) -> Sweep:
    return sweep_of(config, points(config, handicaps), metric="balanced_accuracy", rows=ROWS)


def sweep_of(config: Recipe, swept: Sequence[Point], *, metric: str, rows: int) -> Sweep:
    chosen = choose(swept, metric=metric)
    return Sweep(
        id="20260102-030405-0001", recipe=config, metric=metric, rows=rows,
        inputs={"validation": runs.DIGEST, "facets": runs.DIGEST}, points=tuple(swept),
        chosen=chosen,
        command=command_for(chosen, config, command="sashiko run") if chosen else "",
    )  # fmt: skip


MODEL = "us.amazon.nova-2-lite-v1:0"
PROMPT = {"template": "{text}\nLate?", "answers": {"late": "yes", "paid": "no"}}
BEDROCK = {
    "kind": "bedrock", "model": MODEL, "region": "us-east-1", "licence": "LicenseRef-Provider",
    "prompt": PROMPT, "unanswered": "paid",
}  # fmt: skip
TOKEN_PRICE = {"input_usd": 1.0, "output_usd": 4.0, "source": "of the test", "read": "2026-01-02"}
PRIVACY = {"may_leave_account": True, "reason": "the rows are synthetic"}


def selection_value(**changes: Any) -> dict[str, Any]:
    value = {
        "description": "Which model?", "rows": {"recipe": "loans"}, "minimum_effect": 0.02,
        "load": 10,
        "musts": {
            "quality": [{"metric": "balanced_accuracy", "minimum": 0.6, "reason": "of use"}],
            "licences": ["Apache-2.0", "LicenseRef-Provider"],
        },
        "candidates": {
            "linear": {"kind": "linear", "recipe": "loans"},
            "other": {"kind": "recipe", "recipe": "loans"},
        },
    }  # fmt: skip
    return value | changes


def selection(**changes: Any) -> Selection:
    return Selection.model_validate(selection_value(**changes))


def with_bedrock(**changes: Any) -> Selection:
    """A selection with a candidate of Bedrock, whose geography is allowed."""
    value = selection_value()
    value["candidates"]["nova"] = BEDROCK
    value["musts"]["geographies"] = ["us"]
    extra = {"privacy": PRIVACY, "bedrock": {"budget": {"tokens": 10_000_000}}}
    return Selection.model_validate(value | extra | changes)


def bedrock(**changes: Any) -> BedrockCandidate:
    return BedrockCandidate.model_validate(BEDROCK | changes)


def judged_rows(*, handicap: float = 0.0) -> JudgedRows:
    """Rows of late loans; `facets.scored` is of a model with a bias against `old`."""
    return rows_of(validation(handicap=handicap), recipe())


def rows_of(facets: Validation, config: Recipe) -> JudgedRows:
    """Rows with a text each, which are those of the train split too."""
    keys = tuple(f"k{row:04}" for row in range(len(facets.labels)))
    texts = tuple(f"text {key}" for key in keys)
    objects = tuple(json.dumps({"title": text}) for text in texts)
    split = Split(keys, texts, facets.labels, objects, facets.values)
    contract = facets.contract
    names = contract.classes if contract.classes != ("no", "yes") else ("paid", "late")
    return JudgedRows(
        recipe=config, contract=contract, labels=names, train=split, test=split,
        test_sha256="0" * 64, inputs={"test": "0" * 64}, facets=facets,
    )  # fmt: skip


def scored(name, scores, *, usd=1.0, threshold=0.5, half_width=None, **changes) -> Scored:
    """A candidate by its scores; of two classes those of the second one."""
    values: dict[str, Any] = {
        "name": name, "kind": "recipe", "what": "a model",
        "cost": Cost(usd=usd, basis="of the test"), "licence": "Apache-2.0",
    }  # fmt: skip
    columns = two_classes(scores) if scores.ndim == 1 else scores
    model = ModelScores(columns, threshold, half_width)
    return Scored(CandidateRecord(**(values | changes)), model)


def answers(*, hand_made: bool, valid: int = 1, refused: int = 0) -> Answers:
    return Answers(
        valid=valid, invalid=0, refused=refused, stop_reasons={"end_turn": 1}, input_tokens=10,
        output_tokens=1, days=(), hand_made=hand_made,
    )  # fmt: skip


def wrong_on(rows: JudgedRows, share: float, *, seed: int = 0) -> Floats:
    labels = rows.test.labels.astype(np.float64)
    wrong = np.zeros(len(labels), dtype=bool)
    for label in (0, 1):
        of_label = np.random.default_rng(seed).permutation(np.flatnonzero(labels == label))
        wrong[of_label[: round(share * len(of_label))]] = True
    return np.where(wrong, 1 - labels, labels) * 0.8 + 0.1


def every_kind(recipe: str, *, encoder: str) -> dict[str, Any]:
    """A selection of each kind of candidate over complaints, and one that may not be used.

    `recipe` is of a registered causal LM; its test split judges all. `encoder` is a recipe too.
    """
    prompt = {"template": "{text}\nEscalate?", "answers": {"yes": "yes", "no": "no"}}
    model = BEDROCK | {"prompt": prompt, "unanswered": "yes", "output": "tool", "examples": 2}
    musts = selection_value()["musts"] | {"geographies": ["us"]}
    return selection_value(
        rows={"recipe": recipe}, injections=20, musts=musts, privacy=PRIVACY,
        bedrock={"budget": {"tokens": 10_000_000, "usd": 100}, "concurrency": 8},
        candidates={
            "linear": {"kind": "linear", "recipe": encoder},
            "encoder": {"kind": "recipe", "recipe": encoder},
            "causal": {"kind": "recipe", "recipe": recipe},
            "version": {"kind": "version", "recipe": recipe, "version": 1},
            "nova": model,
            "elsewhere": model | {"model": f"global.{MODEL.partition('.')[2]}"},
        },
    )  # fmt: skip
