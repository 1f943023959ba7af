"""From a run to the version that learned a shift, by the commands of `docs/monitoring.md`.

    python -m verification.benchmarks.monitoring_walk

Runs the commands of its section "Try it without traffic" word for word, in a copy of this checkout
that shares its environment and has no local state, so the first run downloads what it needs.
Prints each command's seconds. Exit status 1 if a command ends otherwise than the page says, or the
last version is not approved; 4 if all of them took more than ten minutes.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sashiko.core.exit_status import CHECK_FAILED
from verification.benchmarks.runs import machine

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/monitoring.md"
HEADING = "## Try it without traffic"
_BAR_SECONDS = 600
_BLOCK = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEREDOC = re.compile(r"<<(\w+)$")
_NOT_COPIED = shutil.ignore_patterns(
    ".git", ".sashiko", ".venv*", "node_modules", "__pycache__", "build", "cdk.out"
)


@dataclass(frozen=True)
class Command:
    """A command of the page, and how it is to end."""

    text: str  # with the lines of its here-document
    status: int  # its exit status


def walk(page: str) -> Iterator[Command]:
    """Yields the commands of the section in order; a comment tells of an alarm."""
    _, _, section = page.partition(HEADING)
    section, _, _ = section.partition("\n## ")
    for block in _BLOCK.findall(section):
        lines = iter(block.splitlines())
        for line in lines:
            text = line
            while text.endswith("\\"):
                text += f"\n{next(lines)}"
            if (end := _HEREDOC.search(text)) is not None:
                while not text.endswith(f"\n{end[1]}"):
                    text += f"\n{next(lines)}"
            yield Command(text, CHECK_FAILED if ": an alarm" in text else 0)


def main() -> None:
    """Prints a Markdown table on stdout."""
    print(f"On {machine()}.\n\n| command | s |\n|---|---|")
    total = 0.0
    with tempfile.TemporaryDirectory(prefix="sashiko-walk-") as folder:
        copy = Path(folder) / "checkout"
        shutil.copytree(ROOT, copy, ignore=_NOT_COPIED)
        (copy / ".venv").symlink_to(ROOT / ".venv")
        for command in walk(PAGE.read_text(encoding="utf-8")):
            seconds = run(command, copy)
            total += seconds
            first = command.text.partition("#")[0].splitlines()[0].strip()
            print(f"| `{first}` | {seconds:.0f} |", flush=True)
        check_approved(copy)
    print(f"| **all** | **{total:.0f}** |")
    if total > _BAR_SECONDS:
        print(f"error: {total:.0f} s, bar {_BAR_SECONDS} s", file=sys.stderr)
        raise SystemExit(CHECK_FAILED)


def run(command: Command, folder: Path) -> float:
    """Runs a command as a person would in that folder; returns its seconds."""
    print(f"$ {command.text}", file=sys.stderr, flush=True)
    started = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", command.text],  # noqa: S607 - the person's own
        cwd=folder,
        env=os.environ | {"PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(done.stdout, file=sys.stderr, end="", flush=True)
    if done.returncode != command.status:
        sys.exit(
            f"error: `{command.text}` ended with status {done.returncode}, "
            f"{PAGE.name} says {command.status}"
        )
    if command.status == CHECK_FAILED and "retraining: proposed" not in done.stdout:
        sys.exit(f"error: `{command.text}` raised an alarm and proposed no run")
    return time.monotonic() - started


def check_approved(folder: Path) -> None:
    """Checks that the champion is the version that was trained after the alarm."""
    listed = subprocess.run(
        [ROOT / ".venv/bin/sashiko", "model", "list", "--recipe", "complaints", "--json"],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    statuses = {item["version"]: item["status"] for item in json.loads(listed.stdout)}
    if statuses != {1: "Approved", 2: "Approved"}:
        sys.exit(f"error: the versions are {statuses}")


if __name__ == "__main__":
    main()
