"""The generated parts of the documentation: `make docs` rewrites them.

- `architecture.md`, between its markers: the pipeline's graph, drawn from the golden definition.
- `inferentia.md`, between its markers, and its picture: costs, by the functions of `sashiko cost`.
- `faults.md`, between its markers: what the fault harness found, from `faults.json`.
- `cli.md`: the reference of the core's commands, by typer's own generator.
- `api.md`: what a project may import of the core, from the modules' `__all__`.
- `decisions/index.md`: a line for each decision, from its title and status.
- `packs/`: the commands of each pack, and what a project may import of it.
- `security-controls.md`: control, resources, proof, from the templates and the tests.
- `images/whole.svg`: what starts, reads and writes what, from the templates.
"""

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from docs.between import between
from docs.faults import PAGE as FAULTS
from docs.faults import faults_page
from docs.pack_pages import core_reference, pack_pages
from docs.public_api import PAGE as API
from docs.public_api import api_page
from sashiko.base.yaml_models import read_yaml
from sashiko.packs import enabled_packs
from sashiko.pipeline.definition.definition_records import Definition, Step, parse_definition
from sashiko.pipeline.definition.graph import build_graph
from sashiko.run_report.lineage import place
from verification.benchmarks.inferentia import picture, tables

ROOT = Path(__file__).parents[1]
DECISIONS = ROOT / "docs/decisions"
_GRAPH = "<!-- graph: written by `make docs` -->\n", "<!-- end of the graph -->\n"
_COSTS = "<!-- costs: written by `make docs` -->\n", "<!-- end of the costs -->\n"
_SHAPES = {"Training": ("[[", "]]"), "Lambda": ("{", "}")}
_COLOURS = {
    "broker": "#cfe3f5",
    "bias-evaluator": "#f5dccf",
    "training": "#d9ecd2",
    "device-check": "#f5edc4",
    "registry-reader": "#e6dcf2",
    "registrar": "#e6dcf2",
}
_CLI_HEAD = "<!-- Written by `make docs`, from the help texts in src/sashiko/commands/. -->\n\n"


def generated() -> dict[Path, str]:
    """Returns path -> content of each document that is generated without the templates."""
    architecture, inferentia = ROOT / "docs/architecture.md", ROOT / "docs/inferentia.md"
    packs, reference = enabled_packs(folder=ROOT / "config"), cli_reference()
    return {
        architecture: between(architecture, _GRAPH, mermaid(golden_definition())),
        inferentia: between(inferentia, _COSTS, f"\n{tables()}\n"),
        ROOT / "docs/images/cost-per-million.svg": f"{picture()}\n",
        ROOT / "docs/cli.md": _CLI_HEAD + core_reference(reference, packs),
        **pack_pages(reference, packs),
        FAULTS: faults_page(),
        API: api_page(),
        DECISIONS / "index.md": decisions_index(),
    }


def decisions_index() -> str:
    """Lists the decisions with their titles, and the status of those that no longer hold."""
    lines = ["# Decisions", "", "Why Sashiko is built as it is, one page per decision.", ""]
    for path in sorted(DECISIONS.glob("[0-9]*.md")):
        title, _, status = path.read_text().split("\n")[:3]
        note = status.removeprefix("Status: accepted").removeprefix("Status:").strip("; .")
        lines.append(f"- [{title.removeprefix('# ')}]({path.name}){note and f': {note}'}")
    return "\n".join([*lines, ""])


def golden_definition() -> Definition:
    """Reads the golden definition of the recipe that upstream's settings name."""
    recipe = read_yaml(ROOT / "config/base.yaml")["recipe"]
    golden = ROOT / f"tests/golden/{recipe}.definition.json"
    return parse_definition(json.loads(golden.read_text()))


def mermaid(definition: Definition) -> str:
    """Draws a definition as a Mermaid flowchart, each job with the role that runs it."""
    return "\n".join(["```mermaid", "flowchart TD", *_lines(definition), "```", ""])


def _lines(definition: Definition) -> Iterator[str]:
    graph = build_graph(definition)
    for step in definition.steps:
        opening, closing = _SHAPES.get(step.type, ("[", "]"))
        role = _role(step)
        label, style = (f"{step.name}<br/>{role}", f":::{role}") if role else (step.name, "")
        yield f'  {step.name}{opening}"{label}"{closing}{style}'
    edges = [(before, after) for after in graph.order for before in graph.waits_for[after]]
    for before, after in place(graph.order, edges).arrows:
        yield f"  {before} --> {after}"
    for role, colour in _COLOURS.items():
        yield f"  classDef {role} fill:{colour},stroke:#666,color:#111"


def _role(step: Step) -> str:
    """Takes the job's role from an ARN that ends in `<project>-local-<role>`."""
    return str(step.arguments["RoleArn"]).rpartition("-local-")[2] if step.is_job else ""


def cli_reference() -> str:
    """Asks typer for the command's reference, as plain text of no particular width."""
    done = subprocess.run(
        [sys.executable, "-m", "typer", "sashiko.cli", "utils", "docs", "--name", "sashiko"],
        env=os.environ | {"NO_COLOR": "1", "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.rstrip() + "\n"


if __name__ == "__main__":
    from docs.security_controls import PAGE, security_page, templates_of
    from docs.whole import PICTURE, whole_picture

    os.chdir(runpy.run_path(str(ROOT / "tests/project_root.py"))["project_root"]())
    from_templates = {
        PAGE: security_page(templates_of("prod")),
        PICTURE: whole_picture(templates_of("serving")),
    }
    for path, content in (generated() | from_templates).items():
        path.write_text(content)
        print(path.relative_to(ROOT))
