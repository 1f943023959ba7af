"""The diagrams of `docs/images`: Graphviz lays them out, `docs/dark.py` makes pictures of them.

Drawn from the code: the pipeline (the golden definition), the house (the imports), who reads what
(the definition and the contract), an environment (the templates, `docs/whole.py`). The others
are written in `docs/*.dot`; `tests/infra/test_diagrams.py` compares their roles with the templates.
"""

import json
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from docs.dark import diagram
from sashiko.base.yaml_models import read_yaml
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.pipeline.definition.definition_records import Definition, Step, parse_definition
from sashiko.pipeline.definition.graph import build_graph
from sashiko.pipeline.definition.unchain import unchain

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs/images"
BREAK = "\\n"  # a new line in a label
_HEAD = """digraph {
graph [bgcolor=transparent fontname=Helvetica fontsize=19 nodesep=0.2 ranksep=0.32 pad=0.06]
node [shape=box style="rounded,filled" fontname=Helvetica fontsize=18 margin="0.11,0.06" height=0.4]
edge [fontname=Helvetica fontsize=17 arrowsize=0.7]
"""
_ROLES = {
    "broker": "blue", "bias-evaluator": "orange", "training": "green", "device-check": "yellow",
    "registry-reader": "purple", "registrar": "purple", "gate": "red",
}  # fmt: skip
_STOREYS = {"infra": "green", "pipelines": "green", "sashiko_packs": "orange"}
_CLASSES = {"none": "text, attributes", "common": "key, label"}
_CLASSES |= {"sensitive": "sensitive", "pii": "pii"}
_JOBS = [role for role in _ROLES if role != "gate"]


@dataclass(frozen=True)
class Diagram:
    """A graph to be laid out."""

    title: str
    text: str  # what it shows, for those who do not see it
    lines: tuple[str, ...]  # in Graphviz's language


def draw(diagrams: Mapping[str, Diagram]) -> dict[Path, str]:
    """Lays the diagrams out, by Graphviz in Node.

    Returns:
        Path of each picture -> its SVG.
    """
    graphs = {name: _HEAD + "\n".join([*item.lines, "}"]) for name, item in diagrams.items()}
    node = shutil.which("node")
    if node is None:
        raise SystemExit("error: the diagrams need Node.js 18 or newer: https://nodejs.org")
    command = [node, str(ROOT / "docs/layout.js")]
    done = subprocess.run(command, input=json.dumps(graphs), text=True, stdout=-1, check=True)
    drawn = json.loads(done.stdout).items()
    return {IMAGES / f"{k}.svg": diagram(v, diagrams[k].title, diagrams[k].text) for k, v in drawn}


def diagrams() -> dict[str, Diagram]:
    """Returns name -> diagram, of all that need no templates."""
    written = {}
    for path in sorted((ROOT / "docs").glob("*.dot")):
        # The first two lines are comments.
        title, text, *lines = path.read_text().replace("// ", "").splitlines()
        written[path.stem] = Diagram(title, text, tuple(lines))
    return {**written, "dag": dag(golden_definition()), "house": house(), "data-flow": data_flow()}


def golden_definition() -> Definition:
    """Reads the golden definition of the recipe that upstream's settings name."""
    recipe = read_yaml(ROOT / "config/base.yaml")["recipe"]
    golden = ROOT / f"tests/golden/{recipe}.definition.json"
    return parse_definition(json.loads(golden.read_text()))


def arrows(edges: Mapping[tuple[str, str], str]) -> Iterator[str]:
    """Writes edges in Graphviz's language: (from, to) -> label."""
    for (start, end), label in edges.items():
        yield f'"{start}" -> "{end}" [label="{label}"]'


def box(name: str, *lines: str, colour: str = "", gate: bool = False) -> str:
    """Writes a box in Graphviz's language; a gate has a double border."""
    label = BREAK.join(lines or (name,))
    return f'"{name}" [label="{label}" class="{colour}" peripheries={1 + gate}]'


def two_by_two(names: Sequence[str]) -> list[str]:
    """Puts names on lines, two a line."""
    return [", ".join(names[at : at + 2]) for at in range(0, len(names), 2)]


