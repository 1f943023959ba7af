"""Which rows are explained, and their texts with each column kept apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.clarify.explain.output import confident_errors
from sashiko.clarify.explain.tokens import Piece
from sashiko.contract.model import Contract
from sashiko.core.job_folders import processing_input
from sashiko.core.joining import positions
from sashiko.core.parquet import read_columns
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Bools
from sashiko.serving.container.text import columns, filled
from sashiko.settings.recipe import TextSection
from sashiko.training.examples import read_split

SEED = 0
Depth = Literal["default", "full"]
_PREDICTIONS = ("key", "split", "label", "score", "predicted")


@dataclass(frozen=True)
class Effort:
    """How much is explained.

    Attributes:
        rows: drawn from the test split.
        steps: of the integral.
        errors: of each kind.
        shapley_rows: of them, that are cross-checked by Shapley values.
        looked: rows of the test split in which words of facets are looked for.
        swapped: of them, how many are scored with these words swapped, for each facet.
    """

    rows: int
    steps: int
    errors: int
    shapley_rows: int
    looked: int
    swapped: int


# The default leaves room below 30 s on two cores, with the shipped encoder and all imports. Shapley
# values have none there: one complaint's take 550 evaluations, the whole deletion test 680.
EFFORT: Mapping[Depth, Effort] = MappingProxyType(
    {
        "default": Effort(rows=40, steps=20, errors=3, shapley_rows=0, looked=1000, swapped=100),
        "full": Effort(rows=512, steps=50, errors=10, shapley_rows=40, looked=20_000, swapped=2000),
    }
)
SHAPLEY_PAIRS = 4  # of orders of a text's words, in each of two halves


@dataclass(frozen=True)
class Chosen:
    """The rows to explain, in the order of the test split.

    Attributes:
        table: their predictions; key, label, score, predicted.
        drawn: positions of those that stand for the split; the others are errors alone.
        errors: positions of the most confident errors.
        test_rows: rows of the whole split.
        threshold: from which score on a row is predicted positive.
        looked: keys of the rows in which words of facets are looked for, in the order of the draw.
    """

    table: pa.Table
    drawn: list[int]
    errors: list[int]
    test_rows: int
    threshold: float
    looked: pa.ChunkedArray

    @property
    def predicted(self) -> Bools:
        """Whether each row is predicted positive."""
        predicted: Bools = self.table["predicted"].to_numpy() == 1
        return predicted


def choose(effort: Effort) -> Chosen:
    """Draws rows of the test split, and picks the errors that the model is surest of.

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
    drawn = generator.choice(table.num_rows, min(effort.rows, table.num_rows), replace=False)
    errors = confident_errors(
        table["label"].to_pylist(),
        table["predicted"].to_pylist(),
        table["score"].to_pylist(),
        most=effort.errors,
    )
    looked = generator.choice(table.num_rows, min(effort.looked, table.num_rows), replace=False)
    every = sorted({*drawn.tolist(), *errors})
    return Chosen(
        table=table.take(pa.array(every, pa.int64())),
        drawn=[every.index(row) for row in sorted(drawn.tolist())],
        errors=[every.index(row) for row in errors],
        test_rows=table.num_rows,
        threshold=threshold,
        looked=table["key"].take(pa.array(looked)),
    )


def _threshold(table: pa.Table) -> float:
    """Finds the threshold by what it did: it lies between the two labels' scores."""
    scores, positive = table["score"].to_numpy(), table["predicted"].to_numpy() == 1
    return float((scores[~positive].max(initial=0.0) + scores[positive].min(initial=1.0)) / 2)


def read_pieces(
    keys: pa.ChunkedArray, contract: Contract, text: TextSection
) -> tuple[tuple[Piece, ...], ...]:
    """Fills the template again, and keeps apart what came from which column.

    Args:
        keys: of the rows.
        contract: of the snapshot.
        text: the recipe's template.

    Raises:
        InputError: if a key is not in the snapshot or the test split, or the two differ.
    """
    predictions = processing_input("predictions") / "predictions.parquet"

    def of_keys(table: pa.Table, column: str, source: Path) -> pa.Table:
        among = table[column].cast(pa.string())
        return table.take(positions(keys, among, source=predictions, among_source=source))

    split = processing_input("test") / "data.parquet"
    texts = of_keys(read_split(split.parent), "key", split)["text"].to_pylist()
    source = processing_input("data") / "data.parquet"
    needed = dict.fromkeys((contract.key, *columns(text.template)))
    values = of_keys(read_columns(source, tuple(needed)), contract.key, source).to_pylist()
    pieces = tuple(tuple(filled(text.template, row, text.missing)) for row in values)
    for key, row, known in zip(keys.to_pylist(), pieces, texts, strict=True):
        if "".join(part for _, part in row) != known:
            raise InputError(
                f"{split}: the text of key {key!r} is not what the recipe's text.template makes of "
                f"{source}; both must come from the same run of Prepare"
            )
    return pieces
