"""The graph of the executed pipeline: one box per step, with its state."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup, escape

from sashiko.report.svg import open_svg
from sashiko.report.words import duration
from sashiko.run_report.layout import Placed, Point, place

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
