"""What is counted against `budgets.yaml`, and what is said where there is too much."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.project_root import REPOSITORY

Attempt = subprocess.CompletedProcess[str]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name, text in {"src/a.py": "1\n2\n3\n", "src/deep/b.py": "4\n5", "src/c.md": "x\n"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "src/link.py").symlink_to("a.py")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "add", "--all"], check=True)
    (tmp_path / "src/untracked.py").write_text("1\n" * 100)
    return tmp_path


def check(folder: Path, *, paths: str = "src/*.py", **more: int | str) -> Attempt:
    part = {"name": "core", "paths": paths.split(), "reason": "it began so"}
    (folder / "budgets.yaml").write_text(yaml.safe_dump({"budgets": [part | more]}))
    return subprocess.run(
        [sys.executable, "-m", "verification.budgets"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_lines_are_counted_as_wc_does_a_link_not_at_all_and_one_more_fails(
    repository: Path,
) -> None:
    done = check(repository, lines=4)
    assert (done.returncode, done.stdout) == (0, "core: 4 lines of 4\n")

    done = check(repository, lines=3)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: core has 4 lines, 1 more than budgets.yaml allows: take some away, or raise"
    )


def test_a_path_without_files_is_an_error(repository: Path) -> None:
    done = check(repository, lines=9, paths="src/*.py lib/*.py")
    assert (done.returncode, done.stderr) == (
        1,
        "error: budgets.yaml: `lib/*.py` matches no file\n",
    )


def test_a_key_that_is_no_budgets_and_another_number_of_counts_than_one_are_refused(
    repository: Path,
) -> None:
    done = check(repository, lines=9, because="so")
    assert done.returncode == 1
    assert "budgets.yaml" in done.stderr
    assert "because" in done.stderr
    for counted in ({}, {"lines": 1, "words": 1}):
        assert "give `lines` or `words`" in check(repository, **counted).stderr


PAGE = """# A page

<!-- costs: written by `make docs` -->
not these words
<!-- end of the costs -->
these four are counted
"""


def test_words_that_a_command_wrote_are_not_counted(repository: Path) -> None:
    (repository / "src/c.md").write_text(PAGE)
    done = check(repository, paths="src/*.md", words=6)
    assert done.stderr.startswith("error: core has 7 words, 1 more than")
    (repository / "src/c.md").write_text(f"<!-- Written by `make docs`. -->\n{PAGE}")
    assert check(repository, paths="src/*.md", words=1).returncode == 0
