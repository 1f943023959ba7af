"""A label of more than two classes, or a number, which sweep and selection do not take."""

import pytest

from sashiko.errors import InputError
from sashiko.pipeline.project import find_recipe, open_recipe
from sashiko_packs.selection.rows import read_rows
from tests.e2e.tiny import add_class, copy_repository


def test_a_label_of_three_classes_is_refused_before_anything_is_trained(tmp_path) -> None:
    project = copy_repository(tmp_path / "project")
    add_class(project)

    gates = "quality.gates=[{metric: accuracy, minimum: 0.1, reason: any will do}]"
    attempt = project.call("run", "--sweep", "--recipe", "complaints", "--set", gates)

    assert attempt.returncode == 1
    assert "label `escalate` has 3 classes, and the sweep" in attempt.stderr
    assert not (project.home / "runs").exists()


def test_a_label_that_is_a_number_is_refused_before_anything_is_trained(tmp_path) -> None:
    project = copy_repository(tmp_path / "project")

    attempt = project.call("run", "--sweep", "--recipe", "days")

    assert attempt.returncode == 1
    assert "label `days_left` is a number, and the sweep takes labels of two" in attempt.stderr
    assert not (project.home / "runs").exists()


def test_a_selection_reads_no_run_of_a_number(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(copy_repository(tmp_path / "project").root)
    recipe = open_recipe(find_recipe("days"))
    with pytest.raises(InputError, match="label `days_left` is a number, and `sashiko select`"):
        read_rows(recipe, None, home=tmp_path)
