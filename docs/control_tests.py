"""Which tests prove which control: as pytest collects them, so that each named test exists.

`python -m docs.control_tests` prints it as JSON.
"""

import contextlib
import io
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_TESTS = "tests/infra"


def proofs() -> Mapping[str, Sequence[str]]:
    """Returns control -> ids of the tests that are marked with it, below `tests/infra/`.

    pytest collects them in a process of its own: one that runs tests can't collect others.
    """
    done = subprocess.run(
        [sys.executable, "-m", "docs.control_tests"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"error: pytest could not collect {_TESTS}:\n{done.stderr}")
    tests: Mapping[str, Sequence[str]] = json.loads(done.stdout)
    return tests


class _Collected:
    """A plugin that keeps what pytest collects."""

    def __init__(self) -> None:
        self.items: list[pytest.Item] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = session.items

    def by_control(self) -> Mapping[str, Sequence[str]]:
        """Names a parametrized test once, where each of its cases proves the control."""
        cases: dict[str, set[str]] = defaultdict(set)
        tests: dict[str, set[str]] = defaultdict(set)
        for item in self.items:
            node = item.nodeid.removeprefix(f"{_TESTS}/")
            cases[node.partition("[")[0]].add(node)
            for mark in item.iter_markers("control"):
                for control in mark.args:
                    tests[control].add(node)
        return {control: sorted(_short(nodes, cases)) for control, nodes in tests.items()}


def _short(nodes: set[str], cases: Mapping[str, set[str]]) -> set[str]:
    tests = {node.partition("[")[0] for node in nodes}
    whole = {test for test in tests if cases[test] <= nodes}
    return whole | {node for node in nodes if node.partition("[")[0] not in whole}


def main() -> int:
    """Prints the proofs; returns pytest's exit status."""
    collected, output = _Collected(), io.StringIO()
    with contextlib.redirect_stdout(output):
        status = pytest.main(["--collect-only", "-qq", _TESTS], plugins=[collected])
    if status:
        print(output.getvalue(), file=sys.stderr)
    print(json.dumps(collected.by_control(), indent=2, sort_keys=True))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
