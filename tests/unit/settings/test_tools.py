"""The tools' account: what `config/delivery.yaml` and the stages' files must agree on."""

from pathlib import Path

import pytest

from sashiko.errors import InputError
from sashiko.settings.environment import load_settings
from sashiko.settings.tools import load_tools, stages_tools
from tests.infra.delivery import CONNECTION, DELIVERY, write_stages


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write_stages(tmp_path)
    return tmp_path


def test_names_follow_from_the_tools_own_account(written: Path) -> None:
    tools = load_tools(folder=written)
    settings = tools.settings
    assert (settings.project, settings.environment, settings.account) == (
        "sashiko",
        "delivery",
        "777788889999",
    )
    assert [stage.environment for stage in tools.stages] == ["dev", "staging", "prod"]


def test_who_delivers_to_an_environment(written: Path) -> None:
    dev = load_tools(folder=written).stages[0]
    assert stages_tools(dev, folder=written) is not None
    (written / "delivery.yaml").write_text(DELIVERY.replace("[dev, staging, prod]", "[prod]"))
    assert stages_tools(dev, folder=written) is None
    (written / "delivery.yaml").unlink()
    assert stages_tools(dev, folder=written) is None


def test_a_bootstrap_that_two_environments_share_trusts_the_tools_of_either(written: Path) -> None:
    """Or `make bootstrap` for the one would end the delivery to the other."""
    (written / "trial.yaml").write_text((written / "prod.yaml").read_text())
    assert stages_tools(load_settings("trial", folder=written), folder=written) is not None


BAD = {
    "no file": ("", "there is no .*delivery.yaml, so nothing is delivered"),
    "by actions": (
        DELIVERY.replace("by: codepipeline", "by: actions").replace(
            f'connection: "{CONNECTION}"', "ids: {owner: 12, repository: 34}"
        ),
        "key `by`: `actions` needs no stack",
    ),
    "an environment's account": (
        DELIVERY.replace("777788889999", "444455556666"),
        "444455556666 in us-east-1 is the account of `prod`",
    ),
    "another account's connection": (
        DELIVERY.replace('account: "777788889999"', 'account: "777788880000"'),
        "key `source.connection`: it is of 777788889999 in us-east-1",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_delivered_is_one_message(written: Path, name: str) -> None:
    text, message = BAD[name]
    (written / "delivery.yaml").write_text(text) if text else (written / "delivery.yaml").unlink()
    with pytest.raises(InputError, match=message):
        load_tools(folder=written)


def test_a_stage_of_another_project_is_refused(written: Path) -> None:
    dev = written / "dev.yaml"
    dev.write_text(dev.read_text() + "project: other\n")
    with pytest.raises(InputError, match="`dev` is of the project other"):
        load_tools(folder=written)
