"""The lists of what some parts may not import name every other part of the package."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALONE = [
    "sashiko.aws.glue_job",
    "sashiko.evaluation.metrics",
    "sashiko.aws.functions.preflight",
    "sashiko.serving.container",
]


@pytest.mark.parametrize("part", ALONE)
def test_who_stands_alone_may_import_no_other_part(part):
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    about = [
        contract
        for contract in linter["contracts"]
        if part in contract["source_modules"] and "sashiko.cli" in contract["forbidden_modules"]
    ]
    package = ROOT / "src/sashiko"
    parts = {f"sashiko.{path.stem}" for path in package.glob("*.py")}
    parts |= {f"sashiko.{path.parent.name}" for path in package.glob("*/__init__.py")}

    (contract,) = about
    named = {*contract["source_modules"], *contract["forbidden_modules"]}
    assert parts - {"sashiko.__init__"} - named == set()
