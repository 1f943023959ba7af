"""Retained resources are adopted by the steps of docs/troubleshooting.md."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from verification.deploy.assembly import bootstrap, synthesize
from verification.deploy.deployed import deployed
from verification.deploy.process import REGION, Emulator, running

ACCOUNT = "444455556666"
BUCKET = f"sashiko-prod-curated-{ACCOUNT}-{REGION}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(tmp_path_factory.mktemp("prod"), "prod")


@pytest.fixture(scope="module")
def prod(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An account that holds the prod environment."""
    with running(ACCOUNT, tmp_path_factory.mktemp("home")) as emulator:
        bootstrap(emulator, tmp_path_factory.mktemp("bootstrap"), "prod")
        deploy(emulator, folder)
        yield emulator


def deploy(prod: Emulator, folder: Path, *options: str, status: int = 0) -> str:
    return prod.cdk(
        "deploy", "--all", "--require-approval=never", *options, folder=folder, status=status
    )


def unprotect(prod: Emulator) -> None:
    api = prod.client("cloudformation")
    for stack in api.describe_stacks()["Stacks"]:
        name = stack["StackName"]
        api.update_termination_protection(StackName=name, EnableTerminationProtection=False)


def identities(prod: Emulator, template: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The answers to `cdk import`: the ids of resources that no name in it identifies."""
    aliases = prod.client("kms").list_aliases()["Aliases"]
    keys = {item["AliasName"]: item.get("TargetKeyId", "") for item in aliases}
    key_ids: dict[str, dict[str, str]] = {}
    for body in template["Resources"].values():
        properties = body.get("Properties", {})
        if not body.get("DeletionPolicy", "").startswith("Retain"):
            continue
        if body["Type"] == "AWS::KMS::Alias":
            key = properties["TargetKeyId"]["Fn::GetAtt"][0]
            key_ids[key] = {"KeyId": keys[properties["AliasName"]]}
    return key_ids


@pytest.mark.slow
def test_what_stayed_is_taken_back(prod: Emulator, folder: Path) -> None:
    output = prod.cdk("destroy", "--all", "--force", folder=folder, status=1)
    assert "TerminationProtection is enabled" in output
    unprotect(prod)
    before = {(item.stack, item.logical_id): item.physical_id for item in deployed(prod)}
    kinds = {(item.stack, item.logical_id): item.type for item in deployed(prod)}
    prod.client("s3").put_object(Bucket=BUCKET, Key="complaints/part-0", Body=b"rows")
    prod.cdk("destroy", "--all", "--force", folder=folder)
    assert deployed(prod) == []
    policy = prod.client("s3").get_bucket_policy(Bucket=BUCKET)["Policy"]
    assert "aws:PrincipalArn" in policy  # without its policy IAM alone protects the lake

    output = deploy(prod, folder, status=1)
    assert "already exists" in output

    unprotect(prod)
    for stack in ("Network", "DataLake", "Platform"):
        template = json.loads((folder / f"cdk.out/{stack}.template.json").read_text())
        mapping = folder / f"{stack}.json"
        mapping.write_text(json.dumps(identities(prod, template)))
        prod.cdk("import", stack, f"--resource-mapping={mapping}", "--force", folder=folder)
    deploy(prod, folder, "--import-existing-resources")

    assert "differences: 0" in prod.cdk("diff", "--all", "--fail", folder=folder)
    resources = deployed(prod)
    assert [item for item in resources if not item.answers()] == []
    after = {(item.stack, item.logical_id): item.physical_id for item in resources}
    for place, kind in kinds.items():
        if kind in ("AWS::S3::Bucket", "AWS::KMS::Key", "AWS::Glue::Table"):
            assert after[place] == before[place]
    content = prod.client("s3").get_object(Bucket=BUCKET, Key="complaints/part-0")["Body"].read()
    assert content == b"rows"
