"""CodePipeline on this machine: executions walk the structure that is deployed.

"How pipeline executions work", CodePipeline User Guide, of the mode SUPERSEDED: a stage is locked
while an execution is in it, also while an approval waits; the next one waits in front of it, and a
more recent one overtakes that; a failure releases the stage, which may be retried until another
execution enters it. A changed structure cancels what is under way ("PipelineExecution", API
Reference). An action that failed is an event, which EventBridge's rules hand to a topic.
"""

import io
import json
import re
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import jmespath
from moto.events.models import EventPattern

from verification.deploy.accounts.organization import Organization, Served
from verification.deploy.accounts.sessions import ServiceError, Session
from verification.deploy.process import REGION, Emulator
from verification.deploy.releases.builds import CLONE, Build, Builds, Repository

Status = Literal["InProgress", "Succeeded", "Failed", "Superseded", "Cancelled"]
_VARIABLE = re.compile(r"#\{([A-Za-z0-9@\-_]+)\.([A-Za-z0-9@\-_]+)\}")


@dataclass(kw_only=True)
class Approval:
    """A manual approval.

    Attributes:
        stage: of the pipeline.
        action: of the stage.
        message: what the person is shown.
        token: names it in PutApprovalResult.
        status: whether somebody has answered, and how.
        by: the ARN of who did.
    """

    stage: str
    action: str
    message: str
    token: str
    status: Literal["InProgress", "Approved", "Rejected"] = "InProgress"
    by: str = ""


@dataclass(kw_only=True)
class Execution:
    """An execution.

    Attributes:
        id: its own.
        version: of the pipeline's structure.
        commit: what it delivers.
        status: where it stands.
        stage: the index of the stage that it is in, or waits in front of.
        inside: whether it is in the stage, which it then locks.
        done: the actions of the stage that have succeeded.
        variables: what actions have exported, by namespace.
        artifacts: the keys of the artifacts in the bucket, by name.
        approvals: those that it has asked for.
        failure: what failed: stage, action and output.
    """

    id: str
    version: int
    commit: str
    status: Status = "InProgress"
    stage: int = 0
    inside: bool = False
    done: set[str] = field(default_factory=set)
    variables: dict[str, Mapping[str, str]] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    approvals: list[Approval] = field(default_factory=list)
    failure: tuple[str, str, str] = ("", "", "")

    @property
    def waits_for(self) -> Approval | None:
        """The approval that nobody has answered."""
        return next((item for item in self.approvals if item.status == "InProgress"), None)

    def resolve(self, text: str) -> str:
        """Puts the values of variables into a configuration's text.

        Raises:
            KeyError: if no action has exported one.
        """
        return _VARIABLE.sub(lambda match: self.variables[match[1]][match[2]], text)


def tell_failure(
    organization: Organization, tools: Emulator, execution: Execution, action: Any, *, pipeline: str
) -> None:
    """Publishes what the rules of the default bus make of an action that failed."""
    event = _event(tools, execution, action, pipeline=pipeline)
    for rule, target in _targets(tools, event):
        session = organization.service("events", target["RoleArn"], source=rule)
        acting = replace(tools, url=organization.url, credentials=session.variables())
        assert organization.may(target["RoleArn"], "sns:Publish", target["Arn"])
        acting.client("sns").publish(
            TopicArn=target["Arn"], Message=_message(target["InputTransformer"], event)
        )


def _message(transformer: Any, event: Any) -> str:
    """Fills a template that is a text in quotes, which is sent as that text."""
    values = {
        name: jmespath.search(_quoted(path), event) or ""
        for name, path in transformer["InputPathsMap"].items()
    }
    template: str = json.loads(transformer["InputTemplate"])
    return re.sub(r"<(\w+)>", lambda match: str(values[match[1]]), template)


def _event(tools: Emulator, execution: Execution, action: Any, *, pipeline: str) -> dict[str, Any]:
    """ "Monitoring CodePipeline events", CodePipeline User Guide: the form of the event."""
    stage, name, output = execution.failure
    kind = action["actionTypeId"]
    lines = output.strip().splitlines() or [""]
    return {
        "version": "0",
        "id": execution.id,
        "detail-type": "CodePipeline Action Execution State Change",
        "source": "aws.codepipeline",
        "account": tools.account,
        "region": REGION,
        "resources": [f"arn:aws:codepipeline:{REGION}:{tools.account}:{pipeline}"],
        "detail": {
            "pipeline": pipeline,
            "execution-id": execution.id,
            "stage": stage,
            "action": name,
            "state": "FAILED",
            "execution-result": {
                "external-execution-url": f"https://console.aws.amazon.com/{name}",
                "external-execution-summary": lines[-1].replace('"', "'"),
            },
            "type": {key: kind[key] for key in ("owner", "category", "provider", "version")},
        },
    }


