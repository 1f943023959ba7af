"""The lineage of the run: the graph of the steps, and every input and output."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal

from markupsafe import Markup, escape

from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import Step
from sashiko.pipeline.definition.graph import build_graph
from sashiko.pipeline.project import SELECTION_FILE
from sashiko.pipeline.runner.run_record import StepRecord
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.svg import open_svg
from sashiko.report.views import Cell, Fact, Figure, Row, Section, Table, numeric, row
from sashiko.report.words import duration

_SWEEPS = 8
_MOVES = 60
_STAND_IN = 0.16  # width of a passing arrow, in node widths
State = Literal["ran", "cached", "failed", "blocked", "passed", "interrupted", "not reached"]
_SYMBOLS: dict[State, str] = {
    "ran": "✓",
    "cached": "↺",
    "failed": "✕",
    "blocked": "✕",
    "passed": "✓",
    "interrupted": "!",
    "not reached": "–",
}
_BOX_WIDTH, _BOX_HEIGHT = 122, 40
_COLUMN, _ROW = 134, 64
_STATES: dict[str, State] = {
    "succeeded": "ran",
    "cached": "cached",
    "failed": "failed",
    "blocked": "blocked",
    "running": "interrupted",
    "interrupted": "interrupted",
}


# Lays out a directed graph in rows from top to bottom, with mostly vertical arrows.
#
# The classic way (Sugiyama, Tagawa and Toda 1981): a row for each node by its longest path,
# stand-ins where an arrow passes a row, an order by the neighbours' mean position, then positions.


@dataclass(frozen=True)
class Point:
    """A place: `x` in node widths from the left, `row` from the top."""

    x: float
    row: int


@dataclass(frozen=True)
class Placed:
    """A placed graph."""

    nodes: Mapping[str, Point]  # name -> centre of the node
    # (from, to) -> the points that the arrow passes, both ends included.
    arrows: Mapping[tuple[str, str], tuple[Point, ...]]
    width: float  # in node widths
    rows: int


def place(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> Placed:
    """Places the nodes of an acyclic graph, whose edges go from earlier names to later ones."""
    predecessors = _direct(names, edges)
    row: dict[str, int] = {}
    for name in names:
        row[name] = max((row[other] + 1 for other in predecessors[name]), default=0)
    chains = {
        (start, end): (
            start,
            *(f"{start}>{end}@{layer}" for layer in range(row[start] + 1, row[end])),
            end,
        )
        for end in names
        for start in sorted(predecessors[end], key=list(names).index)
    }
    rows: list[list[str]] = [[] for _ in range(max(row.values(), default=-1) + 1)]
    for name in names:
        rows[row[name]].append(name)
    links: list[tuple[str, str]] = []
    for (start, _), chain in chains.items():
        links += pairwise(chain)
        for offset, stand_in in enumerate(chain[1:-1], start=1):
            rows[row[start] + offset].append(stand_in)
    _order(rows, links)
    x, width = _positions(rows, links)
    level = {item: index for index, items in enumerate(rows) for item in items}
    points = {item: Point(x=x[item], row=level[item]) for item in level}
    return Placed(
        nodes={name: points[name] for name in names},
        arrows={ends: tuple(points[item] for item in chain) for ends, chain in chains.items()},
        width=width,
        rows=len(rows),
    )


def _direct(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, set[str]]:
    """Returns each node's direct predecessors, without those implied by others."""
    successors: dict[str, set[str]] = {name: set() for name in names}
    reach: dict[str, set[str]] = {name: set() for name in names}
    direct = {}
    for start, end in edges:
        successors[end].add(start)
    for name in names:
        further = set().union(*(reach[other] for other in successors[name]))
        direct[name] = successors[name] - further
        reach[name] = successors[name] | further
    return direct


def _order(rows: list[list[str]], links: Sequence[tuple[str, str]]) -> None:
    """Sorts each row by the mean position of its neighbours above, then below, and again."""
    above, below = _neighbours(links)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        neighbours = above if down else below
        for items in rows if down else reversed(rows):
            place_of = {
                item: index / max(len(tier) - 1, 1)
                for tier in rows
                for index, item in enumerate(tier)
            }
            means = {
                item: _mean([place_of[other] for other in neighbours.get(item, [])])
                for item in items
            }
            items.sort(key=lambda item: place_of[item] if (m := means[item]) is None else m)


