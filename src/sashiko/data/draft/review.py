"""Unreviewed guesses: lines that `sashiko contract init` marked `# review`."""

import re
from collections.abc import Sequence
from pathlib import Path

from sashiko.errors import InputError

_MARK = re.compile(r"(?:^|\s)#\s*review\b", re.IGNORECASE)


def review_lines(path: Path) -> tuple[int, ...]:
    """Returns the numbers of the marked lines, from 1.

    Raises:
        InputError: if the file cannot be read as UTF-8 text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not readable as UTF-8 text: {error}") from error
    return tuple(number for number, line in enumerate(lines, 1) if _MARK.search(line))


def describe_lines(path: Path, lines: Sequence[int]) -> str:
    """Formats a file's marked lines: `recipes/x.yaml: 4 guesses to review, lines 4, 9-11`."""
    runs: list[list[int]] = []
    for line in lines:
        if runs and line == runs[-1][-1] + 1:
            runs[-1].append(line)
        else:
            runs.append([line])
    ranges = ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
    count = "1 guess" if len(lines) == 1 else f"{len(lines)} guesses"
    return f"{path}: {count} to review, line{'s' if len(lines) > 1 else ''} {ranges}"


def refuse_unreviewed(files: Sequence[Path]) -> None:
    """Checks that no guess in a recipe and its contract is unreviewed.

    Raises:
        InputError: with each file, its marked lines, and the fix.
    """
    marked = {file: lines for file in files if (lines := review_lines(file))}
    if marked:
        listing = "\n".join(describe_lines(file, lines) for file, lines in marked.items())
        raise InputError(
            f"{listing}\nRead each line, correct what is wrong, and remove its `# review` comment "
            "once it is right"
        )
