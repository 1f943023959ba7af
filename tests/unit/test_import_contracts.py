"""The drawing of the house, as import-linter reads it, has every room; mypy reads what it must."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "src/sashiko"


def test_each_room_has_its_place_in_the_layers_and_each_module_a_room() -> None:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers, *_ = (one["layers"] for one in linter["contracts"] if one["type"] == "layers")
    placed = {name.strip() for layer in layers for name in layer.replace(":", "|").split("|")}
    rooms = {f"sashiko.{folder.parent.name}" for folder in ENGINE.glob("*/__init__.py")}
    # A vertical slice: what it measures lies below the steps, and its section above the report.
    parts = {f"sashiko.bias.{folder.parent.name}" for folder in ENGINE.glob("bias/*/__init__.py")}
    assert (rooms - {"sashiko.bias"} | parts) - placed == set()
    loose = {file.stem for file in ENGINE.glob("*.py")}
    assert loose == {"__init__", "cli", "errors", "packs"}


def test_mypy_reads_the_types_of_each_service_that_a_construct_names() -> None:
    """Of a service that it skips, everything has every type."""
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    read = {
        name
        for override in mypy["overrides"]
        for name in override["module"]
        if override.get("follow_imports") == "normal"
    }
    code = [file.read_text() for part in ("src", "infra") for file in (ROOT / part).rglob("*.py")]
    named = set(re.findall(r"from aws_cdk(?: import |\.)(aws_\w+)", "\n".join(code)))
    assert len(named) > 20
    assert {f"aws_cdk.{name}" for name in named} - read == set()
