"""The diagrams of `docs/images`: Graphviz lays them out, `docs/dark.py` makes pictures of them.

Drawn from the code: the pipeline (the golden definition), the house (the imports), who reads what
(the definition and the contract), an environment (the templates, `docs/whole.py`). The others
are written in `docs/*.dot`; `tests/infra/test_diagrams.py` compares their roles with the templates.
"""

import json
import shutil
import subprocess
import tomllib
from collections import defaultdict
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
from sashiko.run_report.lineage import place

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
    done = subprocess.run(
        [node, "layout.js"], cwd=ROOT / "docs", input=json.dumps(graphs), text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    return {
        IMAGES / f"{name}.svg": diagram(svg, title=diagrams[name].title, text=diagrams[name].text)
        for name, svg in json.loads(done.stdout).items()
    }


def diagrams() -> dict[str, Diagram]:
    """Returns name -> diagram, of all that need no templates."""
    written = {path.stem: _written(path) for path in sorted((ROOT / "docs").glob("*.dot"))}
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
    borders = 2 if gate else 1
    return (
        f'"{name}" [label="{BREAK.join(lines or (name,))}" class="{colour}" peripheries={borders}]'
    )


def two_by_two(names: Sequence[str]) -> list[str]:
    """Puts names on lines, two a line."""
    return [", ".join(names[at : at + 2]) for at in range(0, len(names), 2)]


def direct(edges: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Leaves out each edge that follows from others, and labels none; a circle is an error."""
    before: dict[str, list[str]] = {}
    for start, end in edges:
        before.setdefault(end, []).append(start)
    order = list(TopologicalSorter(before).static_order())
    return dict.fromkeys(place(order, edges).arrows, "")


def _written(path: Path) -> Diagram:
    """Reads a graph whose first two lines are comments: its title, and what it shows."""
    title, text, *lines = path.read_text().splitlines()
    return Diagram(title.removeprefix("// "), text.removeprefix("// "), tuple(lines))


def dag(definition: Definition) -> Diagram:
    """Draws a definition: each job with the role that runs it, and the gates."""
    graph = build_graph(definition)
    roles = {step.name: role_of(step) for step in definition.steps}
    edges = [(before, after) for after in graph.order for before in graph.waits_for[after]]
    return Diagram(
        "The steps of the pipeline",
        "Each step with the role that runs it. "
        + "; ".join(f"{name}, {role}" for name, role in roles.items())
        + ". Arrows that follow from others are left out.",
        (
            *(
                box(name, name, role, colour=_ROLES[role], gate=role == "gate")
                for name, role in roles.items()
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

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = [
        name.strip() for layer in settings["contracts"][0]["layers"] for name in layer.split(":")
    ]
    rooms = [room for room in layers if room != "verification"]
    packages = ("sashiko", "sashiko_cdk", "sashiko_packs", "pipelines", "infra")
    graph = grimp.build_graph(*packages, cache_dir=None)
    imports = {
        (_room(module, rooms), _room(other, rooms))
        for module in graph.modules
        for other in graph.find_modules_directly_imported_by(module)
    }
    links = sorted(
        (rooms.index(one), rooms.index(other)) for one, other in imports if one and other
    )
    edges = [(rooms[one], rooms[other]) for one, other in links if one != other]
    links_drawn = direct(edges)
    packs = sorted(path.parent.name for path in (ROOT / "src/sashiko_packs").glob("*/pack.py"))
    names = {room: room.removeprefix("sashiko.").replace("_", " ") for room in rooms}
    names |= {"sashiko_packs": "packs", "sashiko_cdk": "sashiko_cdk"}
    return Diagram(
        "Which part of the code imports which",
        "A part imports those below it: "
        + "; ".join(f"{names[one]} imports {names[other]}" for one, other in links_drawn)
        + ". Arrows that follow from others are left out. No pack imports another.",
        (
            *(
                box(
                    room,
                    names[room],
                    *two_by_two(packs if room == "sashiko_packs" else ()),
                    colour=_STOREYS.get(room, "blue"),
                )
                for room in rooms
            ),
            *arrows(links_drawn),
        ),
    )


def _room(module: str, rooms: Sequence[str]) -> str:
    inside = (room for room in rooms if module == room or module.startswith(f"{room}."))
    return max(inside, key=len, default="")


def data_flow() -> Diagram:
    """Draws which role reads which class of columns, and what the roles hand to each other."""
    contract = load_contract(ROOT / "contracts/complaints.odcs.yaml")
    definition = golden_definition()
    roles, graph = {step.name: role_of(step) for step in definition.steps}, build_graph(definition)
    handed: dict[tuple[str, str], list[str]] = defaultdict(list)
    for other in graph.order:
        for step in graph.order:
            pair = roles[other], roles[step]
            new = pair[0] != pair[1] and "gate" not in pair and other not in handed[pair]
            if new and other in graph.waits_for[step]:
                handed[pair].append(other)
    flows = {pair: steps for pair, steps in handed.items() if steps}
    classes, readers = (
        _classes(contract),
        {
            "broker": "training",
            "bias-evaluator": "facets",
        },
    )
    reads = {
        (name, role): [
            column.name for column in contract.view_columns(view) if column.name in columns
        ]
        for role, view in readers.items()
        for name, columns in classes.items()
    }
    parts = {pair: read for pair, read in reads.items() if read}
    steps = {role: [step for step in graph.order if roles[step] == role] for role in _ROLES}
    return Diagram(
        "Which role reads which data",
        "Of the data lake "
        + "; ".join(f"{role} reads {name}" for name, role in parts)
        + ". No role of the pipeline reads pii. Of the steps' outputs "
        + "; ".join(f"{end} reads those of {', '.join(of)}" for (_, end), of in flows.items()),
        (
            'subgraph cluster_lake { label="data lake: role etl writes it, grants are by column"',
            *(
                box(name, name, *columns, colour="orange" * (name in "sensitive pii"))
                for name, columns in classes.items()
            ),
            "}",
            'subgraph cluster_jobs { label="jobs: one role each, in a VPC without internet"',
            *(box(role, role, *two_by_two(steps[role]), colour=_ROLES[role]) for role in _JOBS),
            "}",
            # A person, drawn above the lake.
            box("data-scientist", "data-scientist, a person", colour="yellow"),
            *(
                f'"data-scientist" -> "{name}" [dir=back]'
                for name, role in parts
                if role == "broker"
            ),
            *arrows(
                {
                    pair: "" if len(read) == len(classes[pair[0]]) else f"only {', '.join(read)}"
                    for pair, read in parts.items()
                }
            ),
            *arrows({pair: BREAK.join(of) for pair, of in flows.items()}),
        ),
    )


def _classes(contract: Contract) -> dict[str, dict[str, None]]:
    """Sorts the columns by what they are to the pipeline: name of the class -> its columns."""
    classes: dict[str, dict[str, None]] = {
        name: {} for name in ("text and attributes", "key and label", "sensitive", "pii")
    }
    for column in contract.columns:
        special = dict.fromkeys((contract.key, contract.label.column), "key and label")
        kind = "text and attributes" if column.classification == "none" else column.classification
        classes[special.get(column.name, kind)][column.name] = None
    return classes
