"""What an endpoint is made of, and settings that cannot be served."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from sashiko.account.endpoint_spec import (
    endpoint_name,
    endpoint_spec,
    expected_of,
    expected_version,
    served_package,
)
from sashiko.base.yaml_models import Layer, read_yaml, validate_layers
from sashiko.errors import InputError
from sashiko.packs import enabled_packs
from sashiko.registry.preflight.expected import Bound, Expected
from sashiko.registry.preflight.scans import ScanRule
from sashiko.settings.environment import Settings, load_settings, settings_model
from sashiko.settings.recipe import load_recipe
from tests.infra.variants import recipes_of, settings_of


def expected(variant: str, **serving: Any) -> Expected:
    settings = settings_of(variant)
    changed = settings.serving.model_copy(update=serving)
    (recipe,) = recipes_of(settings)
    version = expected_version(settings.model_copy(update={"serving": changed}), recipe)
    assert version
    return version


@pytest.mark.parametrize(("variant", "strict"), [("serving", False), ("serving_prod", True)])
def test_prod_refuses_an_image_without_a_scan_and_waived_models_are_served_nowhere(variant, strict):
    version = expected(variant)
    assert ScanRule.read(version.scans).strict is strict
    assert version.allow_waived == "false"


def test_what_an_environment_expects_of_a_version_is_as_it_serves():
    assert expected("serving_prod", allow_waived=True).allow_waived == "true"
    dev = settings_of("dev")
    (recipe,) = recipes_of(dev)
    assert expected_version(dev, recipe) is None
    of_all, of_group = {"metric": "interval_coverage", "minimum": 0.85}, {"facet": "gender"}
    bounds = prod(of_all, of_all | of_group).serving.bounds
    assert [str(bound) for bound in bounds] == ["interval_coverage", "interval_coverage of gender"]


REPOSITORY = Path(__file__).parents[3]
ROOT = Path.cwd()  # tests/conftest.py: with the samples
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
def gated(monkeypatch):
    monkeypatch.chdir(ROOT)
    loaded = load_recipe(ROOT / "recipes/complaints.yaml")
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


def test_one_line_bounds_what_is_served_and_the_recipe_stays_as_it_is(gated):
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
def test_a_bound_on_what_no_gate_measures_names_file_key_and_what_it_may_be(gated, bound):
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
        ({"metric": "mean_error", "minimum": -1}, "`facet` goes with a bias metric"),
        ({"metric": "DI", "facet": "gender", "min": 0.8}, "`serving.bounds.0.min`"),
        ({"metric": "di", "facet": "gender", "minimum": 0.8}, "`serving.bounds.0.metric`"),
        ({"metric": "DI", "facet": ["gender"], "minimum": 0.8}, "two or more different facets"),
    ],
)
def test_a_mistake_names_file_and_key(bound, message):
    with pytest.raises(InputError) as error:
        prod(bound)
    assert "config/prod.yaml" in str(error.value)
    assert "serving.bounds.0" in str(error.value)
    assert message in str(error.value)


ARN = "arn:aws:sagemaker:us-east-1:111122223333:model-package/sashiko-dev-complaint-triage/3"


def settings(
    folder: Path, environment: str = "dev", *, tier: str = "dev", **serving: Any
) -> Settings:
    """The shipped base with one account and `serving` laid over it."""
    (folder / "base.yaml").write_text((ROOT / "config/base.yaml").read_text())
    own = {"tier": tier, "account": "111122223333", "serving": serving}
    (folder / f"{environment}.yaml").write_text(yaml.safe_dump(own))
    return load_settings(environment, folder=folder)


@pytest.fixture
def recipe():
    return load_recipe(ROOT / "recipes/complaints.yaml")


@pytest.fixture
def in_config(tmp_path, monkeypatch):
    """The folder `config` of a repository in which a command runs."""
    (tmp_path / "config").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "config"


def test_inferentia_is_pinned_to_a_driver_and_each_core_has_a_process(tmp_path):
    """Failures 1, 4, 8 and 11 of the ledger: driver, cores, and the time of the first load."""
    spec = endpoint_spec(settings(tmp_path), "inf2")
    assert spec.instance_type == "ml.inf2.xlarge"
    assert spec.ami == "al2-ami-sagemaker-inference-neuron-2"
    assert (spec.cores, spec.workers) == (2, 2)
    assert spec.environment == {"SAGEMAKER_MODEL_SERVER_WORKERS": "2", "NEURON_RT_NUM_CORES": "1"}
    assert (spec.download_timeout, spec.startup_timeout) == (600, 600)
    assert "neuronx" in spec.image.uri


def test_a_larger_instance_has_more_processes(tmp_path):
    """Failure 5: fine on the smallest size, fails on a larger one."""
    larger = settings(tmp_path, instance_types={"inf2": "ml.inf2.24xlarge"})
    assert endpoint_spec(larger, "inf2").environment["SAGEMAKER_MODEL_SERVER_WORKERS"] == "12"


def test_the_target_alone_makes_it_a_cpu(tmp_path):
    spec = endpoint_spec(settings(tmp_path), "cpu")
    assert (spec.instance_type, spec.ami, spec.cores) == ("ml.c6i.xlarge", None, 0)
    assert spec.environment == {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}


@pytest.mark.parametrize(
    ("target", "instance_type"),
    [
        ("inf2", "ml.g5.xlarge"),
        ("inf2", "ml.inf2.xxlarge"),
        ("cpu", "ml.inf2.xlarge"),
        ("cpu", "ml.c7g.large"),  # Arm: the image is not built for it
        ("gpu", "ml.c6i.xlarge"),
        ("gpu", "ml.p6e-gb200.36xlarge"),
        ("gpu", "ml.g7e.2xlarge"),  # newer than the image's CUDA
    ],
)
def test_an_instance_type_that_does_not_fit_its_target_is_refused(tmp_path, target, instance_type):
    with pytest.raises(InputError, match=rf"dev.yaml: key `serving.instance_types.*{target}"):
        settings(tmp_path, instance_types={target: instance_type})


def test_what_is_captured_is_deleted_by_the_day(tmp_path):
    with pytest.raises(InputError, match=r"serving.capture.retention.*whole days"):
        settings(tmp_path, capture={"retention": "36h"})


def test_nothing_is_served_until_somebody_says_so(tmp_path, recipe):
    assert served_package(settings(tmp_path, model_package_arn=ARN), recipe) is None


def test_the_endpoint_has_the_name_of_its_group(in_config, recipe):
    serving = settings(in_config, enabled=True, model_package_arn=ARN)
    assert served_package(serving, recipe) == ARN
    assert endpoint_name(serving, recipe) == "sashiko-dev-complaint-triage"


ASLEEP = {"model_package_arn": ARN, "mode": "asynchronous", "min_instances": 0}


def test_in_prod_an_endpoint_may_sleep(in_config, recipe):
    serving = ASLEEP | {"model_package_arn": ARN.replace("-dev-", "-staging-"), "tier": "prod"}
    assert served_package(settings(in_config, "staging", enabled=True, **serving), recipe)


@pytest.mark.parametrize(
    ("environment", "serving", "reason"),
    [
        ("dev", {}, r"model_package_arn`: nothing to serve; set the ARN of an approved version"),
        ("dev", {"model_package_arn": ARN.replace("1111", "9999")}, "of another account than"),
        ("dev", {"model_package_arn": ARN.replace("us-east-1", "eu-west-1")}, "another region"),
        ("prod", {"model_package_arn": ARN, "min_instances": 2}, "of another group than"),
        (
            "staging",
            {"tier": "prod", "model_package_arn": ARN.replace("-dev-", "-staging-")},
            "staging.yaml: key `serving.min_instances`: 1; in tier `prod` set 2",
        ),
        ("dev", {"model_package_arn": ARN, "min_instances": 3}, "max_instances`: 2 is less than"),
        (
            "dev",
            {"model_package_arn": ARN, "min_instances": 0},
            "min_instances`: 0; an endpoint in",
        ),
        ("dev", ASLEEP | {"min_instances": 1}, "min_instances`: 1; set 0: .* sleeps while nothing"),
        ("dev", ASLEEP | {"max_instances": 1}, "max_instances`: 1; set 2 or more: an update wakes"),
        (
            "dev",
            ASLEEP | {"capture": {"percent": 0, "retention": "14d"}},
            "capture.percent`: 0; .* all stay until `capture.retention` ends",
        ),
    ],
)
def test_settings_that_cannot_be_served_say_which_key(
    in_config, recipe, environment, serving, reason
):
    environment_settings = settings(in_config, environment, enabled=True, **serving)
    with pytest.raises(InputError, match=reason):
        served_package(environment_settings, recipe)
