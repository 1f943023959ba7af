"""The lineage of the run: the graph of the steps, and every input and output."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from sashiko.errors import InputError
from sashiko.pipeline.definition.graph import build_graph
from sashiko.pipeline.definition.model import Step
from sashiko.pipeline.runner.record import StepRecord
from sashiko.pipeline.selected import SELECTION_FILE
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.views import Cell, Fact, Figure, Row, Section, Table, numeric, row
from sashiko.report.words import duration
from sashiko.run_report.dag import Node, State, draw, state_text

_STATES: dict[str, State] = {
    "succeeded": "ran",
    "cached": "cached",
    "failed": "failed",
    "blocked": "blocked",
    "running": "interrupted",
    "interrupted": "interrupted",
}


def lineage_section(evidence: Evidence) -> Section:
    """Draws the executed pipeline and lists the data between its steps, with digests."""
    counts: dict[str, int] = {}
    for step in evidence.run.steps:
        if step.type in ("Processing", "Training"):
            state = _STATES.get(step.status, "not reached")
            counts[state] = counts.get(state, 0) + 1
    summary = ", ".join(f"{count} {state}" for state, count in counts.items())
    return Section(
        anchor="lineage",
        title="Lineage",
        statements=(
            f"Steps of this run: {summary}. A cached step's result is that of an earlier run with "
            "the same code, configuration and inputs.",
        ),
        facts=_times(evidence),
        beside=(_picture(evidence), _steps(evidence)),
        tables=(_data(evidence),),
    )


def _times(evidence: Evidence) -> tuple[Fact, ...]:
    run = evidence.run
    started = f"{datetime.fromisoformat(run.start):%d %B %Y, %H:%M} UTC"
    took = () if run.seconds is None else (Fact("took", duration(run.seconds)),)
    return (Fact("pipeline", run.pipeline), Fact("started", started), *took)


def settings_section(evidence: Evidence) -> Section:
    """Shows the recipe and the pipeline's parameters of the run."""
    facts = [
        Fact(name, str(value), code=True)
        for name, value in sorted(evidence.run.parameters.items())
        if value != ""
    ]
    return Section(
        anchor="settings",
        title="Settings",
        statements=("The pipeline's parameters, and the files that this run was made from.",),
        facts=tuple(facts),
        texts=(
            ("Recipe as used", _text(evidence.folder / "evidence" / "recipe.yaml")),
            ("Data contract", _text(evidence.folder / "evidence" / "contract.odcs.yaml")),
            *_selection(evidence.folder / "evidence" / SELECTION_FILE),
        ),
    )


def _selection(path: Path) -> Iterator[tuple[str, str]]:
    """Yields the selection that chose the recipe, if one did."""
    if path.is_file():
        yield "Selection that chose this recipe", _text(path)


def _text(path: Path) -> str:
    if not path.is_file():
        return f"{path.name} is not in the run's folder."
    return path.read_text(encoding="utf-8", errors="replace")


def _picture(evidence: Evidence) -> Figure:
    title = "The pipeline as it ran"
    if isinstance(evidence.definition, Missing):
        return Figure(title, absent=f"No picture: {evidence.definition.why}")
    try:
        graph = build_graph(evidence.definition)
    except InputError as error:
        return Figure(title, absent=f"No picture: {error}")
    steps = {step.name: step for step in evidence.definition.steps}
    nodes = [_node(steps[name], evidence) for name in graph.order]
    edges = [(other, name) for name in graph.order for other in graph.waits_for[name]]
    return Figure(
        title,
        svg=draw(nodes, edges),
        caption="Round ends: a gate. Arrows that follow from others are left out.",
    )


def _node(step: Step, evidence: Evidence) -> Node:
    record = evidence.step(step.name)
    state: State = _STATES.get(record.status, "not reached") if record else "not reached"
    gate = step.type == "Lambda"
    if gate and state == "ran":
        state = "passed"
    ran = record is not None and state in ("ran", "failed", "interrupted")
    return Node(
        name=step.name, state=state, seconds=record.seconds if record and ran else None, gate=gate
    )


def _steps(evidence: Evidence) -> Table:
    rows = []
    for step in evidence.run.steps:
        note = step.cached_from and f"taken from run {step.cached_from}"
        reason = "a gate closed: see the decision" if step.status == "blocked" else step.reason
        rows.append(
            row(
                step.name,
                step.type,
                state_text(_STATES.get(step.status, "not reached")),
                numeric("" if step.seconds is None else duration(step.seconds)),
                note or reason,
                style="failed" if step.status in ("failed", "blocked") else "",
            )
        )
    return Table("Steps", ("step", "type", "state", "time", "why"), tuple(rows))


def _data(evidence: Evidence) -> Table:
    rows = [item for step in evidence.run.steps for item in _data_rows(step)]
    return Table(
        title="Inputs and outputs",
        columns=("step", "way", "name", "where", "sha256"),
        rows=tuple(rows),
        absent="" if rows else "No step has read or written anything.",
        folded=True,
    )


def _data_rows(step: StepRecord) -> list[Row]:
    return [
        row(step.name, way, name, Cell(data.uri, code=True), Cell(data.sha256, code=True))
        for way, items in (("in", step.inputs), ("out", step.outputs))
        for name, data in sorted(items.items())
    ]
