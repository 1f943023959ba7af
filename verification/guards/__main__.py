"""Breaks each guard of docs/pitfalls.md in a copy, and checks that the row's tests fail.

Progress goes to stderr, a line for each mutation to stdout. Exit status: 0 every mutation was
caught, 1 one was not, or a test fails without any; 2 the table does not fit the page or the code.
"""

import argparse
import hashlib
import queue
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sashiko.errors import InputError
from verification.guards.copies import TrialError, copy_tree, head, mutated, run_tests
from verification.guards.table import ROOT, Guard, read_table

_SHORT = 4


@dataclass(frozen=True)
class Result:
    """The result of a mutation."""

    guard: Guard
    problem: str  # why it does not count as caught; empty where each of its tests failed
    seconds: float  # how long its tests took

    def __str__(self) -> str:
        """Returns the line of the table."""
        mutation, outcome = self.guard.mutation, "SURVIVED" if self.problem else "caught"
        line = f"{self.guard.row.number:4} {outcome:9} {self.seconds:5.0f} s  {mutation.file}"
        return f"{line}: {self.problem.splitlines()[0]}" if self.problem else line


def main() -> int:
    """Tries the chosen mutations."""
    parser = argparse.ArgumentParser(prog="python -m verification.guards", description=__doc__)
    parser.add_argument("rows", nargs="*", help="such as C6; default: all")
    parser.add_argument(
        "--short", action="store_true",
        help=f"{_SHORT} quick ones alone, others with each commit",
    )  # fmt: skip
    parser.add_argument("--jobs", type=int, default=2, help="at a time (default: 2)")
    options = parser.parse_args()
    try:
        guards = choose(read_table(), options.rows)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.short:
        guards = sample(guards, commit=head(ROOT))
    with tempfile.TemporaryDirectory(prefix="sashiko-guards-") as folder:
        copies = [Path(folder) / str(number) for number in range(options.jobs)]
        for copy in copies:
            copy.mkdir()
            copy_tree(ROOT, copy)
        return try_all(guards, copies)


def choose(guards: Sequence[Guard], names: Sequence[str]) -> Sequence[Guard]:
    """Returns the guards of the requested rows.

    Raises:
        InputError: if there is none of a name.
    """
    valid = {item.row.number for item in guards}
    if unknown := [name for name in names if name not in valid]:
        raise InputError(f"no row {unknown[0]} has a mutation")
    return [item for item in guards if item.row.number in names] if names else guards


def sample(guards: Sequence[Guard], *, commit: str) -> Sequence[Guard]:
    """Returns a few of the quick guards, selected by the commit."""

    def order(guard: Guard) -> str:
        mutation = guard.mutation
        text = f"{commit} {guard.row.number} {mutation.file} {mutation.there}"
        return hashlib.sha256(text.encode()).hexdigest()

    quick = [guard for guard in guards if not guard.mutation.slow]
    return sorted(quick, key=order)[:_SHORT]


def try_all(guards: Sequence[Guard], copies: Sequence[Path]) -> int:
    """Tries mutations, as many at a time as there are copies; prints their lines."""
    tests = sorted({test for guard in guards for test in guard.tests})
    print(f"{len(tests)} tests of {len(guards)} mutations, without any", file=sys.stderr)
    try:
        outcomes = run_tests(copies[0], tests, processes=len(copies))
    except TrialError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if bad := [f"{test}: {outcome}" for test, outcome in outcomes.items() if outcome != "passed"]:
        print("error: without a mutation, too:\n" + "\n".join(bad), file=sys.stderr)
        return 1
    survived = 0
    for number, result in enumerate(_results(guards, copies), start=1):
        print(f"{number} of {len(guards)}: {result.guard.row.number}", file=sys.stderr)
        print(result, flush=True)
        if "\n" in result.problem:
            print(result.problem, file=sys.stderr)
        survived += bool(result.problem)
    print(f"{len(guards) - survived} of {len(guards)} mutations caught", file=sys.stderr)
    return 1 if survived else 0


def _results(guards: Sequence[Guard], copies: Sequence[Path]) -> Iterator[Result]:
    free: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for copy in copies:
        free.put(copy)

    def attempt(guard: Guard) -> Result:
        copy = free.get()
        try:
            return try_one(guard, copy)
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        yield from pool.map(attempt, guards)


def try_one(guard: Guard, copy: Path) -> Result:
    """Tries one mutation in a copy, which is as it was afterwards."""
    started = time.monotonic()
    with mutated(copy, guard.mutation):
        try:
            outcomes = run_tests(copy, guard.tests)
            others = [
                f"{test}: {outcome}" for test, outcome in outcomes.items() if outcome != "failed"
            ]
            problem = ", ".join(others)
        except TrialError as error:
            problem = str(error)
    return Result(guard, problem, time.monotonic() - started)


if __name__ == "__main__":
    sys.exit(main())
