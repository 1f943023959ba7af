"""Data and lineage of the run: rows, contract, splits, the graph of steps, inputs and outputs."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal

from markupsafe import Markup, escape

from sashiko.contract.model import TextHashSplit, TimeSplit
from sashiko.data.splits import META_FILE, SPLITS, SplitMeta, read_split_meta
from sashiko.errors import InputError
from sashiko.pipeline.definition.graph import build_graph
from sashiko.pipeline.project import SELECTION_FILE
from sashiko.pipeline.runner.run_record import StepRecord
from sashiko.registry.versions import MARKDOWN_FILE
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.gate_views import bias_not_judged
from sashiko.report.svg import open_svg
from sashiko.report.views import Cell, Fact, Figure, Section, Table, numeric, row
from sashiko.report.words import duration, percent

_FACETS = "SnapshotFacets"
_SNAPSHOTS = {"Snapshot": "what training sees", _FACETS: "the bias steps, and nobody else"}
_USES = {
    "none": "may be trained on",
    "sensitive": "for measuring bias and making reweighing weights; no training column",
    "pii": "personal data; no step reads it",
}


def data_section(evidence: Evidence) -> Section:
    """Describes snapshots, contract, columns and splits."""
    meta = evidence.read("Prepare", "meta", META_FILE, lambda path: read_split_meta(path.parent))
    contract, title = evidence.contract, "Columns and who may use them"
    if isinstance(contract, Missing):
        columns = Table(title, absent=f"The contract cannot be shown: {contract.why}")
        return Section("data", "Data", tables=(_splits(meta), columns))
    facets = {facet.column: "facet; " for facet in contract.facets}
    own_uses = {contract.label.column: "label", contract.key: "key; joins the views"}
    rows = []
    for column in contract.columns:
        kind = column.classification
        use = own_uses.get(column.name) or facets.get(column.name, "") + _USES[kind]
        meaning = " ".join(column.description.split())
        rows.append(row(column.name, column.logical_type, kind, use, meaning))
    columns = Table(title, ("column", "type", "class", "use", "meaning"), tuple(rows), folded=True)
    label, others = contract.label, " or ".join(contract.classes[: contract.first_favourable])
    favourable = " or ".join(label.favourable)
    outcomes = f"a number; {favourable} is favourable" if contract.is_number else ""
    return Section(
        anchor="data",
        title="Data",
        statements=(" ".join(contract.description.split()),),
        facts=(
            Fact("contract", contract.title),
            Fact("label", f"{label.column}: {outcomes or f'{favourable} (positive) or {others}'}"),
            Fact("facets judged for bias", ", ".join(facets) or "none: bias is not judged"),
            Fact("split", _split_words(contract.split, meta)),
        ),
        tables=(_splits(meta), *_class_tables(meta), columns),
    )


def _split_words(split: TimeSplit | TextHashSplit, meta: SplitMeta | Missing) -> str:
    if isinstance(split, TextHashSplit):
        return (
            f"by a hash of the normalised text: {split.validation_share:.0%} validation, "
            f"{split.test_share:.0%} test"
        )
    if not split.test_days:
        dates = f"validation from {split.validation_from}, test from {split.test_from}"
        return f"by time ({split.column}): {dates}"
    words = (
        f"by time ({split.column}): the {split.test_days} days up to the newest row are for "
        f"testing, the {split.validation_days} before them for validation"
    )
    return words if isinstance(meta, Missing) or meta.dates is None else f"{words}: {meta.dates}"


def snapshots(evidence: Evidence) -> Table:
    """Lists the views that the run read, with the digest of each."""
    rows, reasons = [], []
    for step, use in _SNAPSHOTS.items():
        if step == _FACETS and bias_not_judged(evidence):
            continue
        manifest = evidence.manifest(step)
        if isinstance(manifest, Missing):
            reasons.append(manifest.why)
        else:
            columns = ", ".join(column.name for column in manifest.columns)
            sha256 = Cell(manifest.sha256, code=True)
            rows.append(row(manifest.view, manifest.rows, columns, use, sha256))
    return Table(
        title="Snapshots",
        columns=("view", "rows", "columns", "for", "sha256 of the data"),
        rows=tuple(rows),
        note=" ".join(reasons) if rows else "",
        absent="" if rows else f"No snapshot. {' '.join(reasons)}",
    )


def _splits(meta: SplitMeta | Missing) -> Table:
    if isinstance(meta, Missing):
        return Table("Splits", absent=f"No splits. {meta.why}")
    rows = []
    for name in SPLITS:
        if split := meta.splits.get(name):
            positive, dropped = percent(split.positive_rate), meta.removed_repeats.get(name, 0)
            contradicting = split.contradicting_rows
            rows.append(row(name, split.rows, numeric(positive), dropped, contradicting))
    favourable = " or ".join(meta.labels[meta.first_favourable :])
    several = "both" if len(meta.labels) == 2 else "several"
    counts = (f"labelled {favourable}", "dropped as repeats", f"same text, {several} labels")
    note = (
        f"The text is made of: {', '.join(meta.columns)}. A row of validation or test is dropped "
        "when an earlier split has its text, so that no text is both learned and judged."
    )
    if meta.removed_over_limit:
        note += f" {meta.removed_over_limit:,} rows exceed the recipe's limits and are not used."
    return Table("Splits", ("split", "rows", *counts), tuple(rows), note=note)


def _class_tables(meta: SplitMeta | Missing) -> Iterator[Table]:
    """Counts the rows of each of more than two classes."""
    if isinstance(meta, Missing) or len(meta.labels) == 2:
        return
    splits = [name for name in SPLITS if name in meta.splits]
    counts = zip(*(meta.splits[name].class_rows for name in splits), strict=True)
    rows = [row(name, *of_class) for name, of_class in zip(meta.labels, counts, strict=True)]
    yield Table("Rows of each class", ("class", *splits), tuple(rows))


_SWEEPS = 8
_STAND_IN = 0.16  # width of a passing arrow, in node widths
State = Literal["ran", "cached", "failed", "blocked", "passed", "interrupted", "not reached"]
_SYMBOLS: dict[State, str] = {
    "ran": "✓", "cached": "↺", "failed": "✕", "blocked": "✕", "passed": "✓", "interrupted": "!",
    "not reached": "–",
}  # fmt: skip
_BOX_WIDTH, _BOX_HEIGHT = 122, 40
_COLUMN, _ROW = 134, 64
_STATES: dict[str, State] = {
    "succeeded": "ran", "cached": "cached", "failed": "failed", "blocked": "blocked",
    "running": "interrupted", "interrupted": "interrupted",
}  # fmt: skip


# Lays out a directed graph in rows from top to bottom.
#
# The classic way (Sugiyama, Tagawa and Toda 1981): a row for each node by its longest path,
# stand-ins where an arrow passes a row, and an order by the neighbours' mean position.


_Neighbours = Mapping[str, list[str]]


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
    direct = _direct(names, edges)
    level: dict[str, int] = {}
    for name in names:
        level[name] = max((level[other] + 1 for other in direct[name]), default=0)
    rows: list[list[str]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for name in names:
        rows[level[name]].append(name)
    chains: dict[tuple[str, str], list[str]] = {}
    above, below = defaultdict(list), defaultdict(list)
    for end in names:
        for start in sorted(direct[end], key=list(names).index):
            between = {f"{start}>{end}@{at}": at for at in range(level[start] + 1, level[end])}
            for stand_in, at in between.items():
                rows[at].append(stand_in)
            chains[start, end] = [start, *between, end]
            for upper, lower in pairwise(chains[start, end]):
                above[lower].append(upper)
                below[upper].append(lower)
    _order(rows, above, below)
    x, width = _positions(rows)
    points = {item: Point(x[item], at) for at, items in enumerate(rows) for item in items}
    return Placed(
        nodes={name: points[name] for name in names},
        arrows={ends: tuple(points[item] for item in chain) for ends, chain in chains.items()},
        width=width,
        rows=len(rows),
    )


def _direct(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, set[str]]:
    """Returns each node's direct predecessors, without those implied by others."""
    before = {name: {start for start, end in edges if end == name} for name in names}
    reach: dict[str, set[str]] = {}
    direct = {}
    for name in names:
        further = set().union(*(reach[other] for other in before[name]))
        direct[name] = before[name] - further
        reach[name] = before[name] | further
    return direct


