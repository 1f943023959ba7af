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
from pathlib import Path

from sashiko.errors import CHECK_FAILED
from verification.benchmarks.bench import machine, options, show, table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/monitoring.md"
_BAR_SECONDS = 600
_BLOCK = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEREDOC = re.compile(r"<<(\w+)$")
_NOT_COPIED = shutil.ignore_patterns(
    ".git", ".sashiko", ".venv*", "node_modules", "__pycache__", "build", "cdk.out"
)


def walk(page: str) -> Iterator[tuple[str, int]]:
    """Yields the section's commands, with their here-documents, and the exit status of each."""
    section = page.partition("## Try it without traffic")[2].partition("\n## ")[0]
    for block in _BLOCK.findall(section):
        lines = iter(block.splitlines())
        for line in lines:
            text = line
            while text.endswith("\\"):
                text += f"\n{next(lines)}"
            if (end := _HEREDOC.search(text)) is not None:
                while not text.endswith(f"\n{end[1]}"):
                    text += f"\n{next(lines)}"
            yield text, CHECK_FAILED if ": an alarm" in text else 0  # a comment tells of it


def main() -> None:
    """Prints a Markdown table on stdout."""
    options(__doc__)
    total = 0.0
    with tempfile.TemporaryDirectory(prefix="sashiko-walk-") as folder:
        copy = Path(folder) / "checkout"
        shutil.copytree(ROOT, copy, ignore=_NOT_COPIED)
        (copy / ".venv").symlink_to(ROOT / ".venv")

        def rows() -> Iterator[tuple[str, str]]:
            nonlocal total
            for text, status in walk(PAGE.read_text(encoding="utf-8")):
                started = time.monotonic()
                _run(text, status, copy)
                total += (seconds := time.monotonic() - started)
                yield f"`{text.partition('#')[0].splitlines()[0].strip()}`", f"{seconds:.0f}"
            yield "**all**", f"**{total:.0f}**"

        print(f"On {machine()}.\n")
        show(table(("command", "s"), rows()))
        listed = subprocess.run(
            [ROOT / ".venv/bin/sashiko", "model", "list", "--recipe", "complaints", "--json"],
            cwd=copy, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    statuses = {item["version"]: item["status"] for item in json.loads(listed.stdout)}
    if statuses != {1: "Approved", 2: "Approved"}:  # the second was trained after the alarm
        sys.exit(f"error: the versions are {statuses}")
    if total > _BAR_SECONDS:
        print(f"error: {total:.0f} s, bar {_BAR_SECONDS} s", file=sys.stderr)
        raise SystemExit(CHECK_FAILED)


def _run(text: str, status: int, folder: Path) -> None:
    """Runs a command as a person would in that folder."""
    print(f"$ {text}", file=sys.stderr, flush=True)
    done = subprocess.run(
        ["bash", "-c", text],  # noqa: S607 - the person's own
        cwd=folder,
        env=os.environ | {"PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(done.stdout, file=sys.stderr, end="", flush=True)
    if done.returncode != status:
        sys.exit(f"error: `{text}` ended with status {done.returncode}, {PAGE.name} says {status}")
    if status == CHECK_FAILED and "retraining: proposed" not in done.stdout:
        sys.exit(f"error: `{text}` raised an alarm and proposed no run")


if __name__ == "__main__":
    main()
