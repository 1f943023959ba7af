"""The stand-in for CodePipeline: it locks, supersedes, waits and retries as AWS's does."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from verification.deploy.accounts.organization import Organization
from verification.deploy.accounts.organization import running as organized
from verification.deploy.process import REGION, Emulator, running
from verification.deploy.releases.builds import Builds, Repository, git
from verification.deploy.releases.company import answer, provision, sign_in
from verification.deploy.releases.pipeline import Pipeline

ACCOUNT, NAME = "777788889999", "small"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/small"
ARN = f"arn:aws:codepipeline:{REGION}:{ACCOUNT}:{NAME}"
CONNECTION = f"arn:aws:codeconnections:{REGION}:{ACCOUNT}:connection/one"
# A file of the repository says whether a build fails, and what the next one is given.
COMMANDS: Mapping[str, list[str]] = {
    "test": ["true"],
    "synth": ["set -e", "test ! -e broken", "git rev-parse HEAD > assembly.tar",
              "export ASSEMBLY=$(sha256sum assembly.tar | cut -d ' ' -f 1)"],
    "deploy": ["set -e", 'echo "$ASSEMBLY  assembly.tar" | sha256sum --check',
               "test ! -e ../../refuses",
               "if test -e ../../hangs; then touch ../../hanging; sleep 600; fi"],
}  # fmt: skip


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(ACCOUNT, tmp_path_factory.mktemp("home")) as instance:
        _make_role(instance, "codepipeline.amazonaws.com", "codebuild.amazonaws.com")
        instance.client("s3").create_bucket(Bucket="small-artifacts")
        instance.client("sns").create_topic(Name="alerts")
        provision(instance, "Release", ("codepipeline:GetPipelineState", ARN),
                  ("codepipeline:PutApprovalResult", f"{ARN}/*"),
                  ("codepipeline:RetryStageExecution", f"{ARN}/*"))  # fmt: skip
        for name, commands in COMMANDS.items():
            _make_project(instance, name, commands)
        yield instance


def _make_role(account: Emulator, *services: str) -> None:
    iam = account.client("iam")
    trust = [
        {"Effect": "Allow", "Principal": {"Service": name}, "Action": "sts:AssumeRole"}
        for name in services
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": trust})
    iam.create_role(RoleName="small", AssumeRolePolicyDocument=document)
    actions = ["codebuild:StartBuild", "codeconnections:UseConnection", "s3:*", "sns:Publish"]
    allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName="small", PolicyName="own", PolicyDocument=document)


def _make_project(account: Emulator, name: str, commands: list[str]) -> None:
    exports = ["ASSEMBLY"] if name == "synth" else []
    spec = {
        "version": 0.2,
        "env": {"shell": "bash", "exported-variables": exports},
        "phases": {"build": {"commands": commands}},
        **({"artifacts": {"files": ["assembly.tar"]}} if name == "synth" else {}),
    }
    account.client("codebuild").create_project(
        name=name,
        source={"type": "CODEPIPELINE", "buildspec": json.dumps(spec)},
        artifacts={"type": "CODEPIPELINE"},
        environment={
            "type": "LINUX_CONTAINER",
            "image": "x",
            "computeType": "BUILD_GENERAL1_SMALL",
        },
        serviceRole=ROLE,
    )


@dataclass
class Small:
    """A pipeline of four stages, which waits for approval before the last one."""

    pipeline: Pipeline
    repository: Repository
    organization: Organization
    emulator: Emulator
    builds: Builds

    def push(self, name: str, *, broken: bool = False) -> Any:
        """Merges a change and runs what can."""
        files = {"change": name, **({"broken": ""} if broken else {})}
        self.repository.commit(name, branch=name, files=files)
        self.repository.merge(name)
        return self.pipeline.push()

    def deploy(self, name: str) -> Any:
        """Merges a change, which a person approves."""
        execution = self.push(name)
        self.approve()
        return execution

    def approve(self) -> None:
        """A person answers what waits, and what can run does."""
        answer(self.person(), NAME)
        self.pipeline.run()

    def person(self) -> Emulator:
        return sign_in(self.organization, self.emulator, "Release", "ada")


def _action(name: str, provider: str, settings: Any, **more: Any) -> dict[str, Any]:
    categories = {"CodeBuild": "Build", "Manual": "Approval"}
    kind = {"category": categories.get(provider, "Source"), "owner": "AWS",
            "provider": provider, "version": "1"}  # fmt: skip
    return {"name": name, "actionTypeId": kind, "configuration": settings, **more}


def structure() -> dict[str, Any]:
    source = {"ConnectionArn": CONNECTION, "FullRepositoryId": "acme/triage", "BranchName": "main",
              "OutputArtifactFormat": "CODEBUILD_CLONE_REF"}  # fmt: skip
    digest = [{"name": "ASSEMBLY", "value": "#{Synth.ASSEMBLY}", "type": "PLAINTEXT"}]
    deploy = {"ProjectName": "deploy", "EnvironmentVariables": json.dumps(digest)}
    approval = {"CustomData": "commit #{Source.CommitId}",
                "NotificationArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:alerts"}  # fmt: skip
    read, written = [{"name": "Source"}], [{"name": "Synth"}]
    stages = [
        ("Source", _action("source", "CodeStarSourceConnection", source, namespace="Source",
                           outputArtifacts=read)),
        ("Build", _action("synth", "CodeBuild", {"ProjectName": "synth"}, namespace="Synth",
                          inputArtifacts=read, outputArtifacts=written)),
        ("approval", _action("approve", "Manual", approval)),
        ("deploy", _action("deploy", "CodeBuild", deploy, inputArtifacts=written)),
    ]  # fmt: skip
    return {
        "name": NAME,
        "roleArn": ROLE,
        "artifactStore": {"type": "S3", "location": "small-artifacts"},
        "stages": [{"name": name, "actions": [action]} for name, action in stages],
    }


@pytest.fixture
def small(emulator: Emulator, tmp_path: Path) -> Iterator[Small]:
    folder = tmp_path / "host"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "commit", "--quiet", "--allow-empty", "--message=First")
    repository, api = Repository(folder), emulator.client("codepipeline")
    api.create_pipeline(pipeline=structure())
    with organized([emulator]) as organization:
        builds = Builds(
            organization, emulator, repository, tmp_path / "builds", connection=CONNECTION
        )
        pipeline = Pipeline(organization, emulator, repository, builds, name=NAME)
        yield Small(pipeline, repository, organization, emulator, builds)
    api.delete_pipeline(name=NAME)


def test_a_merge_waits_for_a_person_and_is_then_deployed(small: Small) -> None:
    execution = small.push("one")

    assert execution.status == "InProgress"
    (topic, message) = small.organization.messages[0]
    assert (topic.rpartition(":")[2], message) == ("alerts", f"commit {execution.commit}")
    assert answer(small.person(), NAME) == message
    small.pipeline.run()
    assert execution.status == "Succeeded"
    assert execution.approvals[0].by.endswith("/ada")
    # What was synthesized once is what was deployed.
    assert [name for name, _ in small.pipeline.actions.builds] == ["synth", "deploy"]
    with pytest.raises(ValueError, match="not enough values"):
        answer(small.person(), NAME)


def test_nobody_approves_without_the_permission(small: Small) -> None:
    small.push("one")
    source = f"arn:aws:codebuild:{REGION}:{ACCOUNT}:project/deploy"
    session = small.organization.service("codebuild", ROLE, source=source)
    build = replace(small.emulator, url=small.organization.url, credentials=session.variables())
    with pytest.raises(ClientError, match="not authorized to perform: codepipeline:GetPipeline"):
        answer(build, NAME)
    with pytest.raises(ClientError, match="not authorized to perform: codepipeline:PutApproval"):
        build.client("codepipeline").put_approval_result(
            pipelineName=NAME, stageName="approval", actionName="approve", token="0",
            result={"status": "Approved", "summary": ""},
        )  # fmt: skip


def test_of_two_that_wait_the_later_one_goes_on(small: Small) -> None:
    """The execution that waits for a person's approval stays the one that waits."""
    first = small.push("one")
    second = small.push("two")
    third = small.push("three")

    assert [item.status for item in (first, second, third)] == [
        "InProgress", "Superseded", "InProgress",
    ]  # fmt: skip
    assert answer(small.person(), NAME) == f"commit {first.commit}"
    small.pipeline.run()
    assert (first.status, third.status) == ("Succeeded", "InProgress")
    assert answer(small.person(), NAME) == f"commit {third.commit}"
    small.pipeline.run()
    assert third.status == "Succeeded"


