"""A delivery that fails, is killed or meets another one leaves what the next run repairs.

The pipeline and the accounts are those of test_three_accounts.py; what is deployed is small. Each
message is taken at its word: the command that it ends with is the one that is run.
"""

import json
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from verification.deploy.accounts.sessions import Session, Wire
from verification.deploy.process import REGION, Emulator
from verification.deploy.releases.company import (
    ACCOUNTS,
    DELIVERY,
    PIPELINE,
    SETTINGS,
    SMALL_APP,
    Company,
    answer,
    new_company,
)
from verification.deploy.releases.pipeline import Execution, Pipeline

pytestmark = pytest.mark.slow
PARTS = ("First", "Second")


@dataclass(frozen=True)
class Team:
    """A company whose project is delivered, and its pipeline."""

    company: Company
    pipeline: Pipeline

    def merge(self, text: str) -> Execution:
        """Merges a change of what is deployed, and lets the pipeline run."""
        branch = f"change-{len(self.pipeline.executions)}"
        repository = self.company.repository
        repository.commit(text, branch=branch, files={"infra/text": text})
        repository.merge(branch)
        return self.pipeline.push()

    def person(self) -> Emulator:
        return self.company.sign_in("delivery", "Release", "grace")

    def approve(self, execution: Execution, *, before: str = "") -> None:
        """A person allows what the execution asks, each of which names its commit.

        Of the approval `before` the person is not asked yet.
        """
        assert execution.waits_for, execution.failure
        while (waiting := execution.waits_for) and waiting.stage != before:
            assert execution.commit in answer(self.person(), PIPELINE, stage=waiting.stage)
            self.pipeline.run()

    def message(self) -> str:
        """Returns the newest message of the topic."""
        return self.company.organization.messages[-1][1]

    def follow(self, message: str) -> None:
        """Runs the command that a message ends with, and lets the pipeline run."""
        command = shlex.split(message.rpartition(": ")[2])
        self.company.run(self.person(), *command)
        self.pipeline.run()

    def texts(self, env: str) -> list[str]:
        """Returns what is deployed in an account, part by part."""
        api = self.company.accounts[env].client("cloudwatch")
        bodies = [
            api.get_dashboard(DashboardName=f"sashiko-{env}-{part}")["DashboardBody"]
            for part in PARTS
        ]
        return [json.loads(item)["widgets"][0]["properties"]["markdown"] for item in bodies]

    def check(self, text: str) -> None:
        """Both accounts have a text, and no stack is left in between."""
        for env in ("dev", "prod"):
            assert self.texts(env) == [text, text]
            api = self.company.accounts[env].client("cloudformation")
            states = {item["StackStatus"] for item in api.describe_stacks()["Stacks"]}
            assert states <= {"CREATE_COMPLETE", "UPDATE_COMPLETE"}


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """Accounts that are bootstrapped, and a first delivery that a person allowed."""
    files = {"infra/app.py": SMALL_APP, "infra/text": "begin"}
    with new_company(tmp_path_factory.mktemp("company"), files) as company:
        settings = {**SETTINGS, "config/delivery.yaml": DELIVERY}
        for name, text in settings.items():
            (company.desk / name).write_text(text)
        for env in ACCOUNTS:
            company.make("bootstrap", env)
        company.make("deploy", "delivery")
        team = Team(company, company.pipeline())
        team.pipeline.run()
        assert "there is no config/delivery.yaml" in team.pipeline.newest.failure[2]
        company.repository.commit("Deliver", branch="deliver", files=settings)
        company.repository.merge("deliver")
        execution = team.pipeline.push()
        assert team.texts("dev") == ["begin", "begin"]
        team.approve(execution)
        assert [item.stage for item in execution.approvals] == [
            "delivery-approval",
            "prod-approval",
        ]
        assert execution.status == "Succeeded", execution.failure
        team.check("begin")
        yield team


@pytest.fixture
def kill(team: Team) -> Iterator[Callable[[str, str], None]]:
    """Kills the build that asks an account for something, before it gets its answer."""
    organization = team.company.organization

    def at(env: str, action: str) -> None:
        def watch(session: Session, wire: Wire) -> None:
            if (session.account, wire.action) == (ACCOUNTS[env], action):
                organization.watch = lambda *_: None
                team.company.builds.kill()

        organization.watch = watch

    yield at
    organization.watch = lambda *_: None


# Before a stack is compared, before its change is planned, and in the middle of it.
KILLS = [
    (env, stage, f"cloudformation:{operation}")
    for env in ("dev", "prod")
    for stage, operation in (
        ("difference", "GetTemplate"),
        ("deploy", "CreateChangeSet"),
        ("deploy", "ExecuteChangeSet"),
    )
]


def test_a_build_that_is_killed_in_any_stage_is_run_again(
    team: Team, kill: Callable[[str, str], None]
) -> None:
    execution = None
    for env, stage, action in KILLS:
        kill(env, action)
        if execution is None:
            execution = team.merge("killed")
        else:
            team.follow(team.message())
        if execution.waits_for:
            team.approve(execution)
        assert (execution.status, execution.failure[0]) == ("Failed", f"{env}-{stage}")
        assert team.pipeline.actions.builds[-1][1].status == "STOPPED"
        assert team.message().startswith(f"{PIPELINE}: {env}-{stage} failed")
    assert execution
    team.follow(team.message())
    assert execution.status == "Succeeded"
    team.check("killed")


