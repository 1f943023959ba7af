"""`config/delivery.yaml`: who delivers what to which environments."""

from pathlib import Path

import pytest

from sashiko.errors import InputError
from sashiko.settings.delivery import load_delivery
from sashiko.settings.environment import environment_names

_CONNECTION = (
    "arn:aws:codeconnections:us-east-1:777788889999:connection/0123abcd-8aad-4d5d-8878-dfcab0bc441f"
)
_DELIVERY = f"""\
by: codepipeline
account: "777788889999"
region: us-east-1
source: {{host: github, repository: acme/churn, branch: main, connection: "{_CONNECTION}"}}
stages: [dev, prod]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, tier in (("local", "local"), ("dev", "dev"), ("prod", "prod")):
        (tmp_path / f"{name}.yaml").write_text(f"tier: {tier}\n")
    (tmp_path / "base.yaml").write_text("project: churn\n")
    return tmp_path


def test_a_project_without_the_file_delivers_nothing(folder: Path) -> None:
    assert load_delivery(folder=folder) is None


def test_the_file_is_read_and_is_no_environment(folder: Path) -> None:
    (folder / "delivery.yaml").write_text(_DELIVERY)
    delivery = load_delivery(folder=folder)
    assert delivery is not None
    assert (delivery.stages, delivery.source.repository) == (("dev", "prod"), "acme/churn")
    assert environment_names(folder=folder) == ("dev", "local", "prod")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("[dev, prod]", "[dev, staging]", "`staging` is no environment"),
        ("[dev, prod]", "[local, prod]", "`local` is no environment"),
        ("[dev, prod]", "[dev, dev]", "twice"),
        ("by: codepipeline", "by: actions\nwho: me", "who"),
        (f', connection: "{_CONNECTION}"', "", "source.connection"),
        ("acme/churn", "acme", "repository"),
        ("codepipeline", "jenkins", "by"),
    ],
    ids=["unknown", "local", "twice", "key", "connection", "repository", "by"],
)
def test_a_fault_names_the_file_and_the_key(
    folder: Path, before: str, after: str, words: str
) -> None:
    assert before in _DELIVERY
    (folder / "delivery.yaml").write_text(_DELIVERY.replace(before, after))
    with pytest.raises(InputError) as error:
        load_delivery(folder=folder)
    assert words in str(error.value)
    assert "delivery.yaml" in str(error.value)


def test_actions_deliver_from_github_alone(folder: Path) -> None:
    text = _DELIVERY.replace("codepipeline\n", "actions\n").replace("host: github", "host: gitlab")
    (folder / "delivery.yaml").write_text(text)
    with pytest.raises(InputError, match="actions"):
        load_delivery(folder=folder)
