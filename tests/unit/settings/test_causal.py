"""A recipe's keys for causal LMs: they come together, and only with the family."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from sashiko.base.yaml_models import deep_merge
from sashiko.errors import InputError
from sashiko.settings.recipe import load_recipe
from sashiko.settings.recipe_train import Hyperparameters, TrainSection

SEVERAL = {"strategy": "fsdp", "nodes": 2, "processes": 8, "instance_type": "ml.p5.48xlarge"}


def test_the_section_travels_as_a_hyperparameter_of_several_processes_alone():
    one = Hyperparameters(max_length=64, truncate=False)
    assert "distributed" not in one.as_strings()

    settings = Hyperparameters(max_length=64, truncate=False, distributed=SEVERAL)
    strings = settings.as_strings()
    assert json.loads(strings["distributed"]) == SEVERAL
    assert Hyperparameters.model_validate(strings) == settings


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"nodes": 2}, "`nodes` times `processes` is 2, and `strategy: none` trains in one"),
        ({"strategy": "ddp"}, "`strategy: ddp` needs two processes or more"),
        ({"strategy": "fsdp", "nodes": 2, "instance_type": "ml.p9.huge"}, "no such instance type"),
        ({"strategy": "ddp", "nodes": 8, "processes": 8}, "`batch_size` is 32, .* 64 processes"),
    ],
)
def test_what_does_not_go_together_is_refused(section, message):
    with pytest.raises(ValidationError, match=message):
        TrainSection.model_validate({"distributed": section})


_SHA = "a" * 64
_CAUSAL: dict[str, Any] = {
    "name": "x",
    "description": "x",
    "contract": "contracts/x.odcs.yaml",
    "model_package_group": "x",
    "data": {"sources": [{"kind": "file", "path": "x.csv"}]},
    "text": {"template": "{note}"},
    "model": {
        "name": "some/model",
        "family": "causal",
        "chat_template_sha256": _SHA,
        "sources": [{"kind": "file", "path": "models/x"}],
        "files": {"model.safetensors": _SHA},
    },
    "prompt": {"template": "{text}\nIs it?", "answers": {"no": "No", "yes": "Yes"}},
    "train": {"lora": {"layers": 2}, "frozen_layers": 0},
    "quality": {"gates": [{"metric": "auc", "minimum": 0.7, "reason": "to be of use"}]},
}


def _load(folder: Path, **changes: Any) -> None:
    path = folder / "x.yaml"
    path.write_text(yaml.safe_dump(deep_merge(_CAUSAL, changes)))
    load_recipe(path)


def test_a_recipe_of_a_causal_lm_is_read(tmp_path):
    _load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": {"template": "Is it?"}}, r"prompt.template.*\{text\}.*it occurs 0 times"),
        ({"prompt": {"template": "{text}{text}"}}, "it occurs 2 times"),
        ({"prompt": {"answers": {"no": "Yes"}}}, "each label needs an answer of its own"),
        ({"prompt": {"system": "x" * 2500}}, "room for 2,500"),
        ({"prompt": None}, "`model.family: causal` needs `prompt`"),
        ({"train": {"lora": None}}, "needs `train.lora`"),
        ({"model": {"chat_template_sha256": None}}, "needs `model.chat_template_sha256`"),
        ({"model": {"family": "encoder"}}, "`prompt` goes with `model.family: causal`"),
        ({"train": {"frozen_layers": 3}}, "`train.frozen_layers`.*say 0"),
        ({"model": {"licence": "no licence"}}, "model.licence"),
    ],
)
def test_keys_that_do_not_belong_together_are_refused_by_name(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        _load(tmp_path, **changes)


def test_a_recipe_is_merged_over_several_and_another_model_replaces_the_first(tmp_path):
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(_CAUSAL))
    model = {"model": _CAUSAL["model"] | {"name": "other/model", "files": {"weights": _SHA}}}
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(model))
    top = {"extends": ["base.yaml", "model.yaml"], "name": "top"}
    (tmp_path / "top.yaml").write_text(yaml.safe_dump(top))
    recipe = load_recipe(tmp_path / "top.yaml")
    assert (recipe.name, recipe.model.name) == ("top", "other/model")
    assert set(recipe.model.files) == {"weights"}
    assert recipe.prompt is not None
