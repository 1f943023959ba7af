"""The recipe's section `train.distributed`."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from sashiko.settings.recipe_train import Hyperparameters, TrainSection

SEVERAL = {"strategy": "fsdp", "nodes": 2, "processes": 8, "instance_type": "ml.p5.48xlarge"}


def test_a_training_by_one_process_has_the_hyperparameters_that_it_had() -> None:
    one = Hyperparameters(max_length=64, truncate=False)
    assert "distributed" not in one.as_strings()


def test_the_section_travels_as_a_hyperparameter() -> None:
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
def test_what_does_not_go_together_is_refused(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainSection.model_validate({"distributed": section})
