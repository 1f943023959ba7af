"""The bounds of `config/<env>.yaml`: how they are written, and what they are held against."""

from pathlib import Path
from typing import Any

import pytest

from sashiko.account.endpoint_spec import expected_of
from sashiko.base.yaml_models import Layer, read_yaml, validate_layers
from sashiko.errors import InputError
from sashiko.packs import enabled_packs
from sashiko.registry.preflight.expected import Bound
from sashiko.settings.environment import Settings, settings_model
from sashiko.settings.recipe import Recipe, load_recipe

REPOSITORY = Path(__file__).parents[3]
SERVED = "arn:aws:sagemaker:us-east-1:444455556666:model-package/sashiko-prod-complaint-triage/3"


def prod(*bounds: Any) -> Settings:
    """Prod with bounds of its own, as its file would have them."""
    layers = [
        Layer("config/base.yaml", read_yaml(REPOSITORY / "config/base.yaml")),
        Layer(
            "config/prod.yaml",
            {
                "environment": "prod",
                "tier": "prod",
                "account": "444455556666",
                "serving": {"bounds": list(bounds)},
            },
        ),
    ]
    return validate_layers(settings_model(enabled_packs()), layers)


@pytest.fixture
def gated(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.chdir(REPOSITORY)
    loaded = load_recipe(REPOSITORY / "recipes/complaints.yaml")
    quality = loaded.quality.model_copy(
        update={"gates": (_gate(loaded.quality.gates[0], metric="auc", minimum=0.7),)}
    )
    (bias, *_) = loaded.bias.gates
    crossed = bias.model_copy(update={"metric": "DI", "facet": ("a", "b")})
    alone = bias.model_copy(update={"metric": "DI", "facet": "gender", "minimum": 0.8})
    gated = loaded.bias.model_copy(update={"gates": (alone, crossed)})
    return loaded.model_copy(update={"quality": quality, "bias": gated})


def _gate(gate: Any, **change: Any) -> Any:
    return gate.model_copy(update={"better_than": None, **change})


def test_one_line_bounds_what_is_served_and_the_recipe_stays_as_it_is(gated: Recipe) -> None:
    settings = prod(
        {"metric": "DI", "facet": "gender", "minimum": 0.85, "judged_by": "bound"},
        {"metric": "DI", "facet": ["a", "b"], "minimum": 0.8},
        {"metric": "auc", "minimum": 0.8},
    )
    bounds = Bound.read(expected_of(settings, gated, SERVED).bounds)
    assert [(bound.gate, str(bound), bound.requirement()) for bound in bounds] == [
        ("bias", "DI of gender", "at least 0.85 for the whole interval"),
        ("bias", "DI of a & b", "at least 0.8"),
        ("model-quality", "auc", "at least 0.8"),
    ]
    assert Bound.read(expected_of(prod(), gated, SERVED).bounds) == ()


@pytest.mark.parametrize(
    "bound",
    [
        {"metric": "DI", "facet": "age", "minimum": 0.8},
        {"metric": "AD", "facet": "gender", "maximum": 0.1},
        {"metric": "f1", "minimum": 0.5},
    ],
)
def test_a_bound_on_what_no_gate_measures_names_file_key_and_what_it_may_be(
    gated: Recipe, bound: dict[str, Any]
) -> None:
    with pytest.raises(InputError) as error:
        expected_of(prod({"metric": "auc", "minimum": 0.8}, bound), gated, SERVED)
    assert str(error.value).startswith(
        "config/prod.yaml: key `serving.bounds.1`: the recipe complaints has no gate on "
    )
    assert str(error.value).endswith("bound what it gates: DI of a & b, DI of gender, auc")


@pytest.mark.parametrize(
    ("bound", "message"),
    [
        ({"metric": "DI", "facet": "gender"}, "give `minimum`, `maximum`, or both"),
        ({"metric": "DI", "minimum": 0.8}, "`facet` goes with a bias metric"),
        ({"metric": "auc", "facet": "gender", "minimum": 0.8}, "`facet` goes with a bias metric"),
        ({"metric": "DI", "facet": "gender", "min": 0.8}, "`serving.bounds.0.min`"),
        ({"metric": "di", "facet": "gender", "minimum": 0.8}, "`serving.bounds.0.metric`"),
        ({"metric": "DI", "facet": ["gender"], "minimum": 0.8}, "two different ones or more"),
    ],
)
def test_a_mistake_names_file_and_key(bound: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        prod(bound)
    assert "config/prod.yaml" in str(error.value)
    assert "serving.bounds.0" in str(error.value)
    assert message in str(error.value)