def _order(rows: list[list[str]], above: _Neighbours, below: _Neighbours) -> None:
    """Sorts each row by the mean position of its neighbours above, then below, and again."""
    for sweep in range(_SWEEPS):
        neighbours, order = (below, reversed(rows)) if sweep % 2 else (above, iter(rows))
        for items in order:
            x = {
                item: index / max(len(tier) - 1, 1)
                for tier in rows for index, item in enumerate(tier)
            }  # fmt: skip
            items.sort(key={item: _mean(x, item, neighbours[item]) for item in items}.__getitem__)


def _positions(rows: Sequence[list[str]]) -> tuple[dict[str, float], float]:
    """Sets the items of each row side by side, in the middle of the picture."""
    size = {item: _STAND_IN if "@" in item else 1.0 for tier in rows for item in tier}
    width = max((sum(size[item] for item in tier) for tier in rows), default=1.0)
    x = {}
    for tier in rows:
        offset = (width - sum(size[item] for item in tier)) / 2
        for item in tier:
            x[item] = offset + size[item] / 2
            offset += size[item]
    return x, width


def _mean(x: Mapping[str, float], item: str, neighbours: Sequence[str]) -> float:
    return sum(x[other] for other in neighbours) / len(neighbours) if neighbours else x[item]


def _arrow(points: Sequence[Point]) -> str:
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
    run = evidence.run
    counts = Counter(_state(step) for step in run.steps if step.type in ("Processing", "Training"))
    summary = ", ".join(f"{count} {state}" for state, count in counts.items())
    started = f"{datetime.fromisoformat(run.start):%d %B %Y, %H:%M} UTC"
    took = [] if run.seconds is None else [Fact("took", duration(run.seconds))]
    if cached := {step.cached_from for step in run.steps if step.cached_from}:
        took.append(Fact("cached results are of", ", ".join(sorted(cached))))
    data = [
        row(step.name, way, name, Cell(data.uri, code=True), Cell(data.sha256, code=True))
        for step in run.steps
        for way, items in (("in", step.inputs), ("out", step.outputs))
        for name, data in sorted(items.items())
    ]
    return Section(
        anchor="lineage",
        title="Lineage",
        statements=(
            f"Steps of this run: {summary}. A cached step's result is that of an earlier run with "
            "the same code, configuration and inputs.",
        ),
        facts=(Fact("pipeline", run.pipeline), Fact("started", started), *took),
        figures=(_picture(evidence),),
        tables=(
            Table(
                title="Inputs and outputs",
                columns=("step", "way", "name", "where", "sha256"),
                rows=tuple(data),
                absent="" if data else "No step has read or written anything.",
                folded=True,
            ),
        ),
    )


