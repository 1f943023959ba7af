"""The tools' account in the emulator: bootstrapped, deployed, changed, queried, destroyed."""

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.infra.delivery import CONNECTION, DELIVERY, tools_of, write_stages
from tests.infra.variants import new_app
from verification.deploy.accounts.organization import running as organized
from verification.deploy.assembly import written
from verification.deploy.process import Emulator, running
from verification.deploy.releases.builds import Builds
from verification.deploy.releases.repository import Repository
from verification.deploy.stacks import Stacks, Template, resource, template

ACCOUNT = "777788889999"
NAME = "sashiko-delivery"


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The emulator of the tools' account."""
    with running(ACCOUNT, tmp_path_factory.mktemp("home")) as instance:
        yield instance


def _synthesize(folder: Path, tools: Any) -> Path:
    from infra.app import add_delivery
    from sashiko.aws.operations.templates import read_templates
    from sashiko_cdk.bootstrap.policies import write_policies

    (folder / "config").mkdir(parents=True)
    write_stages(folder / "config")
    app = new_app()
    add_delivery(app, tools)
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
        archive.add(folder / "cdk.json", "cdk.json")
        archive.add(folder / "config", "config")
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("assembly.tar", content.getvalue())
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    return packed.getvalue(), {"ASSEMBLY": digest}


def _bootstrap(emulator: Emulator, folder: Path, templates: Path) -> None:
    """Prepares the account as `make bootstrap ENV=delivery` does."""
    from sashiko.aws.operations.templates import read_templates
    from sashiko_cdk.bootstrap.policies import add_policies, bootstrap_options

    app, tools = new_app(), tools_of()
    stacks = [read_templates(tools.settings, folder=templates)]
    add_policies(app, tools.settings, stacks, tools=tools)
    folder.mkdir()
    written(app, folder)
    emulator.cdk("deploy", "--require-approval=never", folder=folder)
    emulator.cdk("bootstrap", *bootstrap_options(tools.settings), folder=folder)


def test_the_pipeline_is_deployed_changed_and_destroyed_without_a_rest(
    tools: Emulator, builds: Builds, tmp_path: Path
) -> None:
    folder = _synthesize(tmp_path / "first", tools_of())
    options = ("broadening", "--env", "delivery")
    assert "run `make bootstrap ENV=delivery`" in tools.sashiko(*options, folder=folder)
    _bootstrap(tools, tmp_path / "bootstrap", folder / "cdk.out")
    first = tools.sashiko(*options, folder=folder)
    assert "iam" in first and "make bootstrap" not in first  # nothing was allowed before

    tools.cdk("deploy", "--all", "--require-approval=never", folder=folder)
    pipelines = tools.client("codepipeline")
    pipeline = pipelines.get_pipeline(name=NAME)["pipeline"]
    assert pipeline["pipelineType"] == "V2"
    assert [stage["name"] for stage in pipeline["stages"]][-1] == "prod-deploy"
    assert "nothing in delivery broadens" in tools.sashiko(*options, folder=folder)
    assert "no differences" in tools.cdk("diff", folder=folder)

    # Without the stage `staging`: fewer roles, and stages that differ.
    stages = tuple(item for item in tools_of().stages if item.environment != "staging")
    changed = _synthesize(tmp_path / "second", replace(tools_of(), stages=stages))
    short = DELIVERY.replace("[dev, staging, prod]", "[dev, prod]")
    (changed / "config/delivery.yaml").write_text(short)
    lines = tools.sashiko(*options, folder=changed).splitlines()
    assert [line.split()[0] for line in lines] == ["delivery"]
    assert lines[0].endswith("changes Stages")
    starts = _starts(tools)
    # The pipeline's own builds: one says that a person must look, the other deploys.
    source, variables = _packed(changed)
    difference = builds.run(f"{NAME}-delivery-difference", variables, source=source)
    assert difference.status == "SUCCEEDED", difference.output
    assert difference.exports["BROADENS"] == "yes"
    assert "1 changes broaden" in difference.exports["SUMMARY"]
    deploy = builds.run(f"{NAME}-delivery-deploy", variables, source=source)
    assert deploy.status == "SUCCEEDED", deploy.output
    names = [stage["name"] for stage in pipelines.get_pipeline(name=NAME)["pipeline"]["stages"]]
    assert "staging-deploy" not in names and "prod-approval" in names
    # An update starts an execution again, with the new stages.
    assert _starts(tools) == starts + 1

    artifacts = f"{NAME}-artifacts-{ACCOUNT}-us-east-1"
    tools.client("s3").put_object(Bucket=artifacts, Key=f"{NAME}/Synth/x", Body=b"x")
    tools.sashiko("empty", "--env", "delivery", "--yes", folder=changed)
    tools.cdk("destroy", "--all", "--force", folder=changed)
    assert pipelines.list_pipelines()["pipelines"] == []
    buckets = tools.client("s3").list_buckets()["Buckets"]
    assert [item["Name"] for item in buckets if item["Name"].startswith(NAME)] == []
    roles = tools.client("iam").list_roles()["Roles"]
    assert [role["RoleName"] for role in roles if role["RoleName"].startswith(NAME)] == []


