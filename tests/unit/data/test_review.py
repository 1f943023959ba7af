"""Guesses wait for a person: no recipe is used while a mark is left."""

import shutil
from pathlib import Path

import pytest

from sashiko.data.draft.review import describe_lines, review_lines
from sashiko.errors import InputError
from sashiko.pipeline.project import open_recipe

ROOT = Path.cwd()  # tests/conftest.py: with the samples


@pytest.mark.parametrize(("line", "marked"), [
    ("a: 1  # review: a guess", True),
    ("# review", True),
    ("a: 1  #review", True),
    ("a: 1  # REVIEW: a guess", True),
    ("a: 1  # reviewed by Ada", False),
    ("a: 1  # see the review", False),
    ("a: review", False),
])  # fmt: skip
def test_a_mark_is_a_comment_that_begins_with_the_word(tmp_path, line, marked):
    path = tmp_path / "x.yaml"
    path.write_text(f"first: 0\n{line}\n")
    assert review_lines(path) == ((2,) if marked else ())


def test_lines_are_listed_in_runs():
    path = Path("x.yaml")
    assert describe_lines(path, [4, 7, 8, 9]) == "x.yaml: 4 guesses to review, lines 4, 7-9"
    assert describe_lines(path, [4]) == "x.yaml: 1 guess to review, line 4"


@pytest.mark.parametrize(
    "marked", ["contracts/x.odcs.yaml", "recipes/x.yaml", "recipes/complaints.yaml"]
)
def test_a_mark_anywhere_stops_the_recipe(tmp_path, monkeypatch, marked):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "recipes", "recipes")
    Path("contracts").mkdir()
    shutil.copy(ROOT / "contracts/complaints.odcs.yaml", "contracts/x.odcs.yaml")
    recipe = Path("recipes/x.yaml")
    recipe.write_text("extends: complaints.yaml\nname: x\ncontract: contracts/x.odcs.yaml\n")
    assert open_recipe(recipe).name == "x"

    file = Path(marked)
    count = len(file.read_text().splitlines())
    with file.open("a") as handle:
        handle.write("# review: is this so?\n")
    with pytest.raises(InputError) as caught:
        open_recipe(recipe)
    assert f"{marked}: 1 guess to review, line {count + 1}\n" in str(caught.value)
    assert "remove its `# review` comment" in str(caught.value)