def settings_section(evidence: Evidence) -> Section:
    """Shows commit, digests, the pipeline's parameters and the files that the run was made from."""
    parameters, folder = sorted(evidence.run.parameters.items()), evidence.folder / "evidence"
    texts = [
        ("Recipe as used", _text(folder / "recipe.yaml")),
        ("Data contract", _text(folder / "contract.odcs.yaml")),
    ]
    if (selection := folder / SELECTION_FILE).is_file():
        texts.append(("Selection that chose this recipe", _text(selection)))
    card = evidence.read("Register", "registration", MARKDOWN_FILE, Path.read_text)
    texts.append(("The model card, in Markdown", card.why if isinstance(card, Missing) else card))
    source = evidence.source
    commit = f"not known: {source.why}" if isinstance(source, Missing) else source.git_sha
    if not isinstance(source, Missing) and source.dirty:
        commit += " with uncommitted changes"
    return Section(
        anchor="settings",
        title="Environment and settings",
        facts=(
            Fact("command", evidence.run.command, code=True),
            Fact("commit", commit, code=True),
            *(
                ()
                if isinstance(evidence.contract, Missing)
                else [Fact("contract sha256", evidence.contract.sha256, code=True)]
            ),
            *(Fact(name, str(value), code=True) for name, value in parameters if value != ""),
        ),
        tables=(snapshots(evidence),),
        texts=tuple(texts),
    )


def _text(path: Path) -> str:
    if not path.is_file():
        return f"{path.name} is not in the run's folder."
    return path.read_text(encoding="utf-8", errors="replace")


def _state(record: StepRecord | None) -> State:
    return _STATES.get(record.status, "not reached") if record else "not reached"


def _picture(evidence: Evidence) -> Figure:
    """Draws the steps and their states from top to bottom; a gate decides and does not compute."""
    title = "The pipeline as it ran"
    if isinstance(evidence.definition, Missing):
        return Figure(title, absent=f"No picture: {evidence.definition.why}")
    try:
        graph = build_graph(evidence.definition)
    except InputError as error:
        return Figure(title, absent=f"No picture: {error}")
    gates = {step.name for step in evidence.definition.steps if step.type == "Lambda"}
    edges = [(other, name) for name in graph.order for other in graph.waits_for[name]]
    placed = place(graph.order, edges)
    states, boxes = [], []
    for name in graph.order:
        record = evidence.step(name)
        state = _state(record)
        if name in gates and state == "ran":
            state = "passed"
        states.append(f"{name} {state}")
        line = f"{_SYMBOLS[state]} {state}"
        if record and record.seconds is not None and state in ("ran", "failed", "interrupted"):
            line += f" · {duration(record.seconds)}"
        x, y = _coordinates(placed.nodes[name])
        boxes.append(
            f'<g class="step {state.replace(" ", "-")}">'
            f'<rect x="{x - _BOX_WIDTH / 2:.1f}" y="{y - _BOX_HEIGHT / 2:.1f}" '
            f'width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" '
            f'rx="{_BOX_HEIGHT / 2 if name in gates else 5:g}"/>'
            f'<text class="name" x="{x:.1f}" y="{y - 3:.1f}">{escape(name)}</text>'
            f'<text class="state" x="{x:.1f}" y="{y + 12:.1f}">{escape(line)}</text></g>'
        )
    width, height = placed.width * _COLUMN, placed.rows * _ROW
    alt = f"Steps and their states: {', '.join(states)}"
    start = open_svg(view_box=f"0 0 {width:.0f} {height:.0f}", alt=alt)
    parts = [start, *map(_arrow, placed.arrows.values()), *boxes, "</svg>"]
    caption = "Round ends: a gate. Arrows that follow from others are left out."
    return Figure(title, Markup("\n".join(parts)), caption)  # noqa: S704 - every text is escaped
