"""What the model gains over the others, in words that the interval bears out."""

from collections.abc import Callable
from dataclasses import replace

from sashiko.evaluation import Evaluation
from sashiko.metrics.standing import Standing, standing
from sashiko.metrics.uncertainty import Estimate
from sashiko.report import words
from sashiko.report.views import Cell, Row, Table

_METRICS = ("auc", "accuracy", "balanced_accuracy", "brier_score")
_WORDS: dict[Standing, str] = {
    "better": "✓ better",
    "no worse": "= no worse, not shown to be better",
    "not shown to be better": "? not shown to be better",
    "worse": "✕ worse",
    "undefined": "cannot be compared",
}


def lead_table(found: Evaluation, *, name: Callable[[str], str], metrics: dict[str, str]) -> Table:
    """Shows the model's lead over each other one, paired by rows.

    Args:
        found: the figures.
        name: of a model -> how the page calls it.
        metrics: metric -> how the page calls it.
    """
    effect = found.minimum_effect
    rows = []
    for other, leads in found.leads.items():
        said = {metric: standing(leads[metric], minimum_effect=effect) for metric in _METRICS}
        cells = (_cell(leads[metric], word) for metric, word in said.items())
        lost = "worse" in said.values()
        rows.append(Row(cells=(Cell(name(other)), *cells), style="failed" if lost else ""))
    return Table(
        title="This model minus the others, on the same rows",
        columns=(
            Cell("other model"),
            *(Cell(metrics[metric], number=True) for metric in _METRICS),
        ),
        rows=tuple(rows),
        note=f"Above 0 this model is better. The same resamples for both models. Better: the whole "
        f"95 % interval lies above {effect:g} (evaluate.minimum_effect). No worse: above "
        f"{-effect:g}. Worse: below 0. Otherwise not shown to be better.",
    )


def _cell(lead: Estimate, said: Standing) -> Cell:
    if lead.value is None:
        return Cell("undefined", meaning=_WORDS[said], number=True)
    number = words.estimate_cell(lead.value, lead.low, lead.high)
    return replace(number, meaning=_WORDS[said])


def worse_warnings(
    found: Evaluation, *, name: Callable[[str], str], metrics: dict[str, str]
) -> tuple[str, ...]:
    """Says first where a simpler or older model is better on the main metrics."""
    said = []
    for other, leads in found.leads.items():
        lost = [
            metrics[metric] for metric in ("auc", "accuracy")
            if standing(leads[metric], minimum_effect=found.minimum_effect) == "worse"
        ]  # fmt: skip
        if lost:
            said.append(f"This model is worse on {' and '.join(lost)} than {name(other)}.")
    return tuple(said)
