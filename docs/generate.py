"""The generated pages, parts of pages and diagrams of the documentation: `make docs` writes them.

A page, or the comment at a part of one, says what it is made from.
"""

import os
import re
import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path

from docs.between import between
from docs.configuration import PAGE as CONFIGURATION
from docs.configuration import configuration_page
from docs.dark import chart
from docs.faults import PAGE as FAULTS
from docs.faults import faults_page
from docs.pack_pages import core_reference, pack_pages
from docs.public_api import PAGE as API
from docs.public_api import api_page
from docs.records import PAGE as VERIFIED
from docs.records import verified_page
from sashiko.packs import enabled_packs
from verification.benchmarks.inferentia import picture, tables

ROOT = Path(__file__).parents[1]
DECISIONS = ROOT / "docs/decisions"
_COSTS = "<!-- costs: written by `make docs` -->\n", "<!-- end of the costs -->\n"
# Typer's documentation of a command, but with whole sentences where it lists commands.
_TYPER = """
import typer.cli
typer.cli.Command.get_short_help_str = lambda self, limit=0: " ".join(
    (self.help or "").partition("\\n\\n")[0].split())
typer.cli.main()
"""
_SHARED = 5  # commands that have an option in the same words
_CLI_HEAD = "<!-- Written by `make docs`, from the help texts in src/sashiko/commands/. -->\n\n"


def generated() -> dict[Path, str]:
    """Returns path -> content of each document that is generated without the templates."""
    inferentia = ROOT / "docs/inferentia.md"
    packs, reference = enabled_packs(folder=ROOT / "config"), cli_reference()
    return {
        inferentia: between(inferentia, _COSTS, f"\n{tables()}\n"),
        ROOT / "docs/images/cost-per-million.svg": chart(f"{picture()}\n"),
        ROOT / "docs/cli.md": _CLI_HEAD + core_reference(reference, packs),
        **pack_pages(reference, packs),
        CONFIGURATION: configuration_page(),
        FAULTS: faults_page(),
        API: api_page(),
        VERIFIED: verified_page(packs),
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


def cli_reference() -> str:
    """Asks typer for the command's reference; shared options are described once."""
    done = subprocess.run(
        [sys.executable, "-c", _TYPER, "sashiko.cli", "utils", "docs", "--name", "sashiko"],
        env=os.environ | {"NO_COLOR": "1", "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=True,
    )
    reference = done.stdout.rstrip().replace("&#x27;", "'").replace("&quot;", '"')
    counted = Counter(re.findall(r"^\* `--.*\n", reference, re.MULTILINE))
    shared = [line for line, count in counted.items() if count >= _SHARED]

    def name_alone(match: re.Match[str]) -> str:
        """Names the shared ones of a command's options in one line, with what differs."""
        lines = match[1].splitlines(keepends=True)
        own = "".join(line for line in lines if line not in shared)
        names = [
            f"`{name}`" + " (default: dev)" * line.endswith("default: dev]\n")
            for line in lines
            if line in shared and (name := line.split("`")[1].split()[0]) != "--help"
        ]
        own += f"* {', '.join(names)}: as everywhere\n" if names else ""
        return f"**Options**:\n\n{own}\n" if own else ""

    shortened = re.sub(r"\*\*Options\*\*:\n\n((?:\* .*\n)+)\n", name_alone, f"{reference}\n\n")
    head, first, rest = shortened.partition("## `sashiko new`")
    several = f"## Options of several commands\n\n{''.join(shared)}\n"
    return f"{head}{several}{first}{rest.rstrip()}\n"


if __name__ == "__main__":
    from docs.diagrams import diagrams, draw
    from docs.security_controls import PAGE, security_page, templates_of
    from docs.whole import whole_picture

    os.chdir(runpy.run_path(str(ROOT / "tests/project_root.py"))["project_root"]())
    drawn = draw({**diagrams(), "whole": whole_picture(templates_of("serving"))})
    controls = {PAGE: security_page(templates_of("prod"))}
    for path, content in (generated() | controls | drawn).items():
        path.write_text(content)
        print(path.relative_to(ROOT))
