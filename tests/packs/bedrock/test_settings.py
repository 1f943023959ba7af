"""The section `bedrock`: models that answer in the environment's own region."""

import pytest
from pydantic import ValidationError

from sashiko_packs.bedrock.settings import BedrockSection


def section(*models: str) -> BedrockSection:
    return BedrockSection(enabled=True, guardrail_difference=0.02, models=models)


def test_models_of_the_region_are_taken() -> None:
    models = ("amazon.nova-micro-v1:0", "meta.llama3-8b-instruct-v1:0")
    assert section(*models).models == models


@pytest.mark.parametrize("geography", ["us", "eu", "apac", "global"])
def test_a_profile_that_leaves_the_region_is_refused_with_the_models_own_name(
    geography: str,
) -> None:
    with pytest.raises(ValidationError, match=r"name the model itself, amazon\.nova-micro-v1:0"):
        section(f"{geography}.amazon.nova-micro-v1:0")


def test_a_model_is_named_once() -> None:
    with pytest.raises(ValidationError, match="a model is named twice"):
        section("a.b", "a.b")
