"""Holds the repository's lines against `budgets.yaml`: part of `make check`.

Lines are counted as `wc -l` does, in the files that git tracks; a link counts nothing.
"""

import subprocess
import sys
from pathlib import Path

from sashiko.base.yaml_models import Frozen, read_yaml, validate
from sashiko.errors import InputError

FILE = Path("budgets.yaml")


class Budget(Frozen):
    """The most lines that a part of the repository may have."""

    name: str
    paths: tuple[str, ...]  # git's pathspecs, in which `*` matches `/` too
    lines: int  # at most
    reason: str  # why `lines` is what it is


class Budgets(Frozen):
    """All parts."""

    budgets: tuple[Budget, ...]


def main() -> None:
    """Prints each part's count; status 1 if one is above its budget."""
    try:
        parts = validate(Budgets, read_yaml(FILE), source=str(FILE)).budgets
    except InputError as error:
        sys.exit(f"error: {error}")
    above = False
    for part in parts:
        counted = lines(part.paths)
        print(f"{part.name}: {counted:,} lines of {part.lines:,}")
        if counted > part.lines:
            above = True
            print(
                f"error: {part.name} has {counted:,} lines, {counted - part.lines:,} more than "
                f"{FILE} allows: take some away, or raise `lines` there with the reason",
                file=sys.stderr,
            )
    sys.exit(1 if above else 0)


def lines(paths: tuple[str, ...]) -> int:
    """Counts the lines of tracked files.

    Raises:
        SystemExit: if a path matches none, so that a renamed folder is not counted as empty.
    """
    files: set[Path] = set()
    for path in paths:
        command = ["git", "ls-files", "-z", "--", path]
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        matched = {Path(name) for name in listed.split("\0") if name}
        if not matched:
            sys.exit(f"error: {FILE}: `{path}` matches no file")
        files |= matched
    return sum(file.read_bytes().count(b"\n") for file in files if _is_own(file))


def _is_own(file: Path) -> bool:
    """Says whether a file is there and no link; one that was deleted may still be tracked."""
    return file.is_file() and not file.is_symlink()


if __name__ == "__main__":
    main()
