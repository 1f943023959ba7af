"""The organization's policies keep the grammar and the limits of AWS, and follow from config/."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cfnlint.data import AdditionalSpecs
from cfnlint.helpers import load_resource
from typer.testing import CliRunner

from sashiko.aws.operations.organization.accounts import Accounts, read_accounts
from sashiko.aws.operations.organization.policies import organization_policies
from sashiko.aws.operations.organization.policy import LIMITS, Kind, Policy, deny
from sashiko.cli import app
from sashiko.errors import InputError
from tests.infra.delivery import write_stages

ORGANIZATION = "o-exampleorgid"
FILES = ["scp-account", "scp-project", "scp-access", "scp-jobs", "scp-lake", "rcp"]
# Of the services that resource control policies support, those that are used ("Resource control
# policies (RCPs)", AWS Organizations User Guide).
SUPPORTED = {"ecr", "kms", "s3", "secretsmanager", "sqs", "sts"}
GITHUB = """\
by: actions
account: "777788889999"
region: us-east-1
source: {host: github, repository: acme/churn, branch: main, ids: {owner: 12, repository: 34}}
stages: [dev, prod]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Three environments and the tools' account, below the folder that commands run in."""
    folder = tmp_path / "config"
    folder.mkdir()
    write_stages(folder)
    return folder


def written(accounts: Accounts) -> dict[str, Any]:
    return {one.name: json.loads(one.text()) for one in organization_policies(accounts)}


def test_each_policy_fits_and_so_do_all_of_them_at_one_target(config: Path) -> None:
    """Three environments and the tools.

    A target takes ten service control policies and five resource control policies, AWS's own that
    allow everything included: "Quotas and service limits for AWS Organizations", AWS Organizations
    User Guide.
    """
    policies = organization_policies(read_accounts(ORGANIZATION, folder=config))
    assert [policy.name for policy in policies] == FILES
    assert all(len(policy.text()) <= LIMITS[policy.kind] for policy in policies)
    for kind, most in (("SERVICE_CONTROL_POLICY", 9), ("RESOURCE_CONTROL_POLICY", 4)):
        assert 1 <= sum(policy.kind == kind for policy in policies) <= most


@pytest.mark.parametrize(
    ("kind", "most"), [("SERVICE_CONTROL_POLICY", 10_240), ("RESOURCE_CONTROL_POLICY", 5_120)]
)
def test_a_policy_is_as_long_as_aws_takes_and_no_longer(kind: Kind, most: int) -> None:
    empty = len(Policy(name="p", kind=kind, purpose="", statements=(deny("", ["s3:*"]),)).text())
    for letters in (most - empty, most - empty + 1):
        statement = deny("x" * letters, ["s3:*"])
        policy = Policy(name="p", kind=kind, purpose="", statements=(statement,))
        if letters == most - empty:
            assert len(policy.text()) == most
        else:
            with pytest.raises(InputError, match=rf"AWS takes {most:,}"):
                policy.text()


@pytest.mark.parametrize("delivery", ["codepipeline", "actions", "nobody"])
def test_the_grammar_is_that_of_aws(config: Path, delivery: str) -> None:
    """ "SCP syntax" and "RCP syntax" of the AWS Organizations User Guide."""
    if delivery == "actions":
        (config / "delivery.yaml").write_text(GITHUB)
    elif delivery == "nobody":
        (config / "delivery.yaml").unlink()
    for name, document in written(read_accounts(ORGANIZATION, folder=config)).items():
        assert document["Version"] == "2012-10-17"
        sids = [statement["Sid"] for statement in document["Statement"]]
        assert len(set(sids)) == len(sids)
        for statement in document["Statement"]:
            assert re.fullmatch(r"[A-Za-z0-9]+", statement["Sid"])
            assert statement["Effect"] == "Deny"
            assert statement["Resource"]
            if name == "rcp":
                assert statement["Principal"] == "*"
                assert {action.partition(":")[0] for action in statement["Action"]} <= SUPPORTED
            else:
                assert not statement.keys() & {"Principal", "NotPrincipal"}
                assert len(statement.keys() & {"Action", "NotAction"}) == 1


def test_each_action_is_one_of_iam(config: Path) -> None:
    known = load_resource(AdditionalSpecs, "Policies.json")
    named = {
        action
        for document in written(read_accounts(ORGANIZATION, folder=config)).values()
        for statement in document["Statement"]
        for action in statement.get("Action", [])
        if "*" not in action
    }
    assert len(named) > 60
    assert {
        action
        for action in named
        if action.partition(":")[2].lower() not in known[action.partition(":")[0]]["Actions"]
    } == set()


def test_names_accounts_and_regions_are_those_of_the_environments_and_the_tools(
    config: Path,
) -> None:
    text = (config / "staging.yaml").read_text()
    lists = "network: {zones: [a], s3_prefix_lists: {eu-central-1: pl-6ea54007}}\n"
    (config / "staging.yaml").write_text(f"{text}region: eu-central-1\n{lists}")
    policies = written(read_accounts(ORGANIZATION, folder=config))
    everything = json.dumps(policies)
    assert set(re.findall(r"\b\d{12}\b", everything)) == {
        "111122223333",
        "222233334444",
        "444455556666",
        "777788889999",
    }
    (regions,) = (
        statement["Condition"]["StringNotEquals"]["aws:RequestedRegion"]
        for statement in policies["scp-account"]["Statement"]
        if "NotAction" in statement
    )
    assert regions == ["eu-central-1", "us-east-1"]
    assert "role/sashiko-staging-approver" in everything
    assert "alias/sashiko-delivery-*" in everything
    assert "role/cdk-sashiko-cfn-exec-role-222233334444-eu-central-1" in everything


def test_the_command_writes_the_files(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(config.parent)
    run = CliRunner().invoke(app, ["organization", ORGANIZATION], catch_exceptions=False)
    files = sorted((config.parent / "organization").iterdir())
    assert [file.stem for file in files] == sorted(FILES)
    for file in files:
        assert f"{file.relative_to(config.parent)}  " in run.stdout
        assert ORGANIZATION in file.read_text() or file.stem != "rcp"
    assert "777788889999 (delivery)" in run.stderr


def test_an_id_of_something_else_is_refused(config: Path) -> None:
    with pytest.raises(InputError, match=r"ou-1234-abcdefgh is no id of an organization"):
        read_accounts("ou-1234-abcdefgh", folder=config)


def test_without_an_account_there_is_nothing_to_write(config: Path) -> None:
    for name in ("dev", "staging", "prod", "delivery"):
        (config / f"{name}.yaml").unlink()
    with pytest.raises(InputError, match="has no environment with an account"):
        read_accounts(ORGANIZATION, folder=config)


def test_more_environments_than_a_policy_can_name_write_no_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (config / "dev.yaml").read_text()
    for number in range(20):
        (config / f"team{number}.yaml").write_text(text.replace("111122223333", f"{number:012}"))
    monkeypatch.chdir(config.parent)
    with pytest.raises(InputError, match=r"scp-project\.json would have .* AWS takes 10,240"):
        CliRunner().invoke(app, ["organization", ORGANIZATION], catch_exceptions=False)
    assert not (config.parent / "organization").exists()
