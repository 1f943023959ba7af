"""The newest sweep that a run's report may show: of the same recipe, data and splits."""

from typing import Any

from sashiko.errors import InputError
from sashiko.recipe import Recipe
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.sweep_section import trade_off_figures
from sashiko.report.views import Figure
from sashiko.sweep.record import Sweep, read_sweep, sweep_folders

_INPUTS = {"validation": ("Prepare", "validation"), "facets": ("SnapshotFacets", "data")}


def sweep_figures(evidence: Evidence) -> tuple[Figure, ...]:
    """Draws the newest sweep that differs from the run in strength and threshold alone, if any."""
    for folder in sweep_folders(evidence.folder.parents[1]):
        try:
            sweep = read_sweep(folder)
        except InputError:  # another version's; its own page still shows it
            continue
        if _is_of(sweep, evidence):
            return tuple(
                Figure(f"{figure.title}, sweep {sweep.id}", figure.svg, figure.caption)
                for figure in trade_off_figures(sweep)
            )
    return ()


def _is_of(sweep: Sweep, evidence: Evidence) -> bool:
    if isinstance(evidence.recipe, Missing):
        return False
    for name, (step, output) in _INPUTS.items():
        record = evidence.step(step)
        written = record.outputs.get(output) if record else None
        if written is None or written.sha256 != sweep.inputs.get(name):
            return False
    return _without_the_swept(sweep.recipe) == _without_the_swept(evidence.recipe)


def _without_the_swept(recipe: Recipe) -> dict[str, Any]:
    value = recipe.model_dump(mode="json")
    del value["reweighing"]["strength"], value["evaluate"]["threshold"]
    return value
