"""The stack `Bedrock` is deployed and destroyed; the emulator refuses what Bedrock refuses."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sashiko.aws.resources.names import key_alias
from tests.infra.variants import deployment_of, new_app, settings_of
from verification.deploy.assembly import bootstrap, written
from verification.deploy.deployed import deployed
from verification.deploy.inventory import inventory
from verification.deploy.process import REGION, Emulator, running
from verification.deploy.stacks import ACCOUNT, Stacks, Template, resource, template

BEFORE = ("Identity", "LakeFormationAccount", "DataLake")
STACK = "sashiko-dev-Bedrock"
NO_PROMPT = "--require-approval=never"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stack, and those that it needs."""
    from infra.stacks.bedrock import Bedrock
    from infra.stacks.data_lake import DataLake
    from infra.stacks.identity import Identity
    from infra.stacks.lake_formation_account import LakeFormationAccount

    app, deployment = new_app(), deployment_of(settings_of("serving"))
    identity, account = Identity(app, deployment), LakeFormationAccount(app, deployment)
    lake = DataLake(app, deployment)
    stacks = (identity, account, lake, Bedrock(app, deployment, lake=lake))
    for needed, stack in pairwise(stacks):
        stack.add_stack_dependency(needed)
    return written(app, tmp_path_factory.mktemp("assembly"))


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Emulator]:
    with running(ACCOUNT, tmp_path_factory.mktemp("home")) as emulator:
        bootstrap(emulator, tmp_path_factory.mktemp("bootstrap"), "serving")
        emulator.cdk("deploy", *BEFORE, "--exclusively", NO_PROMPT, folder=folder)
        yield emulator


def test_it_is_deployed_as_it_says_and_its_destroy_leaves_nothing(
    account: Emulator, folder: Path
) -> None:
    before = inventory(account)
    account.cdk("deploy", "Bedrock", "--exclusively", NO_PROMPT, folder=folder)

    own = [item for item in deployed(account) if item.stack == STACK]
    assert {item.type.split("::")[1] for item in own} == {"Bedrock", "IAM", "KMS"}
    assert [item for item in own if not item.answers()] == []
    assert [text for item in own for text in item.differences()] == []
    outputs = _outputs(account)
    bedrock = account.client("bedrock")
    version = bedrock.get_guardrail(
        guardrailIdentifier=outputs["GuardrailId"], guardrailVersion=outputs["GuardrailVersion"]
    )
    assert version["version"] == "1"
    (profile,) = bedrock.list_inference_profiles()["inferenceProfileSummaries"]
    tags = bedrock.list_tags_for_resource(resourceARN=profile["inferenceProfileArn"])["tags"]
    assert {(tag["key"], tag["value"]) for tag in tags} == {
        ("project", "sashiko"),
        ("environment", "dev"),
    }
    aliases = {item["AliasName"] for item in account.client("kms").list_aliases()["Aliases"]}
    assert key_alias(settings_of("serving"), "bedrock") in aliases

    account.cdk("destroy", "Bedrock", "--exclusively", "--force", folder=folder)

    assert inventory(account) == before
    assert bedrock.list_guardrails()["guardrails"] == []
    assert bedrock.list_inference_profiles()["inferenceProfileSummaries"] == []


def _outputs(account: Emulator) -> dict[str, str]:
    (stack,) = account.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    return {item["OutputKey"]: item["OutputValue"] for item in stack["Outputs"]}


def guardrail(**change: Any) -> Template:
    attacks = {"Type": "PROMPT_ATTACK", "InputStrength": "HIGH", "OutputStrength": "NONE"}
    properties = {
        "Name": "some-rules",
        "BlockedInputMessaging": "no",
        "BlockedOutputsMessaging": "no",
        "ContentPolicyConfig": {"FiltersConfig": [attacks]},
    }
    return resource("Rules", "AWS::Bedrock::Guardrail", properties | change)


def version(name: str) -> Template:
    of = {"GuardrailIdentifier": {"Fn::GetAtt": ["Rules", "GuardrailId"]}}
    return resource(name, "AWS::Bedrock::GuardrailVersion", of)


def test_a_version_stays_as_it_was_and_its_number_is_not_given_twice(account: Emulator) -> None:
    stacks, bedrock = Stacks(account), account.client("bedrock")
    stacks.deploy("rules", template(guardrail(), version("First")))
    (draft,) = bedrock.list_guardrails()["guardrails"]
    changed = guardrail(BlockedInputMessaging="not so")
    assert stacks.deploy("rules", template(changed, version("Second"))) == "UPDATE_COMPLETE"

    by_id = {"guardrailIdentifier": draft["id"]}
    versions = {item["version"] for item in bedrock.list_guardrails(**by_id)["guardrails"]}
    assert versions == {"DRAFT", "2"}
    second = bedrock.get_guardrail(**by_id, guardrailVersion="2")
    assert second["blockedInputMessaging"] == "not so"
    stacks.delete("rules")
    assert bedrock.list_guardrails()["guardrails"] == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {
                "ContentPolicyConfig": {
                    "FiltersConfig": [
                        {"Type": "PROMPT_ATTACK", "InputStrength": "HIGH", "OutputStrength": "LOW"}
                    ]
                }
            },
            "must be NONE",
        ),
        ({"ContentPolicyConfig": None}, "at least one policy"),
    ],
)
def test_a_guardrail_that_bedrock_refuses_fails(
    account: Emulator, change: dict[str, Any], reason: str
) -> None:
    stacks, body = Stacks(account), guardrail(**change)
    body["Properties"] = {key: item for key, item in body["Properties"].items() if item}
    assert stacks.deploy("refused", template(body)) == "ROLLBACK_COMPLETE"
    assert reason in stacks.failure("refused")
    stacks.delete("refused")


def test_a_profile_of_another_regions_model_fails(account: Emulator) -> None:
    stacks = Stacks(account)
    properties = {
        "InferenceProfileName": "some-profile",
        "ModelSource": {"CopyFrom": "arn:aws:bedrock:eu-west-1::foundation-model/amazon.x-v1:0"},
    }
    profile = resource("Profile", "AWS::Bedrock::ApplicationInferenceProfile", properties)
    assert REGION != "eu-west-1"
    assert stacks.deploy("profile", template(profile)) == "ROLLBACK_COMPLETE"
    assert "is no model of this region" in stacks.failure("profile")
    stacks.delete("profile")
