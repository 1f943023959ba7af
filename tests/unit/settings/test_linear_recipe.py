"""A recipe's keys for a linear model: it has no pre-trained weights, and few targets serve it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from sashiko.base.yaml_models import deep_merge
from sashiko.contract.load import load_contract
from sashiko.errors import InputError
from sashiko.pipeline.project import check_recipe
from sashiko.settings.recipe import Recipe, load_recipe
from sashiko.settings.recipe_data import ModelSection

LINEAR = "model.family=linear"


def load(folder: Path, *overrides: str, **changes: Any) -> Recipe:
    path = folder / "complaints-linear.yaml"
    parent = Path("recipes/complaints.yaml").resolve()
    value = {"extends": "complaints.yaml", "name": "complaints-linear"}
    for file in (parent, parent.parent / "models/all-minilm-l6-v2.yaml"):
        copy = folder / file.relative_to(parent.parent)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(file.read_bytes())
    path.write_text(yaml.safe_dump(deep_merge(value, changes)))
    return load_recipe(path, overrides=overrides)


def test_one_key_makes_the_linear_recipe_of_an_encoders_by_one_process(tmp_path: Path) -> None:
    by_file, by_option = load(tmp_path, model={"family": "linear"}), load(tmp_path, LINEAR)
    assert by_file == by_option
    assert by_file.model == ModelSection(family="linear")
    assert (by_file.model.files, by_file.model.licence) == ({}, None)
    assert by_file.hyperparameters.as_strings()["family"] == "linear"
    encoder = load(tmp_path)
    assert "family" not in encoder.hyperparameters.as_strings()
    assert (by_file.text, by_file.data) == (encoder.text, encoder.data)
    several = {"strategy": "ddp", "processes": 2}
    with pytest.raises(InputError, match=r"train\.distributed.*trained by one process"):
        load(tmp_path, LINEAR, train={"distributed": several})


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"family": "linear", "licence": "MIT"}, "no pre-trained weights: remove `licence`"),
        ({"family": "linear", "files": {"a": "b" * 64}}, "remove `files`"),
        ({"family": "encoder", "name": "some/model"}, "`family: encoder` needs `files`, `sources`"),
    ],
)
def test_weights_go_with_the_other_families_alone(tmp_path: Path, model, message) -> None:
    with pytest.raises(InputError, match=message):
        load(tmp_path, model=model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "inf2"}, "key `compile.target`: inf2 serves no linear model"),
        ({"target": "inf2-causal", "dtype": "bfloat16"}, "inf2-causal serves no linear model"),
        ({"target": "gpu"}, "gpu serves no linear model.*choose cpu"),
        ({"target": "gpu-vllm", "dtype": "bfloat16"}, "gpu-vllm serves no linear model"),
        ({"quantization": "int8", "batch_sizes": [1]}, "`compile.quantization`: int8 is for enc"),
        ({"dtype": "bfloat16"}, "`compile.dtype`"),
    ],
)
def test_a_target_that_cannot_take_it_refuses_by_name(tmp_path: Path, options, message) -> None:
    recipe = load(tmp_path, LINEAR, compile=options)
    contract = load_contract(Path("contracts/complaints.odcs.yaml"))
    with pytest.raises(InputError, match=message):
        check_recipe(recipe, contract, source=tmp_path)
    check_recipe(load(tmp_path, LINEAR), contract, source=tmp_path)