def test_a_synth_that_is_killed_is_run_again(team: Team) -> None:
    builds, last = team.company.builds, team.company.builds.count
    merging = threading.Thread(target=team.merge, args=("synth",))
    merging.start()
    synth = builds.folder / f"{last + 2}-{PIPELINE}-synth"  # after the test
    while not (synth / "src/cdk.out/dev/manifest.json").exists():
        time.sleep(0.05)
    builds.kill()
    merging.join()
    execution = team.pipeline.newest
    assert execution.failure[:2] == ("Build", "synth")
    team.follow(team.message())
    team.approve(execution)
    team.check("synth")


def test_a_synth_that_fails_is_repaired_by_a_revert(team: Team) -> None:
    repository = team.company.repository
    before = team.texts("prod")[0]
    wrong = SETTINGS["config/prod.yaml"].replace("tier: prod", "tier: production")
    repository.commit("Wrong", branch="wrong", files={"config/prod.yaml": wrong})
    repository.merge("wrong")
    execution = team.pipeline.push()
    assert execution.failure[:2] == ("Build", "synth")
    assert "config/prod.yaml: key `tier`" in execution.failure[2]
    assert "Merge the repair" in team.message()
    repository.revert()
    repaired = team.pipeline.push()
    team.approve(repaired)
    assert repaired.status == "Succeeded"
    team.check(before)


def test_a_commit_that_was_not_merged_ends_in_its_first_build(team: Team) -> None:
    """Whoever may start an execution may name any commit: none of it runs."""
    before, repository = team.texts("dev"), team.company.repository
    files = {"infra/text": "unmerged", "Makefile": "%:\n\ttouch ran\n"}
    repository.commit("Unmerged", branch="unmerged", files=files)
    revision = {
        "actionName": "source",
        "revisionType": "COMMIT_ID",
        "revisionValue": repository.git("rev-parse", "unmerged"),
    }
    team.person().client("codepipeline").start_pipeline_execution(
        name=PIPELINE, sourceRevisions=[revision]
    )
    team.pipeline.run()
    execution = team.pipeline.newest
    assert execution.commit == revision["revisionValue"]
    assert execution.failure[0] == "Build"
    assert "This commit is not in the branch main. Nothing of it was run" in execution.failure[2]
    assert team.texts("dev") == before


def test_of_merges_at_once_the_later_one_has_all(team: Team) -> None:
    """An approval means the commit that it names, whatever was merged since."""
    first = team.merge("one")
    second, third = team.merge("two"), team.merge("three")
    assert [item.status for item in (first, second, third)] == [
        "InProgress", "Superseded", "InProgress",
    ]  # fmt: skip
    assert team.texts("dev") == ["three", "three"]
    team.approve(first)
    assert first.status == "Succeeded"
    assert team.texts("prod") == ["one", "one"]
    team.approve(third)
    team.check("three")


def test_a_revert_takes_the_same_way(team: Team) -> None:
    before = team.texts("prod")[0]
    wrong = team.merge("wrong text")
    team.approve(wrong)
    team.check("wrong text")
    team.company.repository.revert()
    execution = team.pipeline.push()
    assert team.texts("dev") == [before, before] and team.texts("prod") != [before, before]
    team.approve(execution)
    team.check(before)


def test_a_rejection_is_reported_and_the_approval_can_be_retried(team: Team) -> None:
    execution = team.merge("rejected at first")
    team.approve(execution, before="prod-approval")
    answer(team.person(), PIPELINE, status="Rejected")
    team.pipeline.run()
    assert execution.failure[0] == "prod-approval"
    assert "Revert the merge" in team.message()
    team.follow(team.message())
    team.approve(execution)
    team.check("rejected at first")


@pytest.mark.parametrize("status", ["PENDING", "ERROR"])
def test_a_connection_that_is_not_available_is_reported_with_its_repair(
    team: Team, status: str
) -> None:
    team.pipeline.actions.connection_status = status
    execution = team.merge(f"through {status}")
    assert execution.failure[:2] == ("Source", "source")
    message = team.message()
    assert "sashiko doctor --all" in message
    lines = doctor(team)
    assert f"{status}: no merge starts the pipeline" in lines
    assert "fix: Developer Tools, Settings, Connections in the console" in lines

    team.pipeline.actions.connection_status = "AVAILABLE"  # a person authorized it again
    team.follow(message)
    team.approve(team.pipeline.newest)
    team.check(f"through {status}")


def doctor(team: Team) -> str:
    """What the command of the message says to the administrator of the tools' account."""
    person = team.company.sign_in("delivery", "Administrator", "root")
    return team.company.run(person, "sashiko", "doctor", "--all", status=4)


def test_an_artifact_that_somebody_changed_is_refused_with_what_to_do(team: Team) -> None:
    first = team.merge("first")
    second = team.merge("second")
    tools = team.company.accounts["delivery"]
    bucket = f"{PIPELINE}-artifacts-{tools.account}-{REGION}"
    s3 = tools.client("s3")
    source = {"Bucket": bucket, "Key": second.artifacts["Synth"]}
    s3.copy_object(Bucket=bucket, Key=first.artifacts["Synth"], CopySource=source)
    team.approve(first)
    assert first.failure[0] == "delivery-deploy"
    refusal = next(line for line in first.failure[2].splitlines() if "is not the one" in line)
    team.follow(refusal)
    assert team.texts("prod") != ["first", "first"]
    answer(team.person(), PIPELINE, status="Rejected")
    team.pipeline.run()
    team.approve(team.pipeline.newest)
    team.check("second")