def _targets(tools: Emulator, event: Any) -> Iterator[tuple[str, Any]]:
    api = tools.client("events")
    for rule in api.list_rules()["Rules"]:
        pattern = rule.get("EventPattern")
        if pattern and EventPattern.load(pattern).matches_event(event):
            for target in api.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
                yield rule["Arn"], target


def _quoted(path: str) -> str:
    """Turns EventBridge's `$.detail.execution-id` into JMESPath."""
    return ".".join(f'"{name}"' for name in path.removeprefix("$.").split("."))


# CodePipeline shortens names in the keys of artifacts.
_SHORT = 20


class FailedActionError(Exception):
    """What an action printed before it failed."""

    def __init__(self, action: str, output: str) -> None:
        super().__init__(output)
        self.action = action


class Actions:
    """The actions of the pipeline of the tools' account.

    Attributes:
        connection_status: of the connection to the repository's host.
        builds: what became of each build, in order, with its action.
    """

    def __init__(self, organization: Organization, tools: Emulator, builds: Builds) -> None:
        """Runs builds by `builds`."""
        self._organization, self._tools, self._runner = organization, tools, builds
        self.connection_status = "AVAILABLE"
        self.builds: list[tuple[str, Build]] = []

    def run(self, execution: Execution, stage: str, action: Any, structure: Any) -> bool:
        """Runs an action; returns False if it waits for a person.

        Raises:
            FailedActionError: if it fails, or the pipeline's role may not start it.
        """
        run = {
            "CodeStarSourceConnection": self._read,
            "CodeBuild": self._build,
            "Manual": self._approve,
        }[action["actionTypeId"]["provider"]]
        try:
            return run(execution, stage, action, structure)
        except ServiceError as error:
            raise FailedActionError(action["name"], str(error)) from error

    def _read(self, execution: Execution, _: str, action: Any, structure: Any) -> bool:
        """Hands a reference to the commit on, which the builds clone."""
        settings = action["configuration"]
        arn, role = settings["ConnectionArn"], structure["roleArn"]
        self._need(role, "codeconnections:UseConnection", arn)
        if self.connection_status != "AVAILABLE":
            raise FailedActionError(action["name"], f"Connection {arn} is not available")
        assert settings["OutputArtifactFormat"] == "CODEBUILD_CLONE_REF"
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as files:
            files.writestr(CLONE, json.dumps({"commit": execution.commit}))
        self._write(execution, action, structure, packed.getvalue())
        execution.variables[action["namespace"]] = {
            "BranchName": settings["BranchName"],
            "CommitId": execution.commit,
            "FullRepositoryName": settings["FullRepositoryId"],
        }
        return True

    def _build(self, execution: Execution, _: str, action: Any, structure: Any) -> bool:
        settings = action["configuration"]
        project = self._runner.project(settings["ProjectName"])
        # "AWS CodeBuild condition keys", CodeBuild User Guide: it says that there is an override.
        overrides = (
            {"codebuild:source.buildspec": "true"} if "BuildspecOverride" in settings else {}
        )
        self._need(structure["roleArn"], "codebuild:StartBuild", project["arn"], **overrides)
        variables = {
            item["name"]: execution.resolve(item["value"])
            for item in json.loads(settings.get("EnvironmentVariables", "[]"))
        }
        (artifact,) = action["inputArtifacts"]
        source = self._fetch(project, structure, execution.artifacts[artifact["name"]])
        build = self._runner.run(project["name"], variables, source=source)
        self.builds.append((action["name"], build))
        if build.status != "SUCCEEDED":
            raise FailedActionError(action["name"], build.output)
        if namespace := action.get("namespace"):
            execution.variables[namespace] = build.exports
        if action["outputArtifacts"]:
            self._write(execution, action, structure, build.artifact)
        return True

    def _approve(self, execution: Execution, stage: str, action: Any, structure: Any) -> bool:
        """Asks, and then waits: a rejection fails the action."""
        approvals = [item for item in execution.approvals if item.stage == stage]
        if not approvals:
            settings = action["configuration"]
            message, topic = execution.resolve(settings["CustomData"]), settings["NotificationArn"]
            self._need(structure["roleArn"], "sns:Publish", topic)
            self._acting(structure).client("sns").publish(TopicArn=topic, Message=message)
            approval = Approval(
                stage=stage, action=action["name"], message=message, token=str(uuid.uuid4())
            )
            execution.approvals.append(approval)
            return False
        if approvals[0].status == "Rejected":
            raise FailedActionError(action["name"], f"rejected by {approvals[0].by}")
        return approvals[0].status == "Approved"

    def _acting(self, structure: Any) -> Emulator:
        arn = f"arn:aws:codepipeline:us-east-1:{self._tools.account}:{structure['name']}"
        session = self._organization.service("codepipeline", structure["roleArn"], source=arn)
        return replace(self._tools, url=self._organization.url, credentials=session.variables())

    def _write(self, execution: Execution, action: Any, structure: Any, content: bytes) -> None:
        (artifact,) = action["outputArtifacts"]
        bucket = structure["artifactStore"]["location"]
        name = artifact["name"]
        key = f"{structure['name'][:_SHORT]}/{name[:_SHORT]}/{uuid.uuid4().hex[:7]}"
        self._need(structure["roleArn"], "s3:PutObject", f"arn:aws:s3:::{bucket}/{key}")
        self._acting(structure).client("s3").put_object(Bucket=bucket, Key=key, Body=content)
        execution.artifacts[name] = key

    def _fetch(self, project: Any, structure: Any, key: str) -> bytes:
        """Reads an artifact, as the build does."""
        bucket = structure["artifactStore"]["location"]
        self._need(project["serviceRole"], "s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")
        body: bytes = self._tools.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def _need(self, role: str, action: str, resource: str, **context: str) -> None:
        if not self._organization.may(role, action, resource, **context):
            raise ServiceError(
                "AccessDenied",
                f"User: {role} is not authorized to perform: {action} on resource: {resource}",
            )


