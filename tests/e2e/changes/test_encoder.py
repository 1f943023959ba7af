"""The encoder is swapped for one of another family: a file of its own, and a line of the recipe."""

import json
import sys
from pathlib import Path

import pytest

from sashiko.base.files import sha256_file
from sashiko.data.sources import fetch_weights
from sashiko.settings.recipe import load_recipe
from sashiko.steps import train
from tests.e2e.changes.project import Project, assert_small
from tests.unit.training.tiny_families import save_encoder
from tests.unit.training.tiny_job import metric_lines, save_job

_SASHIKO = "from sashiko.cli import main; main()"
_RECIPE = """\
model:
  name: distilbert/distilbert-base-uncased
  licence: Apache-2.0
  sources:
    - {{kind: file, path: {folder}}}
  files:
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The project with the encoder swapped, as docs/change.md says."""
    folder = tmp_path / "distilbert"
    save_encoder(folder, "distilbert", layers=4)
    copy = Project.copy(tmp_path / "project")
    digests = "".join(f"    {file.name}: {sha256_file(file)}\n" for file in folder.iterdir())
    copy.write("recipes/models/distilbert.yaml", _RECIPE.format(folder=folder) + digests)
    copy.edit(
        "recipes/complaints.yaml",
        there="extends: models/all-minilm-l6-v2.yaml",
        put="extends: models/distilbert.yaml",
    )
    return copy


def test_the_new_encoder_is_trained(project: Project, tmp_path, monkeypatch):
    assert_small(project)
    checked = project.run("-c", _SASHIKO, "definition", "--recipe", "complaints", "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "no problem" in checked.stdout + checked.stderr

    monkeypatch.chdir(project.root)
    recipe = load_recipe(Path("recipes/complaints.yaml"))
    weights, job = tmp_path / "weights", tmp_path / "job"
    fetch_weights(recipe.model, weights)
    given = recipe.hyperparameters.model_dump(mode="json")
    save_job(job, encoder=weights, **{key: str(value).lower() for key, value in given.items()})
    monkeypatch.setenv("OPT_ML", str(job))
    monkeypatch.setattr(sys, "argv", ["train"])
    train.main()
    trained = json.loads((job / "model" / "config.json").read_text())
    assert trained["architectures"] == ["DistilBertForSequenceClassification"]
    assert metric_lines(job)[-1]["validation_auc"] is not None
    assert {"recipes/complaints.yaml", "recipes/models/distilbert.yaml"} == project.touched()
