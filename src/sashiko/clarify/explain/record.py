"""Files that Explain writes.

`explanations.json` holds figures and column names only. `errors.jsonl`, `swaps.jsonl` and
`words.json` hold texts of rows, and are written to a separate output.
"""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from sashiko.clarify.explain.check_records import FacetSwap, ShapleyCheck, SwappedText
from sashiko.core.files import write_bytes, write_json
from sashiko.core.yaml_models import Frozen, read_record, validate
from sashiko.errors import InputError
from sashiko.evaluation.metrics.uncertainty import Estimate

R = TypeVar("R", bound=Frozen)

EXPLANATIONS_FILE = "explanations.json"
ERRORS_FILE = "errors.jsonl"
SWAPS_FILE = "swaps.jsonl"
WORDS_FILE = "words.json"
# Stands for the template's own words; not a valid column name.
TEMPLATE = "(template)"
# A word in fewer rows describes those rows rather than the model, and may be a person's name.
FEWEST_ROWS = 5


class ColumnImportance(Frozen):
    """How much a column moves the score.

    Attributes:
        name: the column, or `(template)` for the template's own words.
        share: its mean share of what all columns move in a row, 0 to 1, with its interval.
        by_predicted: predicted label -> the same over the rows predicted so.
        mean_absolute: the mean size of what it adds to the score, in log-odds.
        rows_cut: explained rows of which it lost text, as they were too long for the model.
    """

    name: str
    share: Estimate
    by_predicted: dict[str, Estimate]
    mean_absolute: float
    rows_cut: int


class DeletionPoint(Frozen):
    """How far the predicted label's probability falls when a share of a row's tokens is removed.

    Attributes:
        removed: the share, 0 to 1; at least one token.
        top: the mean fall when those go that speak most for the prediction.
        random: when as many others go, drawn by chance.
    """

    removed: float
    top: Estimate
    random: Estimate


class DeletionTest(Frozen):
    """Whether the attributions are faithful to the model.

    Attributes:
        rows: number of tested rows; a row of one token cannot be tested.
        draws: random removals per row and share.
        points: by share.
        lead: by how much more the score falls by the top tokens, mean over the shares, paired by
            rows.
        faithful: whether the interval of `lead` lies above 0.005.
    """

    rows: int
    draws: int
    points: tuple[DeletionPoint, ...]
    lead: Estimate
    faithful: bool


class Convergence(Frozen):
    """How far attributions are from adding up to what they explain, per row and in log-odds.

    Attributes:
        median: of the sizes of the difference.
        largest: of them.
        explained: the median size of what is explained: the score less that of the baseline.
    """

    median: float
    largest: float
    explained: float


class Explanations(Frozen):
    """The figures.

    Attributes:
        depth: the recipe's `explain.depth`.
        rows: of the test split that were explained, drawn by chance.
        test_rows: rows of the test split.
        predicted: predicted label -> how many of `rows` were predicted so.
        steps: between baseline and text, at which gradients were taken.
        baseline: the token that replaces each word in the baseline.
        expected_value: the mean score of the baselines, in log-odds.
        largest_difference: between the probabilities of the model that is explained and those that
            were judged.
        rows_cut: rows among `rows` that are too long for the model.
        convergence: how exact the attributions are.
        columns: by falling share.
        deletion: how faithful they are.
        shapley: the cross-check by Shapley values; None if it was not run.
        swaps: of each facet whose words the contract names.
        warnings: reasons not to rely on the explanations.
        notes: a summary in sentences.
    """

    depth: Literal["default", "full"]
    rows: int
    test_rows: int
    predicted: dict[str, int]
    steps: int
    baseline: str
    expected_value: float
    largest_difference: float
    rows_cut: int
    convergence: Convergence
    columns: tuple[ColumnImportance, ...]
    deletion: DeletionTest
    shapley: ShapleyCheck | None = None
    swaps: tuple[FacetSwap, ...] = ()
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


class Word(Frozen):
    """A word that several rows have.

    Attributes:
        word: in small letters.
        column: where it stands.
        rows: in how many explained rows.
        attribution: the mean of what it adds to the positive label's log-odds in them.
    """

    word: str
    column: str
    rows: int
    attribution: float


class Words(Frozen):
    """The words with the largest means, each way."""

    towards_positive: tuple[Word, ...]
    towards_negative: tuple[Word, ...]


class PartDescription(Frozen):
    """Clarify's name of a unit of text: the unit, and where it starts in its feature."""

    partial_text: str
    start_idx: int


class PartAttribution(Frozen):
    """Clarify's attribution of a unit of text, one number per output of the model."""

    attribution: tuple[float]
    description: PartDescription


class FeatureAttributions(Frozen):
    """Clarify's attributions of one text feature."""

    feature_name: str
    data_type: Literal["free_text"] = "free_text"
    attributions: tuple[PartAttribution, ...]


class ExplainedError(Frozen):
    """A confident error: Clarify's line, with the row's key, labels and texts.

    Attributes:
        key: the row's.
        label: the true one.
        predicted: the model's.
        score: the positive label's probability.
        cut: whether the model read only the row's beginning.
        texts: the whole text, in the pieces of the template.
        explanations: a feature for each of them.
    """

    key: str
    label: str
    predicted: str
    score: float
    cut: bool
    texts: tuple[str, ...]
    explanations: tuple[FeatureAttributions, ...]


def write_explanations(explanations: Explanations, folder: Path) -> None:
    """Writes `explanations.json`."""
    write_json(folder / EXPLANATIONS_FILE, explanations.model_dump(mode="json"))


read_explanations = partial(read_record, Explanations)


def write_words(words: Words, folder: Path) -> None:
    """Writes `words.json`."""
    write_json(folder / WORDS_FILE, words.model_dump(mode="json"))


read_words = partial(read_record, Words)


def write_lines(rows: Sequence[Frozen], path: Path) -> None:
    """Writes `errors.jsonl` or `swaps.jsonl`, a line for each row."""
    lines = [json.dumps(row.model_dump(mode="json")) for row in rows]
    write_bytes(path, "".join(f"{line}\n" for line in lines).encode())


def read_lines(model: type[R], path: Path) -> tuple[R, ...]:
    """Reads JSON Lines.

    Raises:
        InputError: if a line does not fit the model.
    """
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name} is not readable JSON Lines: {error}") from error
    return tuple(validate(model, row, source=path.name) for row in rows)


read_errors = partial(read_lines, ExplainedError)
read_swaps = partial(read_lines, SwappedText)
