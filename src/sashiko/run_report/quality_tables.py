"""The tables of quality: leads, slices, seen and unseen text, prompt injections."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from sashiko.evaluation.metrics.uncertainty import Standing, standing
from sashiko.evaluation.record import (
    Estimates,
    Evaluation,
    InjectionFigures,
    SeenTextFigures,
    SliceFigures,
    Slices,
)
from sashiko.report import words
from sashiko.report.views import Cell, Row, Table, numeric, row
from sashiko.steps.evaluation_notes import METRIC_NAMES

_METRICS = ("auc", "accuracy", "balanced_accuracy", "brier_score")
_WORDS: dict[Standing, str] = {
    "better": "✓ better",
    "no worse": "= no worse, not shown to be better",
    "not shown to be better": "? not shown to be better",
    "worse": "✕ worse",
    "undefined": "cannot be compared",
}


def lead_table(evaluation: Evaluation, *, name: Callable[[str], str]) -> Table:
    """Shows the model's lead over each other one, paired by rows."""
    effect = evaluation.minimum_effect
    rows = []
    for other, leads in evaluation.leads.items():
        standings = {metric: standing(leads[metric], minimum_effect=effect) for metric in _METRICS}
        cells = (
            replace(words.estimate_cell(leads[metric]), meaning=_WORDS[word])
            for metric, word in standings.items()
        )
        lost = "worse" in standings.values()
        rows.append(row(name(other), *cells, style="failed" if lost else ""))
    return Table(
        title="This model minus the others, on the same rows",
        columns=("other model", *(METRIC_NAMES[metric] for metric in _METRICS)),
        rows=tuple(rows),
        note=f"Above 0 this model is better. The same resamples for both models. Better: the whole "
        f"95 % interval lies above {effect:g} (evaluate.minimum_effect). No worse: above "
        f"{-effect:g}. Worse: below 0. Otherwise not shown to be better.",
    )


def worse_warnings(evaluation: Evaluation, *, name: Callable[[str], str]) -> tuple[str, ...]:
    """Warns if a simpler or older model is better on the main metrics."""
    warnings = []
    for other, leads in evaluation.leads.items():
        lost = [
            METRIC_NAMES[metric] for metric in ("auc", "accuracy")
            if standing(leads[metric], minimum_effect=evaluation.minimum_effect) == "worse"
        ]  # fmt: skip
        if lost:
            warnings.append(f"This model is worse on {' and '.join(lost)} than {name(other)}.")
    return tuple(warnings)


_WORST = 10


def slice_tables(slices: Slices) -> tuple[Table, ...]:
    """Shows the worst slices with their support, and all of them folded."""
    title = "Worst slices"
    word = METRIC_NAMES[slices.metric]
    judged, worse = slices.judged, slices.worse
    if not judged:
        why = f"No slice has {slices.minimum_rows} rows of both labels: too few to judge."
        return (Table(title=title, absent=why),)
    chance = 0.025 * len(judged)
    small = len(slices.figures) - len(judged)
    note = (
        f"By {word}, slice minus all rows; below 0 the slice is worse. {len(worse)} of "
        f"{len(judged)} lie below by their whole interval. Of this many slices, about "
        f"{chance:.1f} would do so by chance alone: one such slice is a lead, not a result. "
        f"{small} have too few rows to judge. Sensitive columns are under Fairness."
    )
    columns = [name for name in METRIC_NAMES if name in judged[0].metrics]
    return (
        Table(
            title=title,
            columns=_heads((slices.metric,), slices.metric),
            rows=_rows(judged[:_WORST], (slices.metric,), slices.metric),
            note=note,
        ),
        Table(
            title="All slices",
            columns=_heads(columns, slices.metric),
            rows=_rows(slices.figures, columns, slices.metric),
            folded=True,
        ),
    )


def _heads(columns: Sequence[str], metric: str) -> tuple[str, ...]:
    names = (METRIC_NAMES[name] for name in columns)
    return ("slice", "rows", "positive", *names, f"{METRIC_NAMES[metric]} minus all")


def _rows(figures: Sequence[SliceFigures], columns: Sequence[str], metric: str) -> tuple[Row, ...]:
    """Returns a row per slice; marks those whose whole interval is below all rows."""
    rows = []
    for item in figures:
        apart = item.differences.get(metric)
        below = apart is not None and apart.high is not None and apart.high < 0
        rows.append(
            row(
                f"{item.column} = {item.value}",
                item.rows,
                numeric(words.percent(item.positives / item.rows)),
                *(_cell(item.metrics, name) for name in columns),
                _cell(item.differences, metric),
                style="failed" if below else "",
            )
        )
    return tuple(rows)


def _cell(estimates: Estimates, metric: str) -> Cell:
    few = "undefined" if metric in estimates else "too few to judge"
    return words.estimate_cell(estimates.get(metric), few)


_NOTE = (
    "Seen: each word and each pair of adjacent words of the text, as the linear baseline counts "
    "them, occurs in a train text. A linear model learns nothing of what it has not seen; a "
    "pre-trained one may understand it. How much of what a model will meet is unseen depends on "
    "the data, and these rows say it of the test split alone."
)


def seen_text_tables(evaluation: Evaluation) -> tuple[Table, ...]:
    """Shows model and linear baseline on seen and unseen text, if the run has them."""
    if not evaluation.seen_text:
        return ()
    numbers = ("rows", "positive", "AUC of this model", "AUC of linear", "this model minus linear")
    return (
        Table(
            title="Seen and unseen text, on the test split",
            columns=("text", *numbers),
            rows=tuple(_row(item) for item in evaluation.seen_text),
            note=_NOTE,
        ),
    )


_INJECTIONS = (
    "Rows of the test split with a text in them that asks for the other decision. A row flips if "
    "the model decides it otherwise than without that text. The control is a neutral sentence in "
    "the text's place; the gate bounds what the injections flip above it, paired by rows."
)


def injection_tables(figures: InjectionFigures | None) -> tuple[Table, ...]:
    """Shows how many decisions prompt injections turned, if the run measured it."""
    if figures is None:
        return ()
    counts = {
        "all": figures.overall,
        "decided positive without it": figures.from_positive,
        "decided negative without it": figures.from_negative,
        **{f"kind: {kind}": count for kind, count in figures.by_kind.items()},
    }
    refused = f" {figures.refused} more were refused, as too long." if figures.refused else ""
    cut = f" {figures.cut_off} more were cut off by the longest length." if figures.cut_off else ""
    return (
        Table(
            title=f"Prompt injections, {figures.injections} texts",
            columns=("rows", "scored", "flipped", "by the control", "above the control"),
            rows=tuple(
                row(
                    name,
                    count.rows,
                    count.flips,
                    count.control_flips,
                    words.estimate_cell(count.above_control),
                )
                for name, count in counts.items()
            ),
            note=_INJECTIONS + refused + cut,
        ),
    )


def _row(item: SeenTextFigures) -> Row:
    share = words.percent(item.positives / item.rows) if item.rows else "none"
    return row(
        "seen: all words in train" if item.seen else "unseen: some words are new",
        item.rows,
        numeric(share),
        *(
            words.estimate_cell(estimates.get("auc"), "too few to judge")
            for estimates in (item.candidate, item.linear, item.lead)
        ),
    )
