"""`config/delivery.yaml`: who delivers what to which environments."""

import shutil
from pathlib import Path

import pytest

from sashiko.errors import InputError
from sashiko.settings.delivery import github_trust, load_delivery
from sashiko.settings.environment import environment_names, load_settings
from sashiko.settings.tools import load_tools, stages_tools
from tests.infra.delivery import CONNECTION, DELIVERY, write_stages


@pytest.fixture
def written(tmp_path):
    write_stages(tmp_path)
    return tmp_path


def test_names_follow_from_the_tools_own_account(written):
    tools = load_tools(folder=written)
    settings = tools.settings
    assert (settings.project, settings.environment, settings.account) == (
        "sashiko",
        "delivery",
        "777788889999",
    )
    assert [stage.environment for stage in tools.stages] == ["dev", "staging", "prod"]


def test_who_delivers_to_an_environment(written):
    dev = load_tools(folder=written).stages[0]
    assert stages_tools(dev, folder=written) is not None
    (written / "delivery.yaml").write_text(DELIVERY.replace("[dev, staging, prod]", "[prod]"))
    assert stages_tools(dev, folder=written) is None
    (written / "delivery.yaml").unlink()
    assert stages_tools(dev, folder=written) is None


def test_a_bootstrap_that_two_environments_share_trusts_the_tools_of_either(written):
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
def test_what_cannot_be_delivered_is_one_message(written, name):
    text, message = BAD[name]
    (written / "delivery.yaml").write_text(text) if text else (written / "delivery.yaml").unlink()
    with pytest.raises(InputError, match=message):
        load_tools(folder=written)


def test_a_stage_of_another_project_is_refused(written):
    dev = written / "dev.yaml"
    dev.write_text(dev.read_text() + "project: other\n")
    with pytest.raises(InputError, match="`dev` is of the project other"):
        load_tools(folder=written)


_DELIVERY = f"""\
by: codepipeline
account: "777788889999"
region: us-east-1
source: {{host: github, repository: acme/churn, branch: main, connection: "{CONNECTION}"}}
stages: [dev, prod]
"""


@pytest.fixture
def folder(tmp_path):
    for name, tier in (("local", "local"), ("dev", "dev"), ("prod", "prod")):
        (tmp_path / f"{name}.yaml").write_text(f"tier: {tier}\n")
    (tmp_path / "base.yaml").write_text("project: churn\n")
    return tmp_path


def test_the_delivery_file_is_read_if_there_is_one_and_is_no_environment(folder):
    assert load_delivery(folder=folder) is None

    (folder / "delivery.yaml").write_text(_DELIVERY)
    delivery = load_delivery(folder=folder)
    assert delivery is not None
    assert (delivery.stages, delivery.source.repository) == (("dev", "prod"), "acme/churn")
    assert environment_names(folder=folder) == ("dev", "local", "prod")

    text = _DELIVERY.replace("codepipeline\n", "actions\n").replace("host: github", "host: gitlab")
    (folder / "delivery.yaml").write_text(text)
    with pytest.raises(InputError, match="actions"):
        load_delivery(folder=folder)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("[dev, prod]", "[dev, staging]", "`staging` is no environment"),
        ("[dev, prod]", "[local, prod]", "`local` is no environment"),
        ("[dev, prod]", "[dev, dev]", "twice"),
        ("by: codepipeline", "by: actions\nwho: me", "who"),
        (f', connection: "{CONNECTION}"', "", "source.connection"),
        ("acme/churn", "acme", "repository"),
        ("codepipeline", "jenkins", "by"),
    ],
)
def test_a_fault_names_the_file_and_the_key(folder, before, after, words):
    assert before in _DELIVERY
    (folder / "delivery.yaml").write_text(_DELIVERY.replace(before, after))
    with pytest.raises(InputError) as error:
        load_delivery(folder=folder)
    assert words in str(error.value)
    assert "delivery.yaml" in str(error.value)


_ACTIONS = """\
by: actions
account: "777788889999"
region: us-east-1
source: {host: github, repository: acme/churn, branch: main, ids: {owner: 12, repository: 34}}
stages: [dev, staging, prod]
"""


@pytest.fixture
def stages(tmp_path):
    shutil.copy("config/base.yaml", tmp_path)
    accounts = {"dev": "111122223333", "staging": "111122223333", "prod": "444455556666"}
    for name, account in accounts.items():
        (tmp_path / f"{name}.yaml").write_text(f'tier: dev\naccount: "{account}"\n')
    (tmp_path / "delivery.yaml").write_text(_ACTIONS)
    return tmp_path


def _providers(folder: Path) -> dict[str, bool]:
    """Stage -> whether it makes its account's provider."""
    trusts = {name: github_trust(name, folder=folder) for name in ("dev", "staging", "prod")}
    return {name: trust.makes_provider for name, trust in trusts.items() if trust}


def test_the_first_stage_of_an_account_makes_its_provider_unless_it_exists(stages):
    assert _providers(stages) == {"dev": True, "staging": False, "prod": True}
    trust = github_trust("dev", folder=stages)
    assert trust is not None
    assert trust.source.subject == "repo:acme@12/churn@34"
    (stages / "delivery.yaml").write_text(_ACTIONS + "existing_providers: [dev, staging]\n")
    assert _providers(stages) == {"dev": False, "staging": False, "prod": True}
    (stages / "delivery.yaml").write_text(_ACTIONS.replace("[dev, staging, prod]", "[dev]"))
    assert _providers(stages) == {"dev": True}


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (", ids: {owner: 12, repository: 34}", "", "gh api repos/acme/churn"),
        ("acme/churn", "acme/team/churn", "is not `owner/name`"),
        ("stages: [dev, staging, prod]", "stages: [dev]\nexisting_providers: [prod]", "none of"),
        ("prod]", "prod]\nexisting_providers: [dev]", "staging in the same account"),
    ],
)
def test_what_github_and_an_account_cannot_agree_on_is_refused(stages, before, after, words):
    assert before in _ACTIONS
    (stages / "delivery.yaml").write_text(_ACTIONS.replace(before, after))
    with pytest.raises(InputError, match=words):
        github_trust("dev", folder=stages)


def test_stages_are_of_one_project(stages):
    file = stages / "prod.yaml"
    file.write_text(file.read_text() + "project: other\n")
    with pytest.raises(InputError, match="`prod` of other"):
        github_trust("dev", folder=stages)
