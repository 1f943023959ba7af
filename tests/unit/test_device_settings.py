"""`device_check`: which values an environment may have."""

from pathlib import Path

import pytest

from sashiko.errors import InputError
from sashiko.settings.environment import load_settings

BASE = Path(__file__).parents[2] / "config/base.yaml"


def config(folder: Path, environment: str, text: str, *, tier: str | None = None) -> Path:
    (folder / "base.yaml").write_text(BASE.read_text())
    (folder / f"{environment}.yaml").write_text(
        f'tier: {tier or environment}\naccount: "111122223333"\n{text}\n'
    )
    return folder


def test_an_endpoint_checks_the_device_by_default_and_a_batch_job_needs_its_type(
    tmp_path: Path,
) -> None:
    assert load_settings("prod", folder=config(tmp_path, "prod", "")).device_check == "endpoint"
    line = "device_check: transform\nserving: {instance_types: {cpu: ml.c5.large}}"
    with pytest.raises(InputError, match=r"no ml\.c5\.large \(`serving\.instance_types\.cpu`\)"):
        load_settings("dev", folder=config(tmp_path, "dev", line))


@pytest.mark.parametrize("word", ["off", '"off"'])
def test_off_is_for_other_tiers_than_prod(tmp_path: Path, word: str) -> None:
    """Without quotes YAML takes it for false."""
    line = f"device_check: {word}"
    assert load_settings("dev", folder=config(tmp_path, "dev", line)).device_check == "off"
    load_settings("prod", folder=config(tmp_path, "prod", line, tier="dev"))
    with pytest.raises(InputError) as error:
        load_settings("staging", folder=config(tmp_path, "staging", line, tier="prod"))
    for part in ("staging.yaml", "key `device_check`", "`prod`", "`endpoint` or `transform`"):
        assert part in str(error.value)
