"""Compares the repository's lines and words with `budgets.yaml`: part of `make check`.

Lines and words are counted as `wc` does, in the files that git tracks; a link counts nothing. What
a command has written into a page, or a page that it has written, has no words that count.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Self

from pydantic import model_validator

from sashiko.base.yaml_models import Frozen, read_yaml, validate
from sashiko.errors import InputError

FILE = Path("budgets.yaml")
_WRITTEN_PAGE = "<!-- Written by"
_WRITTEN_PART = re.compile(r"<!-- [\w ]+: written by .*?<!-- end of [\w ]+-->", re.DOTALL)


class Budget(Frozen):
    """The most lines or words that a part of the repository may have."""

    name: str
    paths: tuple[str, ...]  # git's pathspecs, in which `*` matches `/` too
    lines: int | None = None  # at most
    words: int | None = None  # at most; each budget has one of both
    reason: str  # why it is what it is

    @model_validator(mode="after")
    def _counts_one_thing(self) -> Self:
        if (self.lines is None) == (self.words is None):
            raise ValueError("give `lines` or `words`")
        return self


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
        unit = "words" if part.lines is None else "lines"
        most = part.lines or part.words or 0
        counted = sum(map(_WAYS[unit], files(part.paths)))
        print(f"{part.name}: {counted:,} {unit} of {most:,}")
        if counted > most:
            above = True
            print(
                f"error: {part.name} has {counted:,} {unit}, {counted - most:,} more than "
                f"{FILE} allows: take some away, or raise `{unit}` there with the reason",
                file=sys.stderr,
            )
    sys.exit(1 if above else 0)


def lines(file: Path) -> int:
    """Counts the lines of a file."""
    return file.read_bytes().count(b"\n")


def words(page: Path) -> int:
    """Counts the words of a page that a person has written."""
    text = page.read_text(encoding="utf-8")
    return 0 if text.startswith(_WRITTEN_PAGE) else len(_WRITTEN_PART.sub("", text).split())


_WAYS = {"lines": lines, "words": words}


def files(paths: tuple[str, ...]) -> set[Path]:
    """Returns the tracked files.

    Raises:
        SystemExit: if a path matches none, so that a renamed folder is not counted as empty.
    """
    tracked: set[Path] = set()
    for path in paths:
        command = ["git", "ls-files", "-z", "--", path]
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        matched = {Path(name) for name in listed.split("\0") if name}
        if not matched:
            sys.exit(f"error: {FILE}: `{path}` matches no file")
        tracked |= matched
    return {file for file in tracked if _is_own(file)}


def _is_own(file: Path) -> bool:
    """Says whether a file is there and no link; one that was deleted may still be tracked."""
    return file.is_file() and not file.is_symlink()


if __name__ == "__main__":
    main()
