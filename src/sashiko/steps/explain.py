"""Explain: which words, and which columns, move the model's score; it never sees a facet.

    python -m sashiko.steps.explain

Reads Train's model, Prepare's test split, the training snapshot (for the columns' values) and
Evaluate's predictions. Writes the figures to `explanations`, and what stands in rows (the most
confident errors, the words that several rows have) to `texts`, which nobody but a person reads.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from sashiko.clarify.explain.attribution import Attributed, Explained
from sashiko.clarify.explain.check_records import FacetSwap, ShapleyCheck
from sashiko.clarify.explain.cross_check import shapley_check
from sashiko.clarify.explain.deletion import deletion_test
from sashiko.clarify.explain.importance import column_importance, top_words
from sashiko.clarify.explain.notes import (
    NEAR,
    convergence,
    notes,
    served_notes,
    swap_notes,
    warnings,
)
from sashiko.clarify.explain.output import features, write_analysis
from sashiko.clarify.explain.record import (
    ERRORS_FILE,
    SWAPS_FILE,
    ExplainedError,
    Explanations,
    write_explanations,
    write_lines,
    write_words,
)
from sashiko.clarify.explain.tokens import Row, read_tokens
from sashiko.contract.manifest import training_snapshot, write_snapshots
from sashiko.core.job_folders import processing_input, processing_output
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Floats
from sashiko.serving.inspection import unpack
from sashiko.settings.recipe import CompileSection, ExplainSection, TextSection
from sashiko.steps.entry import run_step
from sashiko.steps.explained_rows import (
    EFFORT,
    SEED,
    SHAPLEY_PAIRS,
    Chosen,
    Depth,
    choose,
    read_pieces,
)
from sashiko.steps.sections import read_contract, read_section
from sashiko.steps.swapped_words import swap_words
from sashiko.training.machine import repeatable

# Of the mean difference: int8 makes 0.010, another seed 0.034 or more
# (verification.benchmarks.quantization).
_ROUNDED = 0.02


def main() -> None:
    """Writes `explanations.json` and `analysis.json`, and what stands in rows."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    depth = read_section(ExplainSection, "explain").depth
    text = read_section(TextSection, "text")
    compile_ = read_section(CompileSection, "compile")
    contract = read_contract()
    effort = EFFORT[depth]
    repeatable(seed=SEED)

    chosen = choose(effort)
    pieces = read_pieces(chosen.table["key"], contract, text)
    with tempfile.TemporaryDirectory(prefix="sashiko-model-") as name:
        unpack(processing_input("model") / "model.tar.gz", Path(name))
        model = Explained(Path(name))
    rows = read_tokens(
        pieces,
        model.tokenizer,
        max_length=max(compile_.sequence_lengths),
        truncate=text.truncate,
    )
    difference = check_same_model(model, rows, chosen, rounded=compile_.quantization != "none")
    say(f"attributing {len(rows)} rows in {effort.steps} steps each")
    found = model.attribute(rows, steps=effort.steps)

    say("swapping the words of facets")
    swaps, swapped = swap_words(
        model, chosen, contract, text, effort=effort, max_length=max(compile_.sequence_lengths)
    )
    labels = (contract.label.negative, contract.label.positive)
    figures = explain(
        model, rows, found, chosen, swaps, depth=depth, labels=labels, largest_difference=difference
    )
    write_explanations(figures, processing_output("explanations"))
    write_analysis(figures, processing_output("explanations"))
    rows_of = training_snapshot(processing_input("data"))
    write_snapshots(rows_of, processing_output("explanations"))
    drawn = [rows[at] for at in chosen.drawn], [found[at] for at in chosen.drawn]
    write_words(top_words(*drawn), processing_output("texts"))
    errors = explained_errors(rows, found, chosen, labels)
    write_lines(errors, processing_output("texts") / ERRORS_FILE)
    write_lines(swapped, processing_output("texts") / SWAPS_FILE)
    for sentence in (*figures.warnings, *figures.notes):
        say(sentence)