Request = Mapping[str, Any]


def serve_api(pipeline: "Pipeline", organization: Organization, arn: str) -> None:
    """Lets an organization answer what the emulator's own CodePipeline does not know.

    Each operation needs the caller's permission on the resource that the "Service Authorization
    Reference" names: the pipeline, its stage or its action.
    """
    api = _Api(pipeline)
    served = {
        "codepipeline:GetPipelineState": Served(handler=api.state, resource=lambda _: arn),
        "codepipeline:PutApprovalResult": Served(
            handler=api.put_approval,
            resource=lambda request: f"{arn}/{request['stageName']}/{request['actionName']}",
        ),
        "codepipeline:RetryStageExecution": Served(
            handler=api.retry, resource=lambda request: f"{arn}/{request['stageName']}"
        ),
        "codepipeline:StartPipelineExecution": Served(handler=api.start, resource=lambda _: arn),
        "codeconnections:GetConnection": Served(
            handler=api.connection, resource=lambda request: str(request["ConnectionArn"])
        ),
    }
    account = arn.split(":")[4]
    for operation, item in served.items():
        organization.served[account, operation] = item


class _Api:
    def __init__(self, pipeline: "Pipeline") -> None:
        self._pipeline = pipeline

    def state(self, _: Session, request: Request) -> Request:
        """Answers GetPipelineState, as far as an approver reads it."""
        pending = [item for execution in self._pipeline.open() if (item := execution.waits_for)]
        return {
            "pipelineName": request["name"],
            "stageStates": [
                {
                    "stageName": item.stage,
                    "actionStates": [
                        {
                            "actionName": item.action,
                            "latestExecution": {
                                "status": "InProgress",
                                "token": item.token,
                                "summary": item.message,
                            },
                        }
                    ],
                }
                for item in pending
            ],
        }

    def put_approval(self, session: Session, request: Request) -> Request:
        """Takes a person's answer, and who gave it."""
        names = (request["stageName"], request["actionName"], request["token"])
        approvals = [item for execution in self._pipeline.open() for item in execution.approvals]
        for approval in approvals:
            if (approval.stage, approval.action, approval.token) == names:
                if approval.status != "InProgress":
                    raise ServiceError(
                        "ApprovalAlreadyCompletedException",
                        "The approval action has already been approved or rejected.",
                    )
                approval.status, approval.by = request["result"]["status"], session.arn
                return {"approvedAt": 0}
        raise ServiceError(
            "InvalidApprovalTokenException",
            "The approval request already received a response or has expired.",
        )

    def retry(self, _: Session, request: Request) -> Request:
        """Takes up a stage that failed."""
        assert request["retryMode"] == "FAILED_ACTIONS"
        identifier = request["pipelineExecutionId"]
        if not self._pipeline.retry(self._pipeline.executions[identifier], request["stageName"]):
            raise ServiceError(
                "StageNotRetryableException",
                "Unable to retry. The pipeline structure or stage state might have changed while "
                "actions awaited retry, or the stage contains no failed actions.",
            )
        return {"pipelineExecutionId": identifier}

    def start(self, _: Session, request: Request) -> Request:
        """Starts an execution, of another commit than the branch's newest where one is named."""
        (revision,) = request.get("sourceRevisions") or ({},)
        assert revision.get("revisionType", "COMMIT_ID") == "COMMIT_ID"
        return {"pipelineExecutionId": self._pipeline.start(revision.get("revisionValue"))}

    def connection(self, _: Session, request: Request) -> Request:
        """Answers GetConnection."""
        status = self._pipeline.actions.connection_status
        return {
            "Connection": {"ConnectionArn": request["ConnectionArn"], "ConnectionStatus": status}
        }


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
