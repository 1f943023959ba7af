"""A pack is taken out of a deployed project and named again: its data and keys are as before."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.scaffold.conftest import wheel
from tests.e2e.scaffold.made import Made
from tests.e2e.scaffold.projects import new
from verification.deploy.deployed import deployed
from verification.deploy.inventory import identities
from verification.deploy.process import REGION, Emulator, running
from verification.deploy.stacks import Stacks
from verification.deploy.test_adoption import identities as answers
from verification.deploy.test_adoption import unprotect

__all__ = ["wheel"]
ACCOUNT = "444455556666"
ON = "packs: [monitoring, bedrock]"
BEDROCK = (
    'bedrock: {enabled: true, guardrail_difference: 0.1, models: ["amazon.nova-micro-v1:0"]}\n'
)
ARTIFACTS = f"loan-triage-prod-artifacts-{ACCOUNT}-{REGION}"
OWN_ROLES = {
    f"role loan-triage-prod-{name}"
    for name in ("bedrock-import", "monitor", "monitor-publisher", "privacy-officer")
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Made:
    folder = tmp_path_factory.mktemp("made") / "loan-triage"
    done = new(folder, "--defaults", "--answer", "packs=monitoring,bedrock", wheel=wheel)
    assert done.returncode == 0, done.stderr
    prod = folder / "config/prod.yaml"
    prod.write_text(prod.read_text() + BEDROCK)
    return Made(folder, "prod")


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(ACCOUNT, tmp_path_factory.mktemp("home")) as emulator:
        yield emulator


@pytest.mark.slow
def test_a_pack_that_was_taken_out_is_adopted_again(prod: Emulator, made: Made, tmp_path: Path):
    root = made.root
    with_packs = made.synthesize(tmp_path / "with")
    made.bootstrap(prod, with_packs)
    deploy = ("deploy", "--all", "--require-approval=never")
    prod.cdk(*deploy, folder=with_packs)
    s3 = prod.client("s3")
    data = [f"{folder}/complaints/part-0" for folder in ("monitor", "bedrock")]
    for key in data:
        s3.put_object(Bucket=ARTIFACTS, Key=key, Body=b"rows")
    before = identities(prod)
    assert before.keys() >= OWN_ROLES

    # Its own stack first: nothing would delete it later.
    unprotect(prod)
    prod.cdk("destroy", "Bedrock", "--force", folder=with_packs)
    base, own = root / "config/base.yaml", root / "config/prod.yaml"
    settings = {file: file.read_text() for file in (base, own)}
    base.write_text(re.sub(r"(?m)^bedrock: .*\n", "", settings[base].replace(ON, "packs: []")))
    own.write_text(settings[own].replace(BEDROCK, ""))
    without = made.synthesize(tmp_path / "without")
    made.bootstrap(prod, without)
    prod.cdk(*deploy, folder=without)
    assert Stacks(prod).replacements() == []
    assert "differences: 0" in prod.cdk("diff", "--all", "--fail", folder=without)
    # Nothing was deleted: the roles, the key, the table.
    assert identities(prod) == before
    assert not [item for item in deployed(prod) if "Bedrock" in item.stack + item.logical_id]
    assert "monitor" not in json.dumps([item.physical_id for item in deployed(prod)])

    for file, text in settings.items():
        file.write_text(text)
    again = made.synthesize(tmp_path / "again")
    made.bootstrap(prod, again)
    assert "already exists" in prod.cdk(*deploy, folder=again, status=1)
    template = json.loads((again / "cdk.out/Bedrock.template.json").read_text())
    mapping = again / "Bedrock.json"
    mapping.write_text(json.dumps(answers(prod, template)))
    prod.cdk("import", "Bedrock", f"--resource-mapping={mapping}", "--force", folder=again)
    prod.cdk(*deploy, "--import-existing-resources", folder=again)

    assert "differences: 0" in prod.cdk("diff", "--all", "--fail", folder=again)
    assert identities(prod) == before
    resources = deployed(prod)
    assert [item for item in resources if not item.answers()] == []
    assert [text for item in resources for text in item.differences()] == []
    for key in data:
        assert s3.get_object(Bucket=ARTIFACTS, Key=key)["Body"].read() == b"rows"
