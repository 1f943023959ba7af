"""A delivery that fails, is killed or meets another one leaves what the next run repairs.

The pipeline and the accounts are those of test_three_accounts.py; what is deployed is small. Each
message is taken at its word: the command that it ends with is the one that is run.
"""

import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from verification.deploy.accounts.sessions import Session, Wire
from verification.deploy.process import Emulator
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
        assert team.pipeline.builds[-1].status == "STOPPED"
        assert team.message().startswith(f"{PIPELINE}: {env}-{stage} failed")
    assert execution
    team.follow(team.message())
    assert execution.status == "Succeeded"
    team.check("killed")


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


def test_a_connection_that_is_not_available_is_reported_with_its_repair(team: Team) -> None:
    team.pipeline.connection_status = "PENDING"
    execution = team.merge("through it")
    assert execution.failure[:2] == ("Source", "source")
    message = team.message()
    assert "Update pending connection authorizes it again" in message

    team.pipeline.connection_status = "AVAILABLE"  # a person authorized it again
    team.follow(message)
    team.approve(team.pipeline.newest)
    team.check("through it")
