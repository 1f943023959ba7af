"""A chain: several steps in one job, as its container runs them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sashiko.base.chain_parts import Part, read_parts, words
from sashiko.errors import InputError

PRELUDE = """
import os, pathlib, sys
ML = pathlib.Path(os.environ["OPT_ML"])
IN, OUT = ML / "processing/input", ML / "processing/output"
"""
FIRST = """
print("first is at work")
(OUT / "made").mkdir()
(OUT / "made/x").write_text((IN / "rows/x").read_text() + " " + " ".join(sys.argv[1:]))
"""
SECOND = """
assert not (IN / "rows").exists()
(OUT / "last").mkdir()
name = (ML / "config/processingjobconfig.json").read_text()
(OUT / "last/x").write_text((IN / "made/x").read_text() + " again " + name)
"""
FAILS = """
(ML / "output").mkdir()
(ML / "output/failure").write_text("no luck")
sys.exit(7)
"""
PARTS = (
    Part(
        "First",
        ("code/run.py",),
        {"code": "input/staged/First", "rows": "input/rows"},
        ("a", "--b"),
    ),
    Part("Second", ("code/run.py",), {"code": "input/staged/Second", "made": "output/First/made"}),
)


def run_chain(root: Path, first: str, second: str) -> "subprocess.CompletedProcess[str]":
    folder = root / "processing/input"
    for name, code in {"First": first, "Second": second}.items():
        (folder / "staged" / name).mkdir(parents=True)
        (folder / "staged" / name / "run.py").write_text(PRELUDE + code)
    (folder / "rows").mkdir()
    (folder / "rows/x").write_text("row")
    (root / "config").mkdir()
    (root / "config/processingjobconfig.json").write_text("job-1")
    arguments = [word for part in PARTS for word in words(part)]
    return subprocess.run(
        [sys.executable, "-m", "sashiko.steps.job_parts", *arguments],
        env=os.environ | {"OPT_ML": str(root)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_part_sees_the_folders_of_a_job_of_its_own_and_reads_what_one_before_it_wrote(tmp_path):
    done = run_chain(tmp_path, FIRST, SECOND)

    assert done.returncode == 0, done.stderr
    output = tmp_path / "processing/output"  # which SageMaker uploads
    assert (output / "First/made/x").read_text() == "row a --b"
    assert (output / "Second/last/x").read_text() == "row a --b again job-1"
    assert done.stdout == "first is at work\n"
    lines = [re.sub(r"\d+\.\d", "#", line) for line in done.stderr.splitlines()]
    assert lines == [
        "First: running", "First: succeeded in # s", "Second: running", "Second: succeeded in # s",
    ]  # fmt: skip


def test_a_part_that_fails_ends_the_job_with_its_status_and_reason(tmp_path):
    done = run_chain(tmp_path, FAILS, SECOND)

    assert done.returncode == 7
    assert (tmp_path / "output/failure").read_text() == "First: no luck"
    assert "Second" not in done.stderr


def test_a_part_that_is_killed_fails_the_job(tmp_path):
    assert run_chain(tmp_path, "os.kill(os.getpid(), 9)", SECOND).returncode == 137


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("--module x", "begin with --part NAME"),
        ("--part A --modul x --", "part `A`: expected --module"),
        ("--part A --input a=input/a --", "part `A`: expected --module"),
        ("--part ../A --module x --", r"part `\.\./A`"),
        (
            "--part A --module x --input a=output/B/a -- --part B --module y --",
            "`output/B/a` is no",
        ),
        ("--part A --module x --input a=input/../../secret --", "is no input or earlier part's"),
        ("--part A --module x --input a=/etc --", "`/etc` is no"),
    ],
)
def test_what_is_no_chain_is_refused_by_name(arguments, problem):
    with pytest.raises(InputError, match=problem):
        read_parts(arguments.split())
