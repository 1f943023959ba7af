"""CodePipeline on this machine: executions walk the structure that is deployed.

"How pipeline executions work", CodePipeline User Guide, of the mode SUPERSEDED: a stage is locked
while an execution is in it, also while an approval waits; the next one waits in front of it, and a
more recent one overtakes that; a failure releases the stage, which may be retried until another
execution enters it. A changed structure cancels what is under way ("PipelineExecution", API
Reference).
"""

from typing import Any

from verification.deploy.accounts.organization import Organization
from verification.deploy.process import REGION, Emulator
from verification.deploy.releases.actions import Actions, FailedActionError
from verification.deploy.releases.api import serve_api
from verification.deploy.releases.builds import Builds
from verification.deploy.releases.execution import Execution
from verification.deploy.releases.notices import tell_failure
from verification.deploy.releases.repository import Repository


class Pipeline:
    """A pipeline of the tools' account.

    Attributes:
        actions: what its stages do.
        executions: all of them, oldest first, by id.
    """

    def __init__(
        self,
        organization: Organization,
        tools: Emulator,
        repository: Repository,
        builds: Builds,
        *,
        name: str,
    ) -> None:
        """Takes over what the emulator's own CodePipeline does not do."""
        self._tools, self._repository, self._name = tools, repository, name
        self._organization = organization
        self.actions = Actions(organization, tools, builds)
        self._entered: dict[str, str] = {}
        self._commits: dict[str, str] = {}  # of executions that were started with one
        self.executions: dict[str, Execution] = {}
        serve_api(self, organization, f"arn:aws:codepipeline:{REGION}:{tools.account}:{name}")

    def start(self, commit: str | None) -> str:
        """Starts an execution of any commit of the repository, or of the newest of the branch."""
        api = self._tools.client("codepipeline")
        identifier: str = api.start_pipeline_execution(name=self._name)["pipelineExecutionId"]
        if commit:
            self._commits[identifier] = commit
        return identifier

    def push(self) -> Execution:
        """Starts an execution of the newest commit, as the connection does; runs what can."""
        identifier = self.start(None)
        self.run()
        return self.executions[identifier]

    @property
    def newest(self) -> Execution:
        """The execution that was started last."""
        return list(self.executions.values())[-1]

    def run(self) -> None:
        """Runs until each execution has ended, or waits for a person or behind another one."""
        self._adopt()
        while sum(self._step(execution) for execution in self.open()):
            self._adopt()

    def _adopt(self) -> None:
        """Takes the executions that were started, and cancels those of an older structure."""
        structure = self._structure()
        api = self._tools.client("codepipeline")
        summaries = api.list_pipeline_executions(pipelineName=self._name)
        for item in reversed(summaries["pipelineExecutionSummaries"]):
            identifier = item["pipelineExecutionId"]
            if identifier not in self.executions:
                self.executions[identifier] = Execution(
                    id=identifier,
                    version=structure["version"],
                    commit=self._commits.get(identifier, self._repository.head),
                )
        for execution in self.open():
            if execution.version != structure["version"]:
                execution.status = "Cancelled"

    def _structure(self) -> Any:
        return self._tools.client("codepipeline").get_pipeline(name=self._name)["pipeline"]

    def open(self) -> list[Execution]:
        """Returns the executions that have not ended, oldest first."""
        return [item for item in self.executions.values() if item.status == "InProgress"]

    def _step(self, execution: Execution) -> bool:
        """Moves an execution on by one stage; returns whether anything changed."""
        if execution.status != "InProgress":
            return False
        structure = self._structure()
        stages = structure["stages"]
        stage = stages[execution.stage]
        if not execution.inside:
            if self._is_locked(execution):
                return self._supersede(execution)
            execution.inside = True
            self._entered[stage["name"]] = execution.id
        try:
            for action in _ordered(stage):
                if action["name"] not in execution.done:
                    if not self.actions.run(execution, stage["name"], action, structure):
                        return False  # waits for a person
                    execution.done.add(action["name"])
        except FailedActionError as error:
            execution.status, execution.inside = "Failed", False
            execution.failure = (stage["name"], error.action, str(error))
            (action,) = (item for item in stage["actions"] if item["name"] == error.action)
            tell_failure(self._organization, self._tools, execution, action, pipeline=self._name)
            return True
        self._adopt()  # the action may have changed the structure
        return execution.status != "InProgress" or self._leave(execution, stages)

    def _is_locked(self, execution: Execution) -> bool:
        return any(item.inside and item.stage == execution.stage for item in self.open())

    def _supersede(self, newer: Execution) -> bool:
        """Ends the older executions that wait in front of the same stage."""
        older = [
            item
            for item in self.open()
            if not item.inside and item.stage == newer.stage and item.id != newer.id
        ]
        order = list(self.executions)
        older = [item for item in older if order.index(item.id) < order.index(newer.id)]
        for item in older:
            item.status = "Superseded"
        return bool(older)

    def _leave(self, execution: Execution, stages: list[Any]) -> bool:
        execution.inside, execution.done = False, set()
        execution.stage += 1
        if execution.stage == len(stages):
            execution.status = "Succeeded"
        return True

    def retry(self, execution: Execution, stage: str) -> bool:
        """Takes an execution up in the stage that failed; returns whether that is allowed."""
        version = self._structure()["version"]
        if (
            execution.status != "Failed"
            or execution.failure[0] != stage
            or self._entered[stage] != execution.id
            or execution.version != version
        ):
            return False
        execution.status, execution.inside = "InProgress", True
        execution.approvals = [item for item in execution.approvals if item.stage != stage]
        return True


def _ordered(stage: Any) -> list[Any]:
    """Returns the actions in their run order; those of one order run beside each other."""
    return sorted(stage["actions"], key=lambda action: action.get("runOrder", 1))
