"""Add an environment: one file, of a tier; its stacks have its names and permissions."""

import json

import pytest

from sashiko.account.access.environment_access import Environment, read_environment
from sashiko.settings.environment import load_settings
from tests.e2e.changes.project import Project, assert_small
from tests.infra.variants import ROOT

COMMAND = "from sashiko.cli import main; main()"
STAGING = """\
tier: prod
account: "777788889999"
lake_formation: {account_stack: true}
serving: {min_instances: 2, max_instances: 4}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.copy(tmp_path_factory.mktemp("staging") / "project")
    page = (project.root / "docs/change.md").read_text(encoding="utf-8")
    assert "".join(f"+{line}\n" for line in STAGING.splitlines()) in page
    project.write("config/staging.yaml", STAGING)
    return project


@pytest.fixture(scope="module")
def staging(project: Project) -> Environment:
    """The new environment, by its templates, as `make synth ENV=staging` writes them."""
    context = json.loads((ROOT / "cdk.json").read_text())["context"] | {"env": "staging"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CDK_OUTDIR", "cdk.out")
        patch.setenv("CDK_CONTEXT_JSON", json.dumps(context))
        made = project.run("-m", "infra.app")
    assert made.returncode == 0, made.stderr
    settings = load_settings("staging", folder=project.root / "config")
    return read_environment(settings, folder=project.root / "cdk.out")


@pytest.mark.slow
def test_one_file_makes_its_stacks_under_its_own_names(project: Project, staging: Environment):
    assert_small(project)
    assert project.touched() == {"config/staging.yaml"}
    roles = {role.name for role in staging.principals}
    assert {"broker", "training", "registrar", "deployer"} <= roles
    templates = list((project.root / "cdk.out").glob("*.template.json"))
    assert len(templates) > 5
    for template in templates:
        text = template.read_text()
        assert "sashiko-staging" in text, template
        assert [name for name in ("sashiko-dev-", "sashiko-prod-") if name in text] == []


@pytest.mark.slow
def test_the_lake_has_a_tag_for_it_and_its_roles_read_its_own_buckets_alone(project, staging):
    account = json.loads((project.root / "cdk.out/LakeFormationAccount.template.json").read_text())[
        "Resources"
    ]
    (values,) = [
        tag["Properties"]["TagValues"]
        for tag in account.values()
        if tag["Type"] == "AWS::LakeFormation::Tag"
        and tag["Properties"]["TagKey"] == "sashiko-environment"
    ]
    assert values == ["dev", "prod", "staging"]
    (broker,) = [role for role in staging.principals if role.name == "broker"]
    place = "arn:aws:s3:::sashiko-{}-snapshots-777788889999-us-east-1/training/data/part.parquet"
    assert broker.may("s3:PutObject", place.format("staging"))
    assert not broker.may("s3:PutObject", place.format("prod"))


def test_the_tier_decides_what_is_strict(project: Project) -> None:
    line = "device_check: off\n"
    for tier, allowed in (("dev", True), ("prod", False)):
        project.write("config/staging.yaml", STAGING.replace("tier: prod", f"tier: {tier}") + line)
        done = project.run("-c", COMMAND, "definition", "--env", "staging")
        assert (done.returncode == 0) is allowed, done.stderr
    for part in ("config/staging.yaml", "`device_check`", "`prod`"):
        assert part in done.stderr
    project.write("config/staging.yaml", STAGING)
