"""Contracts, recipes and settings that somebody bent: read, or refused with the file's name."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sashiko.contract.load import load_contract
from sashiko.errors import InputError
from sashiko.pipeline.project import check_recipe
from sashiko.settings.environment import load_settings
from sashiko.settings.recipe import load_recipe
from tests.unit.contract.documents import document
from tests.unit.hostile import bent, bounded, nested

ROOT = Path.cwd()  # tests/conftest.py: with the samples
RECIPE = load_recipe(ROOT / "recipes/complaints.yaml").model_dump(mode="json")
CONTRACT = load_contract(ROOT / "contracts/complaints.odcs.yaml")
DOCUMENT = document()
PROD = yaml.safe_load((ROOT / "config/base.yaml").read_text()) | yaml.safe_load(
    (ROOT / "config/prod.yaml").read_text()
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("hostile")
    (path / "base.yaml").write_text("{}")
    return path


def read_or_refused(read: Callable[[], object], path: Path) -> None:
    """What may come of a file: a value, or one message of bounded length that names the file."""
    try:
        read()
    except InputError as error:
        assert str(path) in str(error)
        assert len(str(error)) < 100_000


def as_yaml(value: object) -> bytes:
    """JSON, which is YAML, but for numbers that JSON lacks."""
    text = json.dumps(value, default=str)
    return text.replace("NaN", ".nan").replace("Infinity", ".inf").encode()


def read_recipe(path: Path) -> None:
    check_recipe(load_recipe(path), CONTRACT, source=path)


@settings(bounded, max_examples=60)
@given(value=bent(RECIPE))
@example(value=RECIPE | {"waivers": [1] * 2000})  # the time to tell it grew with the square
@example(value=RECIPE | {"extends": ["a"]})
@example(value=RECIPE | {"bias": {"gates": [{"metric": "DI", "maximum": float("nan")}]}})
def test_a_bent_recipe(folder, value) -> None:
    path = folder / "r.yaml"
    path.write_bytes(as_yaml(value))
    read_or_refused(lambda: read_recipe(path), path)


@bounded
@given(value=bent(PROD))
@example(value=PROD | {"project": nested(30)})
def test_bent_settings(folder, value) -> None:
    path = folder / "prod.yaml"
    path.write_bytes(as_yaml(value))
    read_or_refused(lambda: load_settings("prod", folder=folder), path)


@settings(bounded, max_examples=60)
@given(value=bent(DOCUMENT))
@example(value=DOCUMENT | {"schema": [1] * 2000})  # the time to tell it grew with the square
@example(value=DOCUMENT | {"tags": ["x" * 10_000] * 50, "schema": "x" * 10_000})
def test_a_bent_contract(folder, value) -> None:
    path = folder / "c.odcs.yaml"
    path.write_bytes(as_yaml(value))
    read_or_refused(lambda: load_contract(path), path)


@pytest.mark.parametrize("kind", ["recipe", "contract"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("a", "\xe9").encode("latin-1"),
        lambda text: text.encode()[: len(text) // 2] + b"\xff",
        lambda text: b"\0" * 100,
        lambda text: b"\xef\xbb\xbf",
        lambda text: text.encode() + b"# " + b"x" * (1 << 20),
        lambda text: text.encode() * 2,
    ],
    ids=["utf16", "latin1", "cut", "nul", "empty", "huge", "twice"],
)
def test_a_file_of_other_bytes_is_refused(folder, kind, spoil) -> None:
    source = {"recipe": "recipes/complaints.yaml", "contract": "contracts/complaints.odcs.yaml"}
    path = folder / f"{kind}.yaml"
    path.write_bytes(spoil((ROOT / source[kind]).read_text()))
    with pytest.raises(InputError) as refused:
        {"recipe": load_recipe, "contract": load_contract}[kind](path)
    assert str(path) in str(refused.value)


def test_a_byte_order_mark_before_a_file_is_no_fault(folder) -> None:
    path = folder / "marked.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + (ROOT / "contracts/complaints.odcs.yaml").read_bytes())
    assert load_contract(path).columns == CONTRACT.columns


@settings(bounded, max_examples=60)
@given(at=st.integers(0, 5000), put=st.binary(min_size=1, max_size=8), cut=st.integers(0, 40))
def test_a_contract_with_other_bytes_somewhere(folder, at, put, cut) -> None:
    content = (ROOT / "contracts/complaints.odcs.yaml").read_bytes()
    path = folder / "bytes.odcs.yaml"
    path.write_bytes(content[:at] + put + content[at + cut :])
    read_or_refused(lambda: load_contract(path), path)
