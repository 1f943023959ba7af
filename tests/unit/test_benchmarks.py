"""A benchmark's runs register versions, so they must not use a person's local state."""

import re
from pathlib import Path

from sashiko.pipeline.project import HOME as USERS
from verification.benchmarks.runs import HOME

FOLDER = Path(__file__).parents[2] / "verification/benchmarks"


def test_the_benchmarks_state_is_not_the_users() -> None:
    assert not HOME.is_relative_to(USERS)
    assert not USERS.is_relative_to(HOME)
    for path in FOLDER.glob("*.py"):
        text = path.read_text()
        assert "project import HOME" not in text, path.name
        for default in re.findall(r'"--home".*?default=([^,)]+)', text, re.DOTALL):
            assert default == "HOME", path.name
        assert not re.search(r'home=Path\("\.sashiko|SASHIKO, "run"(?!.*"--home")', text), path.name
