"""Files that Explain writes.

`explanations.json` holds figures and column names only. `errors.jsonl` and `swaps.jsonl` hold
texts of rows, and are written to a separate output.
"""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field

from sashiko.base.files import write_bytes, write_json
from sashiko.base.yaml_models import Frozen, read_record, validate
from sashiko.errors import InputError
from sashiko.evaluation.metrics.uncertainty import Estimate


class FacetSwap(Frozen):
    """How far the score moves when the words of a facet are swapped."""

    facet: str  # its column
    group: tuple[str, ...]  # the values of the disadvantaged group
    sample_size: int  # rows sampled from the test split and searched for such words
    with_words: int  # rows among them with such words
    rows: int  # rows among those that were scored
    one_sided: int  # scored rows with words of one group only
    # P(positive), or the predicted number, with the other groups' words minus that with the
    # group's, mean over the one-sided rows; above 0, the group's words lower the score.
    lead: Estimate
    size: Estimate  # absolute change, mean over the scored rows
    largest: float | None  # largest absolute change
    flips: Estimate  # share of the scored rows whose decision changes


class SwappedText(Frozen):
    """A row whose score changed most; written with row texts, not with the figures."""

    key: str  # the row's
    facet: str  # whose words were swapped
    score: float  # P(positive) of the text as it is, or its predicted number
    swapped_score: float  # with the words swapped
    parts: tuple[tuple[str, str | None], ...]  # text and its replacement, if any


class Rounding(Frozen):
    """How far a served artifact's scores are from those of the model that it was made from."""

    dtype: str  # what the artifact is served in: `int8` or `bfloat16`
    rows: int  # rows of the test split that both scored, drawn by chance
    changed: int  # rows that the artifact decides otherwise than the model in float32
    rate: Estimate  # their share, with Wilson's interval
    largest_difference: float  # of a probability, or of a number in its unit
    mean_difference: float  # of all of them


R = TypeVar("R", bound=Frozen)
# The second of causal LMs, the third of linear models.
Method = Literal["integrated_gradients", "shapley_sampling", "coefficients"]
EXPLANATIONS_FILE = "explanations.json"
ERRORS_FILE = "errors.jsonl"
SWAPS_FILE = "swaps.jsonl"
# Stands for the template's own words; not a valid column name.
TEMPLATE = "(template)"


class ColumnImportance(Frozen):
    """How much a column moves the score."""

    name: str  # the column, or `(template)` for the template's own words
    share: Estimate  # its mean share of what all columns move in a row, 0 to 1, with its interval
    by_predicted: dict[str, Estimate]  # predicted label -> the same over the rows predicted so
    mean_absolute: float  # the mean size of what it adds to the score, as `Convergence` has it
    rows_cut: int  # explained rows of which it lost text, as they were too long for the model


class DeletionPoint(Frozen):
    """How far the predicted label's probability falls when a share of a row's tokens is removed.

    Of a number, how far the value moves, against the predicted outcome's side.
    """

    removed: float  # the share, 0 to 1; at least one token
    top: Estimate  # the mean fall when those go that speak most for the prediction
    random: Estimate  # when as many others go, drawn by chance


class DeletionTest(Frozen):
    """Whether the attributions are faithful to the model."""

    rows: int  # number of tested rows; a row of one token cannot be tested
    draws: int  # random removals per row and share
    points: tuple[DeletionPoint, ...]  # by share
    # By how much more the score falls by the top tokens, mean over the shares, paired by rows.
    lead: Estimate
    faithful: bool  # whether the interval of `lead` lies above 0.005, of a number times its scale


class Convergence(Frozen):
    """How far attributions are from adding up to what they explain, per row.

    In log-odds; of a number in its unit.
    """

    median: float  # of the sizes of the difference
    largest: float  # of them
    explained: float  # the median size of what is explained: the score less that of the baseline


class Explanations(Frozen):
    """The figures."""

    depth: Literal["default", "full"]  # the recipe's `explain.depth`
    # Whether the label is a number, so that the explained score is the predicted value.
    is_number: bool = Field(False, exclude_if=lambda is_number: not is_number)
    rows: int  # of the test split that were explained, drawn by chance
    test_rows: int  # rows of the test split
    predicted: dict[str, int]  # predicted label -> how many of `rows` were predicted so
    method: Method = Field(
        "integrated_gradients", exclude_if=lambda method: method == "integrated_gradients"
    )
    # Between baseline and text, at which gradients were taken; of Shapley values the orders in
    # which words were removed; 0 of coefficients.
    steps: int
    baseline: str  # the token that replaces each word in the baseline; empty if words are removed
    expected_value: float  # the mean score of the baselines, in log-odds or the number's unit
    # Between the probabilities of the model that is explained and those that were judged; of a
    # number in standard deviations.
    largest_difference: float
    # The agreement of the served scores with the trained model's; None where none is rounded.
    rounding: Rounding | None = Field(None, exclude_if=lambda figures: figures is None)
    rows_cut: int  # rows among `rows` that are too long for the model
    convergence: Convergence  # how exact the attributions are
    columns: tuple[ColumnImportance, ...]  # by falling share
    deletion: DeletionTest  # how faithful they are
    shapley: Any = None  # the cross-check of earlier engines at `depth: full`; no longer read
    swaps: tuple[FacetSwap, ...] = ()  # of each facet whose words the contract names
    warnings: tuple[str, ...]  # reasons not to rely on the explanations
    notes: tuple[str, ...]  # a summary in sentences


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
    """A confident error: Clarify's line, with the row's key, labels and texts."""

    key: str  # the row's
    label: str  # the true one
    predicted: str  # the model's
    score: float  # the positive label's probability, or the predicted number
    cut: bool  # whether the model read only the row's beginning
    texts: tuple[str, ...]  # the whole text, in the pieces of the template
    explanations: tuple[FeatureAttributions, ...]  # a feature for each of them


def write_explanations(explanations: Explanations, folder: Path) -> None:
    """Writes `explanations.json`."""
    write_json(folder / EXPLANATIONS_FILE, explanations.model_dump(mode="json"))


read_explanations = partial(read_record, Explanations)


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
