"""The commands of the pages that no test has run, option by option.

    COMMAND_LOG=build/commands.txt make test test-deploy
    python -m verification.page_commands build/commands.txt

Reads the log that the tests write (`tests/command_log.py`). Exit status 4 if a page shows a command
of `sashiko`, or an option of it, that is not in the log.
"""

import argparse
import shlex
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from sashiko.errors import CHECK_FAILED
from tests.command_log import Use, parse, read_log
from tests.pages import PAGES, ROOT, commands


def main() -> None:
    """Prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("log", type=Path)
    log = parser.parse_args().log
    if not log.is_file():
        sys.exit(f"error: {log} does not exist: run the tests with COMMAND_LOG={log}")
    options = defaultdict(set)
    for use in read_log(log):
        options[use.command] |= use.options
    missing = sorted({line for page in PAGES for line in untested(page, options)})
    print("\n".join(missing) or "each command of the pages was run by a test")
    if missing:
        raise SystemExit(CHECK_FAILED)


def untested(page: Path, options: Mapping[str, set[str]]) -> Iterator[str]:
    """Yields a line for each command of a page, and each option, that no test has run."""
    for command in commands(page.read_text(encoding="utf-8")):
        use = _use(command)
        if use is None:
            continue
        name = page.relative_to(ROOT)
        if use.command not in options:
            yield f"{name}: no test runs `sashiko {use.command}`"
        for option in use.options - options.get(use.command, use.options):
            yield f"{name}: no test runs `sashiko {use.command}` with {option}"


def _use(command: str) -> Use | None:
    words = shlex.split(command, comments=True)
    return parse(words[1:]) if Path(words[0]).name == "sashiko" else None


if __name__ == "__main__":
    main()
