"""What an environment asks of the version that it serves, by its settings."""

from typing import Any

import pytest

from sashiko.account.endpoint_spec import expected_version
from sashiko.registry.preflight.expected import Expected
from sashiko.registry.preflight.scans import ScanRule
from tests.infra.variants import recipes_of, settings_of


def expected(variant: str, **serving: Any) -> Expected:
    settings = settings_of(variant)
    changed = settings.serving.model_copy(update=serving)
    (recipe,) = recipes_of(settings)
    version = expected_version(settings.model_copy(update={"serving": changed}), recipe)
    assert version
    return version


@pytest.mark.parametrize(("variant", "strict"), [("serving", False), ("serving_prod", True)])
def test_prod_refuses_an_image_without_a_scan_and_waived_models_are_served_nowhere(
    variant: str, strict: bool
) -> None:
    version = expected(variant)
    assert ScanRule.read(version.scans).strict is strict
    assert version.allow_waived == "false"


def test_an_environment_that_serves_waived_models_says_so() -> None:
    assert expected("serving_prod", allow_waived=True).allow_waived == "true"


def test_an_environment_that_serves_nothing_expects_nothing() -> None:
    dev = settings_of("dev")
    (recipe,) = recipes_of(dev)
    assert expected_version(dev, recipe) is None
