"""Retained resources are adopted by the steps of docs/troubleshooting.md."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.scaffold.conftest import wheel
from tests.e2e.scaffold.made import Made
from tests.e2e.scaffold.projects import new
from verification.deploy import inventory
from verification.deploy.assembly import bootstrap, synthesize
from verification.deploy.deployed import deployed
from verification.deploy.process import REGION, Emulator, running
from verification.deploy.stacks import Stacks

__all__ = ["wheel"]

ACCOUNT = "444455556666"
BUCKET = f"sashiko-prod-curated-{ACCOUNT}-{REGION}"


@pytest.fixture
def prod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(ACCOUNT, tmp_path_factory.mktemp("home")) as emulator:
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
def test_what_stayed_is_taken_back(prod: Emulator, tmp_path_factory: Any) -> None:
    folder = synthesize(tmp_path_factory.mktemp("prod"), "prod")
    bootstrap(prod, tmp_path_factory.mktemp("bootstrap"), "prod")
    deploy(prod, folder)
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

    assert "already exists" in deploy(prod, folder, status=1)

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


ON = "packs: [monitoring, bedrock]"
BEDROCK = "bedrock: {enabled: true}\n"
ARTIFACTS = f"loan-triage-prod-artifacts-{ACCOUNT}-{REGION}"


@pytest.mark.slow
def test_a_pack_that_was_taken_out_is_adopted_again(
    prod: Emulator, tmp_path: Path, wheel: Path
) -> None:
    made = Made(tmp_path / "loan-triage", "prod")
    done = new(made.root, "--defaults", "--packs", "monitoring,bedrock", wheel=wheel)
    assert done.returncode == 0, done.stderr
    base, own = made.root / "config/base.yaml", made.root / "config/prod.yaml"
    own.write_text(own.read_text() + BEDROCK)
    with_packs = made.synthesize(tmp_path / "with")
    made.bootstrap(prod, with_packs)
    deploy(prod, with_packs)
    s3 = prod.client("s3")
    data = [f"{folder}/complaints/part-0" for folder in ("monitor", "bedrock")]
    for key in data:
        s3.put_object(Bucket=ARTIFACTS, Key=key, Body=b"rows")
    before = inventory.identities(prod)
    for role in ("bedrock-import", "monitor", "monitor-publisher", "privacy-officer"):
        assert f"role loan-triage-prod-{role}" in before

    # Its own stack first: nothing would delete it later.
    unprotect(prod)
    prod.cdk("destroy", "Bedrock", "--force", folder=with_packs)
    settings = {file: file.read_text() for file in (base, own)}
    base.write_text(re.sub(r"(?m)^bedrock: .*\n", "", settings[base].replace(ON, "packs: []")))
    own.write_text(settings[own].replace(BEDROCK, ""))
    without = made.synthesize(tmp_path / "without")
    made.bootstrap(prod, without)
    deploy(prod, without)
    assert Stacks(prod).replacements() == []
    assert "differences: 0" in prod.cdk("diff", "--all", "--fail", folder=without)
    # Nothing was deleted: the roles, the key, the table.
    assert inventory.identities(prod) == before
    assert not [item for item in deployed(prod) if "Bedrock" in item.stack + item.logical_id]
    assert "monitor" not in json.dumps([item.physical_id for item in deployed(prod)])

    for file, text in settings.items():
        file.write_text(text)
    again = made.synthesize(tmp_path / "again")
    made.bootstrap(prod, again)
    assert "already exists" in deploy(prod, again, status=1)
    template = json.loads((again / "cdk.out/Bedrock.template.json").read_text())
    mapping = again / "Bedrock.json"
    mapping.write_text(json.dumps(identities(prod, template)))
    prod.cdk("import", "Bedrock", f"--resource-mapping={mapping}", "--force", folder=again)
    deploy(prod, again, "--import-existing-resources")

    assert "differences: 0" in prod.cdk("diff", "--all", "--fail", folder=again)
    assert inventory.identities(prod) == before
    resources = deployed(prod)
    assert [item for item in resources if not item.answers()] == []
    assert [text for item in resources for text in item.differences()] == []
    for key in data:
        assert s3.get_object(Bucket=ARTIFACTS, Key=key)["Body"].read() == b"rows"
