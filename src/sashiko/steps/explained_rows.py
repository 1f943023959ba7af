"""Selects the rows to explain, and reads their texts by column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.job_folders import processing_input
from sashiko.base.joining import positions, rows_of
from sashiko.base.parquet import read_columns
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Bools, Ints
from sashiko.explain.output import confident_errors
from sashiko.explain.tokens import Piece
from sashiko.serving.container.text import columns, text_pieces
from sashiko.settings.recipe_data import TextSection

SEED = 0
Depth = Literal["default", "full"]
_PREDICTIONS = ("key", "split", "label", "score", "predicted")


@dataclass(frozen=True)
class Effort:
    """How much is explained."""

    rows: int
    removal_rows: int  # the same of a causal LM, whose Shapley values take two passes a word
    steps: int  # of integrated gradients
    pairs: int  # of orders of a text's words, for a causal LM's Shapley values
    errors: int
    shapley_rows: int
    swap_candidates: int  # rows of the test split to search for words of facets
    swap_rows: int  # rows among them to score with swapped words, per facet
    compared_rows: int  # rows to score in float32 where the served artifact is rounded


# The default stays below 30 s on two cores, with the shipped encoder and all imports. It excludes
# Shapley values: one complaint takes 550 evaluations, the whole deletion test 680.
EFFORT: Mapping[Depth, Effort] = MappingProxyType(
    {
        "default": Effort(
            rows=40,
            removal_rows=16,
            steps=20,
            pairs=1,
            errors=3,
            shapley_rows=0,
            swap_candidates=1000,
            swap_rows=100,
            compared_rows=500,
        ),
        "full": Effort(
            rows=512,
            removal_rows=512,
            steps=50,
            pairs=2,
            errors=10,
            shapley_rows=40,
            swap_candidates=20_000,
            swap_rows=2000,
            compared_rows=2000,
        ),
    }
)
SHAPLEY_PAIRS = 4  # pairs of permutations of a text's words, in each of two halves


@dataclass(frozen=True)
class RowSelection:
    """The rows to explain, in the order of the test split."""

    table: pa.Table  # their predictions; key, label, score, predicted
    # Positions of the random sample, drawn alike from each label and decision; the other rows are
    # errors only.
    sample: list[int]
    errors: list[int]
    test_rows: int
    threshold: float  # lowest score that is predicted positive
    # Keys of the rows to search for words of facets, in the order of the draw.
    swap_candidates: pa.ChunkedArray
    compared: pa.Table  # predictions of the rows to score in float32; the same columns

    @property
    def predicted(self) -> Bools:
        """Whether each row is predicted positive."""
        predicted: Bools = self.table["predicted"].to_numpy() == 1
        return predicted


def select_rows(effort: Effort, *, rows: int) -> RowSelection:
    """Samples rows of the test split, and selects the most confident errors.

    Args:
        effort: how many errors and candidates to select.
        rows: how many to sample.

    Raises:
        InputError: if the predictions are missing, damaged, or have no test row.
    """
    path = processing_input("predictions") / "predictions.parquet"
    table = read_columns(path, _PREDICTIONS)
    threshold = _threshold(table)
    table = table.filter(pc.equal(table["split"], "test"))
    if not table.num_rows:
        raise InputError(f"{path} has no row of the test split; run Evaluate again")
    generator = np.random.default_rng(SEED)
    outcomes = 2 * table["label"].to_numpy() + table["predicted"].to_numpy()
    sampled = _draw_evenly(outcomes, rows, generator)
    errors = confident_errors(
        table["label"].to_pylist(),
        table["predicted"].to_pylist(),
        table["score"].to_pylist(),
        most=effort.errors,
    )
    candidates = generator.choice(
        table.num_rows, min(effort.swap_candidates, table.num_rows), replace=False
    )
    indices = sorted({*sampled.tolist(), *errors})
    return RowSelection(
        table=table.take(pa.array(indices, pa.int64())),
        sample=[indices.index(row) for row in sorted(sampled.tolist())],
        errors=[indices.index(row) for row in errors],
        test_rows=table.num_rows,
        threshold=threshold,
        swap_candidates=table["key"].take(pa.array(candidates)),
        compared=table.take(pa.array(candidates[: effort.compared_rows])),
    )


def _draw_evenly(groups: Ints, rows: int, generator: np.random.Generator) -> Ints:
    """Draws rows in equal numbers from each group; what a small group lacks comes from the others.

    Without this a sample of few rows has none of a rare label or decision.

    Args:
        groups: the number of each row's group, shape (rows,).
        rows: how many to draw; all if there are fewer.
        generator: of the draw.

    Returns:
        Positions of the rows, without order.
    """
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    members.sort(key=len)
    drawn: list[Ints] = []
    for index, rows_of_group in enumerate(members):
        share = (rows - sum(map(len, drawn))) // (len(members) - index)
        drawn.append(generator.permutation(rows_of_group)[:share])
    return np.concatenate(drawn)


def _threshold(table: pa.Table) -> float:
    """Infers the threshold: the midpoint between the scores of the two predicted labels."""
    scores, positive = table["score"].to_numpy(), table["predicted"].to_numpy() == 1
    return float((scores[~positive].max(initial=0.0) + scores[positive].min(initial=1.0)) / 2)


def read_pieces(
    keys: pa.ChunkedArray, contract: Contract, text: TextSection
) -> tuple[tuple[Piece, ...], ...]:
    """Fills the template again and returns the pieces by column.

    Raises:
        InputError: if a key is not in the snapshot or the test split, or their texts differ.
    """
    predictions = processing_input("predictions") / "predictions.parquet"

    def take_keys(source: Path, names: Sequence[str], key: str) -> pa.Table:
        table = rows_of(keys, source, names, key=key)
        table_keys = table[key].cast(pa.string())
        return table.take(positions(keys, table_keys, source=predictions, among_source=source))

    split = processing_input("test") / "data.parquet"
    texts = take_keys(split, ("key", "text"), "key")["text"].to_pylist()
    source = processing_input("data") / "data.parquet"
    needed = dict.fromkeys((contract.key, *columns(text.template)))
    values = take_keys(source, tuple(needed), contract.key).to_pylist()
    pieces = tuple(tuple(text_pieces(text.template, row, text.missing)) for row in values)
    for key, row, expected in zip(keys.to_pylist(), pieces, texts, strict=True):
        if "".join(part for _, part in row) != expected:
            raise InputError(
                f"{split}: the text of key {key!r} is not what the recipe's text.template makes of "
                f"{source}; both must come from the same run of Prepare"
            )
    return pieces
