"""What an endpoint is made of, and settings that cannot be served."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from sashiko.account.endpoint_spec import endpoint_name, endpoint_spec, served_package
from sashiko.errors import InputError
from sashiko.settings.environment import Settings, load_settings
from sashiko.settings.recipe import Recipe, load_recipe

ROOT = Path.cwd()  # tests/conftest.py: with the samples
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
def recipe() -> Recipe:
    return load_recipe(ROOT / "recipes/complaints.yaml")


@pytest.fixture
def in_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `config` of a repository in which a command runs."""
    (tmp_path / "config").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "config"


def test_inferentia_is_pinned_to_a_driver_and_each_core_has_a_process(tmp_path: Path) -> None:
    """Failures 1, 4, 8 and 11 of the ledger: driver, cores, and the time of the first load."""
    spec = endpoint_spec(settings(tmp_path), "inf2")

    assert spec.instance_type == "ml.inf2.xlarge"
    assert spec.ami == "al2-ami-sagemaker-inference-neuron-2"
    assert (spec.cores, spec.workers) == (2, 2)
    assert spec.environment == {"SAGEMAKER_MODEL_SERVER_WORKERS": "2", "NEURON_RT_NUM_CORES": "1"}
    assert (spec.download_timeout, spec.startup_timeout) == (600, 600)
    assert "neuronx" in spec.image.uri


def test_a_larger_instance_has_more_processes(tmp_path: Path) -> None:
    """Failure 5: fine on the smallest size, fails on a larger one."""
    larger = settings(tmp_path, instance_types={"inf2": "ml.inf2.24xlarge"})
    assert endpoint_spec(larger, "inf2").environment["SAGEMAKER_MODEL_SERVER_WORKERS"] == "12"


def test_the_target_alone_makes_it_a_cpu(tmp_path: Path) -> None:
    spec = endpoint_spec(settings(tmp_path), "cpu")
    assert (spec.instance_type, spec.ami, spec.cores) == ("ml.c6i.xlarge", None, 0)
    assert spec.environment == {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}


@pytest.mark.parametrize(
    ("target", "instance_type"),
    [
        ("inf2", "ml.g5.xlarge"),
        ("inf2", "ml.inf1.xlarge"),
        ("inf2", "ml.inf2.xxlarge"),
        ("cpu", "ml.inf2.xlarge"),
        ("cpu", "ml.c7g.large"),  # Arm: the image is not built for it
        ("cpu", "ml.m6gd.large"),
        ("gpu", "ml.c6i.xlarge"),
        ("gpu", "ml.p6e-gb200.36xlarge"),
        ("gpu", "ml.g7e.2xlarge"),  # newer than the image's CUDA
    ],
)
def test_an_instance_type_that_does_not_fit_its_target_is_refused(
    tmp_path: Path, target: str, instance_type: str
) -> None:
    with pytest.raises(InputError, match=rf"dev.yaml: key `serving.instance_types.*{target}"):
        settings(tmp_path, instance_types={target: instance_type})


def test_what_is_captured_is_deleted_by_the_day(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"serving.capture.retention.*whole days"):
        settings(tmp_path, capture={"retention": "36h"})


def test_nothing_is_served_until_somebody_says_so(tmp_path: Path, recipe: Recipe) -> None:
    assert served_package(settings(tmp_path, model_package_arn=ARN), recipe) is None


def test_the_endpoint_has_the_name_of_its_group(in_config: Path, recipe: Recipe) -> None:
    serving = settings(in_config, enabled=True, model_package_arn=ARN)
    assert served_package(serving, recipe) == ARN
    assert endpoint_name(serving, recipe) == "sashiko-dev-complaint-triage"


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
    ],
)
def test_settings_that_cannot_be_served_say_which_key(
    in_config: Path, recipe: Recipe, environment: str, serving: dict[str, Any], reason: str
) -> None:
    environment_settings = settings(in_config, environment, enabled=True, **serving)
    with pytest.raises(InputError, match=reason):
        served_package(environment_settings, recipe)
