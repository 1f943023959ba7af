"""What the model gains over the others, in words that the interval bears out."""

from collections.abc import Callable

from sashiko.evaluation import Evaluation
from sashiko.metrics.standing import Standing, standing
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
        for metric in _METRICS:
            lead = leads[metric]
            said = standing(lead, minimum_effect=effect)
            number = Cell("undefined", number=True)
            if lead.value is not None:
                number = words.estimate_cell(lead.value, lead.low, lead.high)
            cells = (Cell(name(other)), Cell(metrics[metric]), number, Cell(_WORDS[said]))
            rows.append(Row(cells=cells, style="failed" if said == "worse" else ""))
    return Table(
        title="This model minus the others, on the same rows",
        columns=(Cell("other model"), Cell("metric"), Cell("lead", number=True), Cell("so it is")),
        rows=tuple(rows),
        note=f"Above 0 this model is better. The same resamples for both models. Better: the whole "
        f"95 % interval lies above {effect:g} (evaluate.minimum_effect). No worse: above "
        f"{-effect:g}. Worse: below 0. Otherwise not shown to be better.",
    )


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
