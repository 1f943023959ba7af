"""Lays out a directed graph in rows from top to bottom, with mostly vertical arrows.

The classic way (Sugiyama, Tagawa and Toda 1981): a row for each node by its longest path, stand-ins
where an arrow passes a row, an order by the neighbours' mean position, then positions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

_SWEEPS = 8
_MOVES = 60
_STAND_IN = 0.16  # width of a passing arrow, in node widths


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
                item: index / max(len(row) - 1, 1) for row in rows for index, item in enumerate(row)
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
    size = {item: _STAND_IN if "@" in item else 1.0 for row in rows for item in row}
    width = max((sum(size[item] for item in row) for row in rows), default=1.0)
    x = {}
    for row in rows:
        offset = (width - sum(size[item] for item in row)) / 2
        for item in row:
            x[item] = offset + size[item] / 2
            offset += size[item]
    for sweep in range(_MOVES):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            around = [above.get(item, []) + below.get(item, []) for item in row]
            wish = [
                x[item] if (mean := _mean([x[other] for other in others])) is None else mean
                for item, others in zip(row, around, strict=True)
            ]
            settled = _settle(wish, [size[item] for item in row], width)
            x.update(zip(row, settled, strict=True))
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
