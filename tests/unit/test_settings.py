"""An environment's settings: what they refuse, and how they go to another process."""

import json

import pytest

from sashiko.errors import InputError
from sashiko.settings import Settings, load_settings
from sashiko.yaml_models import validate


@pytest.mark.parametrize("environment", ["local", "dev", "prod"])
def test_settings_written_as_json_are_read_again_as_the_same(environment: str) -> None:
    settings = load_settings(environment)
    assert Settings.model_validate(json.loads(settings.model_dump_json())) == settings


def _with_spot(wait: str) -> Settings:
    value = json.loads(load_settings("dev").model_dump_json())
    value["jobs"]["training"] |= {"spot": {"max_wait": wait}, "max_runtime": "4h"}
    return validate(Settings, value, source="config/dev.yaml")


def test_a_spot_job_may_not_have_to_end_before_its_run() -> None:
    spot = _with_spot("4h").jobs.training.spot
    assert spot is not None
    assert spot.max_wait == 4 * 3600
    with pytest.raises(
        InputError, match=r"jobs\.training`: `spot\.max_wait` \(10800s\) is shorter"
    ):
        _with_spot("3h")
