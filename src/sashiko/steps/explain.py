"""Explain: which words and columns move the model's score; reads no facets.

    python -m sashiko.steps.explain

Reads Train's model, Prepare's test split, the training snapshot (for the columns' values) and
Evaluate's predictions. Writes the figures to `explanations`, and texts of rows (the most
confident errors, those with swapped words) to `texts`, which no other step reads.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.job_folders import processing_input, processing_output
from sashiko.base.parquet import positions, read_columns, rows_of
from sashiko.contract.manifest import training_snapshot, write_snapshots
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import (
    Bools,
    Floats,
    Ints,
    favourable_scores,
    predict_classes,
)
from sashiko.evaluation.metrics.calibration import share_estimate
from sashiko.explain import explanation_notes
from sashiko.explain import explanation_record as records
from sashiko.explain.attribution import ExplainedModel, RowAttribution
from sashiko.explain.explanation_checks import deletion_test, swap_check
from sashiko.explain.explanation_notes import NEAR
from sashiko.explain.importance import column_importance, features
from sashiko.explain.linear_attribution import LinearExplanation
from sashiko.explain.tokens import Piece, Row, read_tokens, token_ids
from sashiko.serving.container.linear import is_linear
from sashiko.serving.container.number import Number
from sashiko.serving.container.text import columns, text_pieces
from sashiko.serving.inspection import unpack
from sashiko.settings.recipe import ExplainSection
from sashiko.settings.recipe_data import TextSection
from sashiko.settings.recipe_train import CompileSection
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_contract, read_section
from sashiko.training.machine import repeatable

__all__ = ["main"]

SEED = 0
Depth = Literal["default", "full"]
_PREDICTIONS = ("key", "split", "label", "score", "predicted")
# Limit of the mean difference: int8 causes 0.010, another seed 0.034 or more
# (verification.benchmarks.quantization).
_ROUNDED = 0.02


@dataclass(frozen=True)
class Effort:
    """How much is explained."""

    rows: int
    removal_rows: int  # the same of a causal LM, whose Shapley values take two passes a word
    steps: int  # of integrated gradients
    pairs: int  # of orders of a text's words, for a causal LM's Shapley values
    errors: int
    swap_candidates: int  # rows of the test split to search for words of facets
    swap_rows: int  # rows among them to score with swapped words, per facet
    compared_rows: int  # rows to score in float32 where the served artifact is rounded


# The default stays below 30 s on two cores, with the shipped encoder and all imports.
EFFORT: Mapping[Depth, Effort] = MappingProxyType({
    "default": Effort(rows=40, removal_rows=16, steps=20, pairs=1, errors=3,
                      swap_candidates=1000, swap_rows=100, compared_rows=500),
    "full": Effort(rows=512, removal_rows=512, steps=50, pairs=2, errors=10,
                   swap_candidates=20_000, swap_rows=2000, compared_rows=2000),
})  # fmt: skip


@dataclass(frozen=True)
class RowSelection:
    """The rows to explain, in the order of the test split."""

    table: pa.Table  # their predictions; key, label, score, predicted
    # Positions of the random sample, drawn alike from each label and decision; the other rows are
    # errors only.
    sample: list[int]
    errors: list[int]
    test_rows: int
    # Of two classes, the lowest score that is predicted positive; of a number its bound.
    threshold: float
    # Keys of the rows to search for words of facets, in the order of the draw.
    swap_candidates: pa.ChunkedArray
    compared: pa.Table  # predictions of the rows to score in float32; the same columns


def main() -> None:
    """Writes `explanations.json` and the texts of rows."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    depth = read_section(ExplainSection, "explain").depth
    text = read_section(TextSection, "text")
    compile_ = read_section(CompileSection, "compile")
    contract = read_contract()
    effort, labels, first = EFFORT[depth], contract.classes, contract.first_favourable
    repeatable(seed=SEED)

    model: ExplainedModel | LinearExplanation
    with tempfile.TemporaryDirectory(prefix="sashiko-model-") as name:
        folder = trained_model(Path(name))
        model = (
            LinearExplanation(folder, text, first_favourable=first)
            if is_linear(folder)
            else ExplainedModel(folder, first_favourable=first)
        )
    selection = select_rows(
        effort,
        rows=effort.removal_rows if model.prompt else effort.rows,
        classes=len(labels),
        first_favourable=first,
        number=model.number,
    )
    max_length = max(compile_.sequence_lengths)

    def pieces_of(keys: pa.ChunkedArray) -> tuple[tuple[Piece, ...], ...]:
        if isinstance(model, LinearExplanation):
            return tuple(map(model.pieces, read_texts(keys)))
        return read_pieces(keys, contract, text)

    def read_rows(predictions: pa.Table) -> tuple[Row, ...]:
        if isinstance(model, LinearExplanation):
            return model.read(read_texts(predictions["key"]))
        return read_tokens(
            pieces_of(predictions["key"]),
            model.tokenizer,
            max_length=max_length,
            truncate=text.truncate,
            prompt=model.prompt,
        )

    def score(texts: Sequence[str]) -> Floats:
        if isinstance(model, LinearExplanation):
            return model.score_texts(texts)
        # A replacement may have more tokens than the word, so the text is truncated.
        return model.scores(
            token_ids(texts, model.tokenizer, max_length=max_length, prompt=model.prompt)
        )

    rows = read_rows(selection.table)
    rounded = compile_.rounded
    difference = check_same_model(
        favourable_scores(model.scores([row.ids for row in rows]), first=first),
        selection.table,
        scale=model.number.scale if model.number else 1.0,
        rounded=rounded is not None,
    )
    rounding = None
    if rounded is not None:
        say(f"scoring {selection.compared.num_rows} rows in float32, which are served in {rounded}")
        rounding = compare_rounded(
            model.scores([row.ids for row in read_rows(selection.compared)]),
            selection.compared,
            first_favourable=first,
            threshold=selection.threshold,
            dtype=rounded,
        )
    say(f"attributing {len(rows)} rows")
    attributions = (
        model.attribute(rows)
        if isinstance(model, LinearExplanation)
        else model.attribute(rows, steps=effort.steps, pairs=effort.pairs, seed=SEED)
    )

    say("swapping the words of facets")
    facets = [facet for facet in contract.facets if facet.words]
    pieces = pieces_of(selection.swap_candidates) if facets else ()
    swapped = [
        swap_check(
            facet,
            list(zip(selection.swap_candidates.to_pylist(), pieces, strict=True)),
            score=score,
            first_favourable=first,
            threshold=selection.threshold,
            most=effort.swap_rows,
            worst=effort.errors,
        )
        for facet in facets
    ]
    sample_rows = tuple(rows[index] for index in selection.sample)
    sample_attributions = tuple(attributions[index] for index in selection.sample)
    figures = explain(
        model,
        sample_rows,
        sample_attributions,
        selection,
        tuple(swap for swap, _ in swapped),
        depth=depth,
        contract=contract,
        largest_difference=difference,
        rounding=rounding,
    )
    explanations, texts = processing_output("explanations"), processing_output("texts")
    records.write_explanations(figures, explanations)
    write_snapshots(training_snapshot(processing_input("data")), explanations)
    table: list[dict[str, Any]] = selection.table.to_pylist()
    errors = [
        records.ExplainedError(
            key=row["key"],
            label=f"{row['value']:.4g}" if model.number else labels[row["label"]],
            predicted=f"{row['score']:.4g}" if model.number else labels[row["predicted"]],
            score=row["score"],
            cut=bool(rows[index].cut),
            texts=tuple(part for _, part in rows[index].pieces),
            explanations=features(rows[index], attributions[index]),
        )
        for index in selection.errors
        for row in (table[index],)
    ]
    records.write_lines(errors, texts / records.ERRORS_FILE)
    swapped_texts = [row for _, worst in swapped for row in worst]
    records.write_lines(swapped_texts, texts / records.SWAPS_FILE)
    for sentence in (*figures.warnings, *figures.notes):
        say(sentence)