def test_a_rejection_lets_the_next_one_through(small: Small) -> None:
    first, second = small.push("one"), small.push("two")
    answer(small.person(), NAME, status="Rejected")
    small.pipeline.run()
    assert (first.status, first.failure[0]) == ("Failed", "approval")
    assert answer(small.person(), NAME) == f"commit {second.commit}"


def _retry(small: Small, execution: Any) -> None:
    small.person().client("codepipeline").retry_stage_execution(
        pipelineName=NAME,
        stageName=execution.failure[0],
        pipelineExecutionId=execution.id,
        retryMode="FAILED_ACTIONS",
    )
    small.pipeline.run()


def test_a_stage_that_failed_is_retried_until_another_one_enters_it(
    small: Small, tmp_path: Path
) -> None:
    obstacle = tmp_path / "builds/refuses"
    obstacle.touch()
    first = small.deploy("one")
    assert (first.status, first.failure[:2]) == ("Failed", ("deploy", "deploy"))
    obstacle.unlink()
    _retry(small, first)
    assert first.status == "Succeeded"

    obstacle.touch()
    second, _ = small.deploy("two"), small.deploy("three")
    with pytest.raises(ClientError, match="Unable to retry"):
        _retry(small, second)


def test_a_changed_structure_cancels_what_is_under_way(small: Small) -> None:
    first = small.push("one")
    changed = structure()
    changed["stages"][2]["name"] = "asking"
    small.emulator.client("codepipeline").update_pipeline(pipeline=changed)
    second = small.push("two")
    assert (first.status, second.status) == ("Cancelled", "InProgress")
    (stage,) = small.person().client("codepipeline").get_pipeline_state(name=NAME)["stageStates"]
    assert stage["stageName"] == "asking"
