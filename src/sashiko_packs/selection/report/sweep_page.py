"""Writes a sweep's page: one self-contained HTML file."""

from pathlib import Path
from typing import Final

from sashiko.base.files import write_bytes
from sashiko.report.html import REPORT_FILE, render
from sashiko.report.views import ChoicePage, Fact, Outcome, Section
from sashiko_packs.selection.report.sweep_section import (
    strengths_table,
    threshold_tables,
    trade_off_figures,
)
from sashiko_packs.selection.sweep.sweep import Sweep, inner_bounds
from sashiko_packs.selection.sweep.words import choice_lines, headline

_TEMPLATE: Final = "sashiko_packs.selection/choice.html.j2"
_RULE = (
    "A point, which is a strength and a threshold, will do if each quality gate passes (but for "
    "leads over the linear baseline and the champion), each bias gate passes, and each gated bias "
    "metric keeps half of the distance to its bounds, as a margin for new rows.",
    "Of the points that will do, the one with the highest {metric} is recommended; of equal ones "
    "that of the lower strength.",
    "All of it is measured on the validation split. No row of the test split was read or scored, "
    "so the test split can still judge what is chosen: the run that follows does.",
    "The best of many points looks better than it is, and another training seed gives other "
    "points: the intervals say how much the rows alone leave open.",
    "On the front: no other point has as high a {metric} and lies as near to no difference in "
    "{check}, and is better in one of the two.",
)


def write_sweep_page(sweep: Sweep, folder: Path) -> Path:
    """Writes `report.html` into a sweep's folder and returns its path.

    Raises:
        InputError: if it cannot be written.
    """
    path = folder / REPORT_FILE
    write_bytes(path, render(_page(sweep), template=_TEMPLATE).encode())
    return path


def _page(sweep: Sweep) -> ChoicePage:
    return ChoicePage(
        title=f"Sweep: {sweep.recipe.name}",
        source=f"`sweep.json` of sweep `{sweep.id}`, which holds every point",
        outcome=Outcome(
            kind="registered" if sweep.chosen else "blocked",
            word="✓ A POINT WILL DO" if sweep.chosen else "✕ NO POINT WILL DO",
            headline=headline(sweep),
            details=tuple(choice_lines(sweep)),
            commands=(sweep.chosen.command,) if sweep.chosen else (),
        ),
        sections=(
            Section("trade-off", "Trade-off", figures=trade_off_figures(sweep)),
            Section("points", "Points", tables=(strengths_table(sweep), *threshold_tables(sweep))),
            Section("rule", "How it is chosen", statements=_rule(sweep), facts=_facts(sweep)),
        ),
    )


def _rule(sweep: Sweep) -> tuple[str, ...]:
    metric = sweep.metric.replace("_", " ")
    return tuple(text.format(metric=metric, check=sweep.checks[0]) for text in _RULE)


def _facts(sweep: Sweep) -> tuple[Fact, ...]:
    margins = (
        f"{gate.metric} of {' & '.join(gate.facets)}: {low:.3g} to {high:.3g}"
        for gate in sweep.recipe.bias.gates
        for low, high in (inner_bounds(gate),)
    )
    return (
        Fact("rows of validation", f"{sweep.rows:,}"),
        Fact("training seed", str(sweep.recipe.train.seed)),
        Fact("bounds with margin", "; ".join(margins)),
        Fact("runs", "; ".join(f"{curve.strength:g}: {curve.run}" for curve in sweep.curves)),
        *(Fact(f"{name}, sha256", digest, code=True) for name, digest in sweep.inputs.items()),
    )