def trained_model(scratch: Path) -> Path:
    """Unpacks the model that Train wrote; an adapter is merged into its base model.

    Raises:
        InputError: if it is damaged, or the adapter is not of this base model.
    """
    from sashiko.serving.container.adapter import AdapterError, is_adapter, merge  # imports torch

    folder = scratch / "trained"
    unpack(processing_input("model") / "model.tar.gz", folder)
    if not is_adapter(folder):
        return folder
    merged = scratch / "merged"
    try:
        merge(folder, processing_input("base"), merged)
    except AdapterError as error:
        raise InputError(str(error)) from error
    return merged


def select_rows(
    effort: Effort, *, rows: int, classes: int, first_favourable: int, number: Number | None = None
) -> RowSelection:
    """Samples `rows` of the test split, and selects the most confident errors.

    The errors are those that predict a favourable class, then those that predict another one. Of a
    number they are the largest ones: values predicted too high, then those predicted too low.

    Raises:
        InputError: if the predictions are missing, damaged, or have no test row.
    """
    path = processing_input("predictions") / "predictions.parquet"
    table = read_columns(path, (*_PREDICTIONS, *(["value"] if number else [])))
    scores, predicted = table["score"].to_numpy(), table["predicted"].to_numpy()
    # Of two classes, the midpoint between the scores of the two predicted labels.
    below, above = scores[predicted == 0].max(initial=0.0), scores[predicted == 1].min(initial=1.0)
    table = table.filter(pc.equal(table["split"], "test"))
    if not table.num_rows:
        raise InputError(f"{path} has no row of the test split; run Evaluate again")
    generator = np.random.default_rng(SEED)
    labels, predicted = table["label"].to_numpy(), table["predicted"].to_numpy()
    groups = classes * labels + predicted
    sampled = sorted(_draw_evenly(groups, rows, generator).tolist())
    favourable, wrongly = predicted >= first_favourable, labels != predicted
    scores = table["score"].to_numpy()
    if number:
        scores = scores - table["value"].to_numpy()
        favourable, wrongly = scores > 0, scores != 0
    confidence = np.where(favourable, 1.0, -1.0) * scores
    errors: list[int] = []
    for decision in (True, False):
        wrong = np.flatnonzero((favourable == decision) & wrongly)
        order = np.argsort(-confidence[wrong], kind="stable")
        errors += wrong[order][: effort.errors].tolist()
    candidates = generator.choice(
        table.num_rows, min(effort.swap_candidates, table.num_rows), replace=False
    )
    indices = sorted({*sampled, *errors})
    return RowSelection(
        table=table.take(pa.array(indices, pa.int64())),
        sample=[indices.index(row) for row in sampled],
        errors=[indices.index(row) for row in errors],
        test_rows=table.num_rows,
        threshold=number.above if number else float((below + above) / 2),
        swap_candidates=table["key"].take(pa.array(candidates)),
        compared=table.take(pa.array(candidates[: effort.compared_rows])),
    )