def _positions(
    rows: Sequence[Sequence[str]], links: Sequence[tuple[str, str]]
) -> tuple[dict[str, float], float]:
    """Moves each item towards its neighbours, as far as its row's order and widths allow."""
    above, below = _neighbours(links)
    size = {item: _STAND_IN if "@" in item else 1.0 for tier in rows for item in tier}
    width = max((sum(size[item] for item in tier) for tier in rows), default=1.0)
    x = {}
    for tier in rows:
        offset = (width - sum(size[item] for item in tier)) / 2
        for item in tier:
            x[item] = offset + size[item] / 2
            offset += size[item]
    for sweep in range(_MOVES):
        for tier in rows if sweep % 2 == 0 else reversed(rows):
            around = [above.get(item, []) + below.get(item, []) for item in tier]
            wish = [
                x[item] if (mean := _mean([x[other] for other in others])) is None else mean
                for item, others in zip(tier, around, strict=True)
            ]
            settled = _settle(wish, [size[item] for item in tier], width)
            x.update(zip(tier, settled, strict=True))
    return x, width


def _settle(wish: Sequence[float], sizes: Sequence[float], width: float) -> list[float]:
    """Places each item at the mean of the positions of a left and a right push."""
    left = _push(wish, sizes, width)
    mirrored = _push([width - x for x in reversed(wish)], list(reversed(sizes)), width)
    right = [width - x for x in reversed(mirrored)]
    return [(one + other) / 2 for one, other in zip(left, right, strict=True)]


def _push(wish: Sequence[float], sizes: Sequence[float], width: float) -> list[float]:
    """Moves items right until none overlap, then back from the right edge if they ran over it."""
    x, edge = [], 0.0
    for want, size in zip(wish, sizes, strict=True):
        x.append(max(want, edge + size / 2))
        edge = x[-1] + size / 2
    edge = width
    for index in range(len(x) - 1, -1, -1):
        x[index] = min(x[index], edge - sizes[index] / 2)
        edge = x[index] - sizes[index] / 2
    return x


def _neighbours(
    links: Sequence[tuple[str, str]],
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for start, end in links:
        above.setdefault(end, []).append(start)
        below.setdefault(start, []).append(end)
    return above, below


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


@dataclass(frozen=True)
class Node:
    """A step in the picture; a gate decides and does not compute."""

    name: str
    state: State
    seconds: float | None = None
    gate: bool = False


def state_text(state: State) -> str:
    """Returns a state with its symbol, so that it does not depend on colour."""
    return f"{_SYMBOLS[state]} {state}"


def draw(nodes: Sequence[Node], edges: Sequence[tuple[str, str]]) -> Markup:
    """Draws steps, given in an order in which they could run, from top to bottom."""
    placed = place([node.name for node in nodes], edges)
    width, height = placed.width * _COLUMN, placed.rows * _ROW
    alt = "Steps and what became of them: " + ", ".join(
        f"{node.name} {node.state}" for node in nodes
    )
    parts = [open_svg(view_box=f"0 0 {width:.0f} {height:.0f}", alt=alt)]
    for ends in placed.arrows:
        parts.append(_arrow(placed.arrows[ends]))
    for node in nodes:
        parts.append(_box(node, placed))
    return Markup("\n".join([*parts, "</svg>"]))  # noqa: S704 - every text is escaped below


def _box(node: Node, placed: Placed) -> str:
    x, y = _coordinates(placed.nodes[node.name])
    line = state_text(node.state)
    if node.seconds is not None:
        line += f" · {duration(node.seconds)}"
    kind = node.state.replace(" ", "-")
    radius = _BOX_HEIGHT / 2 if node.gate else 5
    return (
        f'<g class="step {kind}">'
        f'<rect x="{x - _BOX_WIDTH / 2:.1f}" y="{y - _BOX_HEIGHT / 2:.1f}" width="{_BOX_WIDTH}" '
        f'height="{_BOX_HEIGHT}" rx="{radius:g}"/>'
        f'<text class="name" x="{x:.1f}" y="{y - 3:.1f}">{escape(node.name)}</text>'
        f'<text class="state" x="{x:.1f}" y="{y + 12:.1f}">{escape(line)}</text></g>'
    )


def _arrow(points: Sequence[Point]) -> str:
    """Draws one curve through the points, and its head."""
    (x, y), *rest = (_coordinates(point) for point in points)
    y += _BOX_HEIGHT / 2
    path = f"M{x:.1f} {y:.1f}"
    for index, (next_x, next_y) in enumerate(rest):
        last = index == len(rest) - 1
        end = next_y - (_BOX_HEIGHT / 2 + 5 if last else _BOX_HEIGHT / 2)
        middle = (y + end) / 2
        path += f"C{x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f} {end:.1f}"
        x, y = next_x, end
        if not last:
            y = next_y + _BOX_HEIGHT / 2
            path += f"V{y:.1f}"
    head = f"M{x - 3.5:.1f} {y - 1:.1f}h7l-3.5 6z"
    return f'<path class="arrow" d="{path}"/><path class="head" d="{head}"/>'


def _coordinates(point: Point) -> tuple[float, float]:
    return point.x * _COLUMN, point.row * _ROW + _ROW / 2


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
