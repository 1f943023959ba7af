"""Kill -9 of the whole pipeline, by `sashiko run`: it takes minutes."""

import os
import shutil
import signal
from pathlib import Path
from random import Random

import pytest

from tests.e2e.project import bucket
from verification.faults.conftest import FULL, SEED, Ledger
from verification.faults.kills import Kill, Run, Victim, at_work, draw, python, run
from verification.faults.picture import check_store, complete, picture

RECIPE = os.environ.get("FAULTS_RECIPE", "complaints")
ROOT = Path(__file__).parents[2]
KILLS = 10
_WHO: tuple[Victim, ...] = ("runner", "step", "runner and steps")
# Nobody tells a build of the definition, which ends by itself, that its run was killed.
_PATIENCE_SECONDS = 60.0

pytestmark = pytest.mark.skipif(not FULL, reason="takes minutes: make test-faults")


def whole_run(home: Path, kill: Kill | None = None) -> Run:
    """Runs the recipe's pipeline in a home folder."""
    main = ("-c", "from sashiko.cli import main; main()")
    command = python(*main, "run", "--recipe", RECIPE, "--home", home)
    return run(command, home=home, folder=ROOT, kill=kill)


def new_home(home: Path) -> Path:
    """Makes a home that spares itself the downloads that the repository's own has."""
    own = ROOT / ".sashiko"
    for place in (own / "cache/downloads", own / "s3" / bucket() / "weights"):
        if place.is_dir():
            shutil.copytree(place, home / place.relative_to(own))
    return home


def run_of(result: Run) -> str:
    """Takes a run's id out of what it says."""
    return result.out.partition("registered: run ")[2].split()[0]


def test_the_whole_pipeline_that_is_killed_again_and_again_comes_to_the_same(
    tmp_path: Path, ledger: Ledger
) -> None:
    first = whole_run(undisturbed := new_home(tmp_path / "undisturbed"))
    assert first.status == 0, first.err
    expected = picture(undisturbed, run_of(first))
    complete(undisturbed, expected, run_of(first))

    random = Random(f"{SEED}-{RECIPE}")  # noqa: S311 - to be repeated, not to be secret
    home, hits, homes = new_home(tmp_path / "home-0"), [], 0
    while len(hits) < KILLS:
        # What was done is not done again, so that a resumed run takes ever less.
        kill = draw(random, _WHO[len(hits) % 3], seconds=first.seconds / 2, changes={})
        result = whole_run(home, kill)
        if not result.hit:
            assert result.status == 0, f"{kill}: {result.err}"
            complete(home, expected, run_of(result))
            homes += 1
            home = new_home(tmp_path / f"home-{homes}")
            continue
        status = 1 if kill.who == "step" else -signal.SIGKILL
        assert result.status == status, f"{kill}: {result.err}"
        assert at_work(home, patience=_PATIENCE_SECONDS) == [], kill
        check_store(home, expected)
        hits.append(kill.who)
    last = whole_run(home)
    assert last.status == 0, f"after {hits}: {last.err}"
    complete(home, expected, run_of(last))
    for who in hits:
        ledger.add(RECIPE, f"kill -9: {who}")