def _draw_evenly(groups: Ints, rows: int, generator: np.random.Generator) -> Ints:
    """Draws rows in equal numbers from each group; what a small group lacks comes from the others.

    Without this a sample of few rows has none of a rare label or decision. `groups` has the number
    of each row's group, shape (rows,). Returns positions of the rows, without order.
    """
    members = sorted((np.flatnonzero(groups == group) for group in np.unique(groups)), key=len)
    drawn: list[Ints] = []
    for index, rows_of_group in enumerate(members):
        share = (rows - sum(map(len, drawn))) // (len(members) - index)
        drawn.append(generator.permutation(rows_of_group)[:share])
    return np.concatenate(drawn)


def read_texts(keys: pa.ChunkedArray) -> list[str]:
    """Reads the texts of rows of the test split.

    Raises:
        InputError: if a key is not in it.
    """
    split = processing_input("test") / "data.parquet"
    texts: list[str] = _take(keys, split, ("key", "text"), "key")["text"].to_pylist()
    return texts


def _take(keys: pa.ChunkedArray, source: Path, names: Sequence[str], key: str) -> pa.Table:
    """Reads columns of a file's rows with these keys, in their order."""
    table = rows_of(keys, source, names, key=key)
    predictions = processing_input("predictions") / "predictions.parquet"
    table_keys = table[key].cast(pa.string())
    return table.take(positions(keys, table_keys, source=predictions, among_source=source))


def read_pieces(
    keys: pa.ChunkedArray, contract: Contract, text: TextSection
) -> tuple[tuple[Piece, ...], ...]:
    """Fills the template again and returns the pieces by column.

    Raises:
        InputError: if a key is not in the snapshot or the test split, or their texts differ.
    """
    texts = read_texts(keys)
    source = processing_input("data") / "data.parquet"
    needed = dict.fromkeys((contract.key, *columns(text.template)))
    values = _take(keys, source, tuple(needed), contract.key).to_pylist()
    pieces = tuple(tuple(text_pieces(text.template, row, text.missing)) for row in values)
    for key, row, expected in zip(keys.to_pylist(), pieces, texts, strict=True):
        if "".join(part for _, part in row) != expected:
            raise InputError(
                f"{processing_input('test')}: the text of key {key!r} is not what the recipe's "
                f"text.template makes of {source}; both must come from the same run of Prepare"
            )
    return pieces


