"""A sweep's figures and tables, for its own page and for the report of its run."""

from collections.abc import Iterator
from typing import Any

from sashiko.errors import InputError
from sashiko.report import words
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.views import Cell, Figure, Row, Table, row
from sashiko.settings.bias import BiasGate
from sashiko.settings.quality import QualityMetric
from sashiko.settings.recipe import Recipe
from sashiko_packs.selection.report.sweep_plot import trade_off
from sashiko_packs.selection.sweep.sweep import Curve, Point, Sweep, read_sweep, sweep_folders
from sashiko_packs.selection.sweep.words import outcome, shown_points

_CAPTION = (
    "Validation split. A curve runs over the thresholds, with a mark at every tenth from 0.1 to "
    "0.9. Shaded: what the gate allows; between the dashed lines the margin is kept too. Crosses: "
    "95 % intervals."
)
_EACH = 5  # hundredths: of the thresholds that the folded tables show
_NUMBERS = ("accuracy", "balanced_accuracy", "f1")


def trade_off_figures(sweep: Sweep) -> tuple[Figure, ...]:
    """Draws accuracy, and the sweep's metric, against each bias gate's metric."""
    metrics: dict[QualityMetric, None] = {sweep.metric: None, "accuracy": None}
    return tuple(
        Figure(
            title=f"{_name(metric)} against {check}",
            svg=trade_off(sweep, gate=gate, check=check, metric=metric),
            caption=_CAPTION,
        )
        for gate, check in _gates(sweep)
        for metric in metrics
    )


def strengths_table(sweep: Sweep) -> Table:
    """Shows the best threshold of each strength, and that of the recipe's own policy."""
    return Table(
        title="Each strength at its best threshold, and at that of the recipe's own policy",
        columns=_columns(sweep),
        rows=tuple(_row(sweep, curve, point) for curve, point in shown_points(sweep)),
        note="In brackets: 95 % bootstrap intervals. Best: with the fewest failed checks and "
        f"margins, then the highest {_name(sweep.metric).lower()}.",
    )


def threshold_tables(sweep: Sweep) -> Iterator[Table]:
    """Yields a folded table of thresholds per strength; `sweep.json` has all of them."""
    for curve in sweep.curves:
        yield Table(
            title=f"Strength {curve.strength:g} over the thresholds",
            columns=_columns(sweep),
            rows=tuple(
                _row(sweep, curve, point)
                for point in curve.points
                if point.by_policy or point.on_front or round(100 * point.threshold) % _EACH == 0
            ),
            folded=True,
        )


def _gates(sweep: Sweep) -> Iterator[tuple[BiasGate, str]]:
    """Yields each bias gate's check once, with its first gate."""
    # A facet's gate is named by the beginning of what an intersection's is named by.
    gates = sorted(sweep.recipe.bias.gates, key=lambda gate: -len(gate.facets))
    for check in sweep.checks:
        yield next((gate, check) for gate in gates if _is_of(gate, check))


def _is_of(gate: BiasGate, check: str) -> bool:
    groups = check.removeprefix(f"{gate.metric} ")
    return groups != check and all(f" & {facet}=" in f" & {groups}" for facet in gate.facets)


def _columns(sweep: Sweep) -> tuple[str, ...]:
    metrics = (_name(name) for name in _NUMBERS)
    return ("strength", "threshold", *sweep.checks, *metrics, "AUC", "outcome")


def _row(sweep: Sweep, curve: Curve, point: Point) -> Row:
    text = outcome(sweep, curve, point)
    threshold = f"{point.threshold:.3g}"
    return row(
        f"{curve.strength:g}",
        Cell(threshold, interval="by policy" if point.by_policy else "", number=True),
        *(words.estimate_cell(point.bias[check]) for check in sweep.checks),
        *(words.estimate_cell(point.quality[name]) for name in _NUMBERS),
        words.estimate_cell(curve.quality["auc"]),
        f"{text}{' (on the front)' if point.on_front else ''}",
        style="ours" if text == "recommended" else "",
    )


def _name(metric: str) -> str:
    text = {"auc": "AUC", "f1": "F1"}.get(metric, metric.replace("_", " "))
    return text[:1].upper() + text[1:]


_INPUTS = {"validation": ("Prepare", "validation"), "facets": ("SnapshotFacets", "data")}


def sweep_figures(evidence: Evidence) -> tuple[Figure, ...]:
    """Draws the newest sweep that differs from the run only in strength and threshold, if any."""
    for folder in sweep_folders(evidence.folder.parents[1]):
        try:
            sweep = read_sweep(folder)
        except InputError:  # another version's; its own page still shows it
            continue
        if _is_of_run(sweep, evidence):
            return tuple(
                Figure(f"{figure.title}, sweep {sweep.id}", figure.svg, figure.caption)
                for figure in trade_off_figures(sweep)
            )
    return ()


def _is_of_run(sweep: Sweep, evidence: Evidence) -> bool:
    if isinstance(evidence.recipe, Missing):
        return False
    for name, (step, output) in _INPUTS.items():
        record = evidence.step(step)
        output_record = record.outputs.get(output) if record else None
        if output_record is None or output_record.sha256 != sweep.inputs.get(name):
            return False
    return _without_the_swept(sweep.recipe) == _without_the_swept(evidence.recipe)


def _without_the_swept(recipe: Recipe) -> dict[str, Any]:
    value = recipe.model_dump(mode="json")
    del value["reweighing"]["strength"], value["evaluate"]["threshold"]
    return value