def check_same_model(
    model: Explained, rows: tuple[Row, ...], chosen: Chosen, *, rounded: bool
) -> float:
    """Holds that the model that is explained is the one that was judged.

    Args:
        model: the trained one, in float32.
        rows: what is explained.
        chosen: the same rows, with Evaluate's scores.
        rounded: whether the artifact multiplies integers: that moves some rows far, and another
            model moves most of them.

    Returns:
        The largest difference of a probability.

    Raises:
        InputError: if the scores are others than Evaluate's.
    """
    judged: Floats = chosen.table["score"].to_numpy()
    difference = np.abs(model.probabilities([row.ids for row in rows]) - judged)
    another = difference.mean() > _ROUNDED if rounded else difference.max() > NEAR
    if another:
        at = int(difference.argmax())
        raise InputError(
            f"the model scores the row with key {chosen.table['key'][at].as_py()!r} "
            f"{difference[at]:.3f} away from its prediction, and all {len(difference)} rows "
            f"{difference.mean():.3f} on average: it is not the model that Evaluate judged; run "
            "the pipeline again from Train"
        )
    return float(difference.max())


def explain(
    model: Explained,
    rows: tuple[Row, ...],
    found: tuple[Attributed, ...],
    chosen: Chosen,
    swaps: tuple[FacetSwap, ...],
    *,
    depth: Depth,
    labels: tuple[str, str],
    largest_difference: float,
) -> Explanations:
    """Puts the figures together, over the rows that stand for the split."""
    drawn = tuple(rows[at] for at in chosen.drawn)
    own = tuple(found[at] for at in chosen.drawn)
    predicted = chosen.predicted[chosen.drawn]
    say("removing top and random tokens")
    deletion = deletion_test(
        drawn, own, predicted=predicted, probabilities=model.probabilities, seed=SEED
    )
    shapley = cross_check(model, drawn, own, most=EFFORT[depth].shapley_rows)
    exact = convergence(own)
    importance = column_importance(drawn, own, predicted=predicted, labels=labels)
    cut = sum(bool(row.cut) for row in drawn)
    return Explanations(
        depth=depth,
        rows=len(drawn),
        test_rows=chosen.test_rows,
        predicted={label: int((predicted == bool(at)).sum()) for at, label in enumerate(labels)},
        steps=EFFORT[depth].steps,
        baseline=model.baseline,
        expected_value=float(np.mean([item.baseline for item in own])),
        largest_difference=largest_difference,
        rows_cut=cut,
        convergence=exact,
        columns=importance,
        deletion=deletion,
        shapley=shapley,
        swaps=swaps,
        warnings=warnings(deletion, exact, shapley),
        notes=(
            *notes(importance, deletion, shapley, rows=len(drawn), rows_cut=cut),
            *served_notes(largest_difference),
            *swap_notes(swaps, positive=labels[1]),
        ),
    )


def cross_check(
    model: Explained, rows: tuple[Row, ...], found: tuple[Attributed, ...], *, most: int
) -> ShapleyCheck | None:
    """Asks Shapley values of `most` rows whether they say what the gradients say."""
    if not most:
        return None
    return shapley_check(
        rows,
        found,
        values=lambda row, generator: model.shapley(row, pairs=SHAPLEY_PAIRS, generator=generator),
        pairs=2 * SHAPLEY_PAIRS,
        most=most,
        seed=SEED,
        on_progress=lambda done, of: None if done % 10 else say(f"Shapley values: {done} of {of}"),
    )


def explained_errors(
    rows: tuple[Row, ...],
    found: tuple[Attributed, ...],
    chosen: Chosen,
    labels: tuple[str, str],
) -> tuple[ExplainedError, ...]:
    """Writes out the rows that the model is sure of and wrong about."""
    table: list[dict[str, Any]] = chosen.table.to_pylist()
    return tuple(
        ExplainedError(
            key=table[at]["key"],
            label=labels[table[at]["label"]],
            predicted=labels[table[at]["predicted"]],
            score=table[at]["score"],
            cut=bool(rows[at].cut),
            texts=tuple(part for _, part in rows[at].pieces),
            explanations=features(rows[at], found[at]),
        )
        for at in chosen.errors
    )


def say(message: str) -> None:
    """Prints progress."""
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_step(main)