def check_same_model(
    scores: Floats, predictions: pa.Table, *, scale: float = 1.0, rounded: bool
) -> float:
    """Returns the largest difference of a score from Evaluate's of the same rows, over `scale`.

    `rounded`: whether the artifact is served in another type than the model's float32. `scale` is
    the standard deviation of a number.

    Raises:
        InputError: if the scores differ so much that they are of another model.
    """
    difference = np.abs(scores - predictions["score"].to_numpy()) / scale
    # Rounding moves a few rows far, another model most of them.
    differs = difference.mean() > _ROUNDED if rounded else difference.max() > NEAR
    if differs:
        index = int(difference.argmax())
        raise InputError(
            f"the model scores the row with key {predictions['key'][index].as_py()!r} "
            f"{difference[index]:.3f} away from its prediction, and all {len(difference)} rows "
            f"{difference.mean():.3f} on average: it is not the model that Evaluate judged; run "
            "the pipeline again from Train"
        )
    return float(difference.max())


def compare_rounded(
    scores: Floats,
    predictions: pa.Table,
    *,
    first_favourable: int = 1,
    threshold: float,
    dtype: str,
) -> records.Rounding:
    """Compares scores in float32 with those of the artifact that is served in `dtype`.

    `scores` are the probabilities of the classes, shape (rows, classes), or numbers, (rows, 1).
    """
    decisions = predict_classes(scores, threshold=threshold)
    changed: Bools = decisions != predictions["predicted"].to_numpy()
    scores = favourable_scores(scores, first=first_favourable)
    difference = np.abs(scores - predictions["score"].to_numpy())
    return records.Rounding(
        dtype=dtype,
        rows=len(scores),
        changed=int(changed.sum()),
        rate=share_estimate(changed),
        largest_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
    )


def explain(
    model: ExplainedModel | LinearExplanation,
    rows: tuple[Row, ...],
    attributions: tuple[RowAttribution, ...],
    selection: RowSelection,
    swaps: tuple[records.FacetSwap, ...],
    *,
    depth: Depth,
    contract: Contract,
    largest_difference: float,
    rounding: records.Rounding | None,
) -> records.Explanations:
    """Computes the figures over the sampled rows."""
    effort, first, outcomes = EFFORT[depth], contract.first_favourable, contract.outcomes
    predicted = selection.table["predicted"].to_numpy()[selection.sample] >= first
    say("removing top and random tokens")
    deletion = deletion_test(
        rows,
        attributions,
        predicted=predicted,
        probabilities=lambda texts: favourable_scores(model.scores(texts), first=first),
        scale=model.number.scale if model.number else 1.0,
        seed=SEED,
    )
    convergence = explanation_notes.convergence(attributions)
    importance = column_importance(rows, attributions, predicted=predicted, labels=outcomes)
    cut = sum(bool(row.cut) for row in rows)
    is_number = model.number is not None
    notes = explanation_notes.notes(
        importance, deletion, rows=len(rows), rows_cut=cut, is_number=is_number
    )
    score = "the predicted value" if is_number else f"P({outcomes[1]})"
    return records.Explanations(
        depth=depth,
        is_number=is_number,
        rows=len(rows),
        test_rows=selection.test_rows,
        predicted={label: int((predicted == bool(at)).sum()) for at, label in enumerate(outcomes)},
        method=model.method,
        steps={
            "integrated_gradients": effort.steps,
            "shapley_sampling": 2 * effort.pairs,
            "coefficients": 0,
        }[model.method],
        baseline=model.baseline,
        expected_value=float(np.mean([attribution.baseline for attribution in attributions])),
        largest_difference=largest_difference,
        rounding=rounding,
        rows_cut=cut,
        convergence=convergence,
        columns=importance,
        deletion=deletion,
        swaps=swaps,
        warnings=tuple(explanation_notes.warnings(deletion, convergence, is_number=is_number)),
        notes=(
            *notes,
            *([explanation_notes.rounding_note(rounding, is_number=is_number)] if rounding else ()),
            *(explanation_notes.swap_note(swap, score=score) for swap in swaps),
        ),
    )


def say(message: str) -> None:
    """Prints progress."""
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_step(main)