def direct(edges: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Leaves out each edge that follows from others, and labels none; a circle is an error."""
    before = {end: [start for start, other in edges if other == end] for _, end in edges}
    order = list(TopologicalSorter(before).static_order())
    reach: dict[str, set[str]] = {}
    pairs = []
    for end in order:
        starts = before.get(end, [])
        further = set().union(*(reach[start] for start in starts))
        reach[end] = further.union(starts)
        pairs += [(start, end) for start in order if start in starts and start not in further]
    return dict.fromkeys(pairs, "")


def dag(definition: Definition) -> Diagram:
    """Draws a definition: each job with the role that runs it, and the gates."""
    graph = build_graph(definition)
    roles = {step.name: role_of(step) for step in definition.steps}
    edges = [(before, after) for after in graph.order for before in graph.waits_for[after]]
    return Diagram(
        "The steps of the pipeline",
        f"{_words(dict.fromkeys(roles.items(), ''), 'by')}. Implied arrows are left out.",
        (
            *(
                box(k, *k.split("-"), role, colour=_ROLES[role], gate=role == "gate")
                for k, role in roles.items()
            ),
            *arrows(direct(edges)),
        ),
    )


def role_of(step: Step) -> str:
    """Takes a job's role from an ARN that ends in `<project>-local-<role>`; a gate has none."""
    return str(step.arguments["RoleArn"]).rpartition("-local-")[2] if step.is_job else "gate"


def house() -> Diagram:
    """Draws which room imports which: without what follows from other arrows."""
    import grimp

    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = ":".join(contracts["contracts"][0]["layers"]).replace(" ", "").split(":")
    rooms = [room for room in layers if room != "verification"]
    graph = grimp.build_graph(*{room.partition(".")[0] for room in rooms}, cache_dir=None)

    def room(module: str) -> int:
        inside = [one for one in rooms if f"{module}.".startswith(f"{one}.")]
        return rooms.index(max(inside, key=len)) if inside else -1

    links = {
        (room(module), room(other))
        for module in graph.modules
        for other in graph.find_modules_directly_imported_by(module)
    }
    drawn = direct([(rooms[a], rooms[b]) for a, b in sorted(links) if a != b and min(a, b) >= 0])
    packs = sorted(path.parent.name for path in (ROOT / "src/sashiko_packs").glob("*/pack.py"))
    names = {room: [room.removeprefix("sashiko.")] for room in rooms}
    names["sashiko_packs"] = ["packs", *two_by_two(packs)]
    return Diagram(
        "Which part of the code imports which",
        f"{_words(drawn, 'imports')}. Arrows that follow from others are left out. No pack imports "
        "another.",
        (
            *(
                box(room, *lines, colour=_STOREYS.get(room, "blue"))
                for room, lines in names.items()
            ),
            *arrows(drawn),
        ),
    )


def data_flow() -> Diagram:
    """Draws which role reads which class of columns, and what the roles hand to each other."""
    contract = load_contract(ROOT / "contracts/complaints.odcs.yaml")
    definition = unchain(golden_definition())
    graph, roles = build_graph(definition), {step.name: role_of(step) for step in definition.steps}
    flows: dict[tuple[str, str], list[str]] = {}
    for other in graph.order:
        readers = {roles[step] for step in graph.order if other in graph.waits_for[step]}
        for role in _JOBS:
            if role in readers - {roles[other]} and roles[other] in _JOBS:
                flows.setdefault((roles[other], role), []).append(other)
    classes, reads = _classes(contract), {}
    for role, view in (("broker", "training"), ("bias-evaluator", "facets")):
        seen = {column.name for column in contract.view_columns(view)}
        for name, columns in classes.items():
            if part := [column for column in columns if column in seen]:
                whole = len(part) == len(columns)
                reads[name, role] = "" if whole else f"only {', '.join(part)}"
    steps = {role: [step for step in graph.order if roles[step] == role] for role in _JOBS}
    turned = {(role, name): "" for name, role in reads}
    handed = {(end, ", ".join(of)): "" for (_, end), of in flows.items()}
    return Diagram(
        "Which role reads which data",
        f"Of the data lake {_words(turned, 'reads')}. No role of the pipeline reads pii. Of the "
        f"steps' outputs {_words(handed, 'reads')}.",
        (
            "nodesep=0.1",  # it is read on a phone too
            'subgraph cluster_lake { label="data lake: role etl writes it, grants are by column"',
            *(box(k, k, *v, colour="orange" * (k in "sensitive pii")) for k, v in classes.items()),
            '} subgraph cluster_jobs { label="jobs: one role each, in a VPC without internet"',
            *(box(role, role, *steps[role], colour=_ROLES[role]) for role in _JOBS),
            # A person, drawn above the lake.
            '} "data-scientist" [label="data-scientist, a person" class=yellow]',
            *(f'"data-scientist" -> "{name}" [dir=back]' for name, by in reads if by == "broker"),
            *arrows(reads),
            *arrows({pair: BREAK.join(of) for pair, of in flows.items()}),
        ),
    )


def _classes(contract: Contract) -> dict[str, list[str]]:
    """Sorts the columns by what they are to the pipeline: name of the class -> its columns."""
    classes: dict[str, list[str]] = {name: [] for name in _CLASSES.values()}
    for column in contract.columns:
        common = column.name in (contract.key, contract.label.column)
        classes[_CLASSES["common" if common else column.classification]].append(column.name)
    return classes


def _words(edges: Mapping[tuple[str, str], str], verb: str) -> str:
    return "; ".join(f"{start} {verb} {end}" for start, end in edges)
