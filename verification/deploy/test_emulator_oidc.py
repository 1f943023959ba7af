"""The stack of GitHub Actions in the emulator, and the trusts that IAM refuses."""

from typing import Any

import pytest

from tests.infra.variants import github_template
from verification.deploy.inventory import inventory
from verification.deploy.stacks import ACCOUNT, Stacks, Template

ISSUER = "token.actions.githubusercontent.com"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{ISSUER}"


@pytest.fixture
def github() -> Template:
    """The resources of dev's own stack."""
    return {"Resources": github_template("serving")["Resources"]}


def _trusts(template: Template) -> list[dict[str, Any]]:
    return [
        statement
        for item in template["Resources"].values()
        if item["Type"] == "AWS::IAM::Role"
        for statement in item["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    ]


def test_the_stack_comes_changes_and_leaves_nothing(stacks: Stacks, github: Template) -> None:
    iam = stacks.emulator.client("iam")
    before = inventory(stacks.emulator)
    assert stacks.deploy("github", github) == "CREATE_COMPLETE"
    provider = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=PROVIDER)
    assert (provider["Url"], provider["ClientIDList"]) == (ISSUER, ["sts.amazonaws.com"])
    role = iam.get_role(RoleName="sashiko-dev-github-deployer")["Role"]
    assert role["AssumeRolePolicyDocument"]["Statement"] == [_trusts(github)[1]]

    for statement in _trusts(github):
        statement["Condition"]["StringEquals"][f"{ISSUER}:ref"] = "refs/heads/trunk"
    assert stacks.deploy("github", github) == "UPDATE_COMPLETE"
    role = iam.get_role(RoleName="sashiko-dev-github-deployer")["Role"]
    assert role["AssumeRolePolicyDocument"]["Statement"] == [_trusts(github)[1]]

    assert stacks.delete("github") == "DELETE_COMPLETE"
    assert inventory(stacks.emulator) == before


def test_a_trust_in_everybody_at_github_is_refused(stacks: Stacks, github: Template) -> None:
    for statement in _trusts(github):
        del statement["Condition"]["StringEquals"][f"{ISSUER}:sub"]
    assert stacks.deploy("everybody", github) == "ROLLBACK_COMPLETE"
    assert f"{ISSUER}:sub" in stacks.failure("everybody")
    stacks.delete("everybody")


def test_an_account_has_one_provider_of_an_issuer(stacks: Stacks, github: Template) -> None:
    assert stacks.deploy("first", github) == "CREATE_COMPLETE"
    second = {"Resources": {"Provider": github["Resources"]["Provider"]}}
    assert stacks.deploy("second", second) == "ROLLBACK_COMPLETE"
    assert "EntityAlreadyExists" in stacks.failure("second")
    for name in ("second", "first"):
        stacks.delete(name)


def test_a_role_that_expects_a_provider_is_refused_without_it(
    stacks: Stacks, github: Template
) -> None:
    del github["Resources"]["Provider"]
    for item in github["Resources"].values():
        del item["DependsOn"]
    assert stacks.deploy("lonely", github) == "ROLLBACK_COMPLETE"
    assert PROVIDER in stacks.failure("lonely")
    stacks.delete("lonely")
