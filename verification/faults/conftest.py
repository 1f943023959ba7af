"""The undisturbed run that everything is held against, and the ledger of faults.

`FAULTS=full` kills a hundred times and more, and writes what came of it to docs/faults.json.
"""

import json
import os
import platform
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from docs.faults import PAGE, RESULTS, faults_page
from sashiko.base.files import canonical_json, walk_files, write_bytes
from verification.faults.kills import Kill, Run, python, run
from verification.faults.picture import Picture, complete, picture
from verification.faults.pipeline import DEADLY, DIES, definition, dies, prepare

DRIVE = Path(__file__).with_name("drive.py")
FULL = os.environ.get("FAULTS") == "full"
SEED = int(os.environ.get("FAULTS_SEED", "20261126"))


@dataclass(frozen=True)
class Undisturbed:
    """A run of the short pipeline in which nothing went wrong."""

    empty: Path  # a home that holds the raw data and an empty registry, to be copied
    picture: Picture  # what the run left
    seconds: float  # how long it took
    bytes: int  # that it wrote
    changes: dict[str, int]  # of files, by `runner` and by each step that can die at one


class Ledger:
    """Counts faults that were come through; one that was not ends its test before it counts."""

    def __init__(self, *, seed: int) -> None:
        self._seed = seed
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, pipeline: str, fault: str) -> None:
        """Counts a kind of fault after which all that must hold held, and the next run worked.

        The pipeline is `short`, or the name of a recipe.
        """
        self._counts[pipeline, fault] += 1

    def keep(self) -> None:
        """Writes the results in place of earlier ones of the same kinds, and the page."""
        earlier = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
        others = [row for row in earlier if (row["pipeline"], row["fault"]) not in self._counts]
        machine = {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
            f"Python {platform.python_version()}",
            "seed": self._seed,
        }
        rows = [
            {"pipeline": pipeline, "fault": fault, "number": number} | machine
            for (pipeline, fault), number in self._counts.items()
        ]
        rows = sorted(others + rows, key=lambda row: (row["pipeline"] != "short", row["fault"]))
        write_bytes(RESULTS, canonical_json(rows))
        write_bytes(PAGE, faults_page().encode())


class Short:
    """The short pipeline in a home of its own."""

    def __init__(self, home: Path, empty: Path, *, registers: bool = True, code: str = "") -> None:
        """Copies `empty` into `home`, which may be an empty folder; `code` is code of Count."""
        shutil.copytree(empty, home, dirs_exist_ok=True)
        self.home, self._registers = home, registers
        arguments = {"dies": DIES, "definition": definition(home, registers=registers, code=code)}
        self._arguments_file = home.with_name(f"{home.name}.json")
        self._arguments_file.write_text(json.dumps(arguments))

    @property
    def command(self) -> tuple[str | Path, ...]:
        """What runs it."""
        return python(DRIVE, self.home, self._arguments_file)

    def run(self, kill: Kill | None = None, *, clock: str = "") -> Run:
        """Runs it, and has it killed, or under a clock that goes `back`."""
        if kill and kill.change:
            dies(self.home, kill.name).write_text(str(kill.change))
        command = (*self.command, *filter(None, [clock]))
        result = run(command, home=self.home, folder=self.home.parent, kill=kill)
        for name in ("runner", *DEADLY):
            dies(self.home, name).unlink(missing_ok=True)
        return result

    def comes_through(
        self, undisturbed: Undisturbed, ledger: Ledger, *faults: str, last: Run | None = None
    ) -> None:
        """Asserts that the last run, now or made already, comes to the same as an undisturbed one.

        Then the faults count.
        """
        last = last or self.run()
        assert last.status == 0, f"after {faults}: {last.err}"
        run_id = last.out.strip()
        complete(self.home, undisturbed.picture, run_id, versions_made=self._registers)
        for fault in faults:
            ledger.add("short", fault)


@pytest.fixture(scope="session")
def ledger() -> Iterator[Ledger]:
    """Counts the faults."""
    counted = Ledger(seed=SEED)
    yield counted
    if FULL:
        counted.keep()


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that holds the raw data and an empty registry."""
    home = tmp_path_factory.mktemp("empty") / "home"
    prepare(home)
    return home


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Undisturbed:
    """Runs the short pipeline once."""
    return _undisturbed(tmp_path_factory.mktemp("undisturbed"), empty, registers=True)


@pytest.fixture(scope="session")
def unregistered(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Undisturbed:
    """Runs it once without its registration, which takes most of the time."""
    return _undisturbed(tmp_path_factory.mktemp("undisturbed"), empty, registers=False)


def _undisturbed(folder: Path, empty: Path, *, registers: bool) -> Undisturbed:
    short = Short(folder / "home", empty, registers=registers)
    result = short.run()
    assert result.status == 0, result.err
    run_id = result.out.strip()
    reference = picture(short.home, run_id)
    complete(short.home, reference, run_id, versions_made=registers)
    logs = [short.home / f"runs/{run_id}/logs/{step}.log" for step in DEADLY]
    changes = {log.stem: _changes(log.read_text()) for log in logs if log.is_file()}
    return Undisturbed(
        empty=empty,
        picture=reference,
        seconds=result.seconds,
        bytes=sum(path.stat().st_size for path in walk_files(short.home))
        - sum(path.stat().st_size for path in walk_files(empty)),
        changes={"runner": _changes(result.err), **changes},
    )


def _changes(text: str) -> int:
    return int(text.rpartition("changes: ")[2].split()[0])


@pytest.fixture
def short(tmp_path: Path, undisturbed: Undisturbed) -> Short:
    """A home in which nothing has run yet."""
    return Short(tmp_path / "home", undisturbed.empty)
