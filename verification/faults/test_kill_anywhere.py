"""Kill -9 at any moment: nothing half-written, nothing lost, and the next run comes to the same."""

import itertools
import signal
from pathlib import Path
from random import Random

import pytest

from verification.faults.conftest import FULL, SEED, Ledger, Short, Undisturbed
from verification.faults.kills import KINDS, at_work, draw
from verification.faults.picture import check_store

# In the short form the odd one alone: the making of the registry is under fire in it too.
CHAINS = range(21) if FULL else (1,)
KILLS = 5  # of one chain, before its last run


@pytest.mark.parametrize("chain", CHAINS)
def test_a_run_that_is_killed_again_and_again_comes_to_the_same(
    tmp_path: Path, undisturbed: Undisturbed, ledger: Ledger, chain: int
) -> None:
    random = Random(f"{SEED}-{chain}")  # noqa: S311 - to be repeated, not to be secret
    short = Short(tmp_path / "home", undisturbed.empty)
    if chain % 2:
        (short.home / "mlflow.db").unlink()
    kinds = list(KINDS)
    random.shuffle(kinds)
    hits: list[str] = []
    for who in itertools.islice(itertools.cycle(kinds), 4 * KILLS):
        kill = draw(random, who, seconds=undisturbed.seconds, changes=undisturbed.changes)
        result = short.run(kill)
        if not result.hit:
            assert result.status == 0, f"{kill}: {result.err}"
            continue
        assert result.status == (1 if who.startswith("step") else -signal.SIGKILL), (
            f"{kill}: {result.err}"
        )
        assert "Traceback" not in result.err, f"{kill}: {result.err}"
        assert at_work(short.home) == [], kill
        check_store(short.home, undisturbed.picture)
        hits.append(who)
        if len(hits) == KILLS:
            break
    short.comes_through(undisturbed, ledger, *(f"kill -9: {who}" for who in hits))