def _starts(tools: Emulator) -> int:
    executions = tools.client("codepipeline").list_pipeline_executions(pipelineName=NAME)
    return len(executions["pipelineExecutionSummaries"])


ROLE = resource(
    "Role",
    "AWS::IAM::Role",
    {
        "RoleName": "some-pipeline",
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "codepipeline.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                }
            ],
        },
    },
)


def _action(name: str, category: str, provider: str, **members: Any) -> Template:
    kind = {"Category": category, "Owner": "AWS", "Provider": provider, "Version": "1"}
    return {"Name": name, "ActionTypeId": kind, "Configuration": {}, **members}


def _pipeline() -> Template:
    source = _action(
        "source",
        "Source",
        "CodeStarSourceConnection",
        Namespace="Source",
        OutputArtifacts=[{"Name": "Source"}],
    )
    build = _action("build", "Build", "CodeBuild", InputArtifacts=[{"Name": "Source"}])
    rule = {
        "Name": "broadens",
        "RuleTypeId": {
            "Category": "Rule", "Owner": "AWS", "Provider": "VariableCheck", "Version": "1"
        },
        "Configuration": {"Operator": "NE", "Value": "no", "Variable": "#{Source.CommitId}"},
    }  # fmt: skip
    entry = {"Conditions": [{"Result": "SKIP", "Rules": [rule]}]}
    properties = {
        "Name": "some-pipeline",
        "PipelineType": "V2",
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/some-pipeline",
        "ArtifactStore": {"Type": "S3", "Location": "some-artifacts"},
        "Stages": [
            {"Name": "Source", "Actions": [source]},
            {"Name": "Build", "Actions": [build], "BeforeEntry": entry},
        ],
    }
    return resource("It", "AWS::CodePipeline::Pipeline", properties, DependsOn=["Role"])


REFUSED: dict[str, tuple[tuple[Any, ...], Any, str]] = {
    "input nobody writes": (
        ("Stages", 1, "Actions", 0, "InputArtifacts", 0, "Name"),
        "Other",
        "reads Other, which no earlier stage writes",
    ),
    "variable nobody has": (
        ("Stages", 1, "Actions", 0, "Configuration"),
        {"ProjectName": "#{Later.NAME}"},
        "takes a variable of Later",
    ),
    "condition of the first type": (("PipelineType",), "V1", "conditions need the type V2"),
    "operator": (
        ("Stages", 1, "BeforeEntry", "Conditions", 0, "Rules", 0, "Configuration", "Operator"),
        "NOT",
        "there is no operator NOT",
    ),
    "rule that cannot skip": (
        ("Stages", 1, "BeforeEntry", "Conditions", 0, "Rules", 0, "RuleTypeId", "Provider"),
        "CloudWatchAlarm",
        "SKIP takes LambdaInvoke and VariableCheck alone",
    ),
    "two stages of one name": (("Stages", 1, "Name"), "Source", "two stages have one name"),
    "artifact's name": (
        ("Stages", 0, "Actions", 0, "OutputArtifacts", 0, "Name"),
        "a.b",
        "the artifact's name a.b is not valid",
    ),
    "role of nobody": (("RoleArn",), f"arn:aws:iam::{ACCOUNT}:role/none", "none"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_emulator_refuses_a_structure_that_codepipeline_refuses(
    tools: Emulator, name: str
) -> None:
    path, value, reason = REFUSED[name]
    pipeline = deepcopy(_pipeline())
    place = pipeline["Properties"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    stacks = Stacks(tools)
    assert stacks.deploy("some", template(ROLE, pipeline)) == "ROLLBACK_COMPLETE"
    assert reason in stacks.failure("some")
    stacks.delete("some")


def test_the_emulator_takes_the_structure_that_these_change(tools: Emulator) -> None:
    stacks = Stacks(tools)
    assert stacks.deploy("some", template(ROLE, _pipeline())) == "CREATE_COMPLETE"
    pipeline = tools.client("codepipeline").get_pipeline(name="some-pipeline")["pipeline"]
    assert pipeline["stages"][0]["actions"][0]["namespace"] == "Source"
    assert stacks.delete("some") == "DELETE_COMPLETE"
