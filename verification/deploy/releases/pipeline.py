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
Request = Mapping[str, Any]
_VARIABLE = re.compile(r"#\{([A-Za-z0-9@\-_]+)\.([A-Za-z0-9@\-_]+)\}")
_SHORT = 20  # CodePipeline shortens names in the keys of artifacts


@dataclass(kw_only=True)
class Approval:
    """A manual approval."""

    stage: str
    action: str
    message: str  # that the person is shown
    token: str  # names it in PutApprovalResult
    status: Literal["InProgress", "Approved", "Rejected"] = "InProgress"
    by: str = ""  # the ARN of who answered


@dataclass(kw_only=True)
class Execution:
    """An execution."""

    id: str
    version: int  # of the pipeline's structure
    commit: str
    status: Status = "InProgress"
    stage: int = 0  # the index of the one that it is in, or waits in front of
    inside: bool = False  # whether it is in the stage, which it then locks
    done: set[str] = field(default_factory=set)  # the actions of the stage that have succeeded
    variables: dict[str, Mapping[str, str]] = field(default_factory=dict)  # by namespace
    artifacts: dict[str, str] = field(default_factory=dict)  # name -> key in the bucket
    approvals: list[Approval] = field(default_factory=list)
    failure: tuple[str, str, str] = ("", "", "")  # stage, action and output

    @property
    def waits_for(self) -> Approval | None:
        """The approval that nobody has answered."""
        return next((item for item in self.approvals if item.status == "InProgress"), None)

    def resolve(self, text: str) -> str:
        """Puts the values of variables into a text; KeyError if no action has exported one."""
        return _VARIABLE.sub(lambda match: self.variables[match[1]][match[2]], text)


class FailedActionError(Exception):
    """What an action printed before it failed."""


class Pipeline:
    """A pipeline of the tools' account.

    Attributes:
        executions: all of them, oldest first, by id.
        builds: what became of each build, in order.
        connection_status: of the connection to the repository's host.
    """

    def __init__(
        self,
        organization: Organization,
        tools: Emulator,
        repository: Repository,
        runner: Builds,
        *,
        name: str,
    ) -> None:
        """Takes over what the emulator's own CodePipeline does not do.

        Each operation needs the caller's permission on the resource that the "Service Authorization
        Reference" names: the pipeline, its stage or its action.
        """
        self._organization, self._tools, self._runner = organization, tools, runner
        self._repository, self._name = repository, name
        self._entered: dict[str, str] = {}  # stage -> the execution that was in it last
        self.executions: dict[str, Execution] = {}
        self.builds: list[Build] = []
        self.connection_status = "AVAILABLE"
        self._arn = arn = f"arn:aws:codepipeline:{REGION}:{tools.account}:{name}"
        for operation, handler, resource in (
            ("codepipeline:GetPipelineState", self._state, lambda _: arn),
            ("codepipeline:PutApprovalResult", self._put_approval,
             lambda request: f"{arn}/{request['stageName']}/{request['actionName']}"),
            ("codepipeline:RetryStageExecution", self._retry,
             lambda request: f"{arn}/{request['stageName']}"),
            ("codepipeline:StartPipelineExecution", self._start, lambda _: arn),
        ):  # fmt: skip
            served = Served(handler=handler, resource=resource)
            organization.served[tools.account, operation] = served

    def push(self) -> Execution:
        """Starts an execution of the newest commit, as the connection does; runs what can."""
        identifier: str = self._start(None, {})["pipelineExecutionId"]
        self.run()
        return self.executions[identifier]

    @property
    def newest(self) -> Execution:
        """The execution that was started last."""
        return list(self.executions.values())[-1]

    def run(self) -> None:
        """Runs until each execution has ended, or waits for a person or behind another one."""
        self._adopt()
        while sum(self._step(execution) for execution in self._open()):
            self._adopt()

    def _open(self) -> list[Execution]:
        return [item for item in self.executions.values() if item.status == "InProgress"]

    def _structure(self) -> Any:
        return self._tools.client("codepipeline").get_pipeline(name=self._name)["pipeline"]

    def _adopt(self) -> None:
        """Takes the executions that were started, and cancels those of an older structure."""
        version = self._structure()["version"]
        api = self._tools.client("codepipeline")
        summaries = api.list_pipeline_executions(pipelineName=self._name)
        for item in reversed(summaries["pipelineExecutionSummaries"]):
            identifier = item["pipelineExecutionId"]
            if identifier not in self.executions:
                self.executions[identifier] = Execution(
                    id=identifier, version=version, commit=self._repository.head
                )
        for execution in self._open():
            if execution.version != version:
                execution.status = "Cancelled"

    def _step(self, execution: Execution) -> bool:
        """Moves an execution on by one stage; returns whether anything changed."""
        if execution.status != "InProgress":
            return False
        structure = self._structure()
        stage = structure["stages"][execution.stage]
        if not execution.inside:
            if any(item.inside and item.stage == execution.stage for item in self._open()):
                return self._supersede(execution)
            execution.inside = True
            self._entered[stage["name"]] = execution.id
        # Those of one run order run beside each other.
        for action in sorted(stage["actions"], key=lambda action: action.get("runOrder", 1)):
            if action["name"] in execution.done:
                continue
            provider = action["actionTypeId"]["provider"]
            try:
                if provider == "Manual":
                    if not self._approve(execution, stage["name"], action, structure):
                        return False
                elif provider == "CodeBuild":
                    self._build(execution, action, structure)
                else:
                    self._read(execution, action, structure)
            except (FailedActionError, ServiceError) as error:
                execution.status, execution.inside = "Failed", False
                execution.failure = (stage["name"], action["name"], str(error))
                self._publish_failure(execution, action)
                return True
            execution.done.add(action["name"])
        self._adopt()  # the action may have changed the structure
        if execution.status == "InProgress":
            execution.inside, execution.done = False, set()
            execution.stage += 1
            if execution.stage == len(structure["stages"]):
                execution.status = "Succeeded"
        return True

    def _supersede(self, newer: Execution) -> bool:
        """Ends the older executions that wait in front of the same stage."""
        order = list(self.executions)
        older = [
            item
            for item in self._open()
            if not item.inside
            and item.stage == newer.stage
            and order.index(item.id) < order.index(newer.id)
        ]
        for item in older:
            item.status = "Superseded"
        return bool(older)

    def _read(self, execution: Execution, action: Any, structure: Any) -> None:
        """Hands a reference to the commit on, which the builds clone."""
        settings = action["configuration"]
        arn = settings["ConnectionArn"]
        self._need(structure["roleArn"], "codeconnections:UseConnection", arn)
        if self.connection_status != "AVAILABLE":
            raise FailedActionError(f"Connection {arn} is not available")
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

    def _build(self, execution: Execution, action: Any, structure: Any) -> None:
        settings = action["configuration"]
        project = self._runner.project(settings["ProjectName"])
        # "AWS CodeBuild condition keys", CodeBuild User Guide: it says that there is an override.
        overridden = "BuildspecOverride" in settings
        overrides = {"codebuild:source.buildspec": "true"} if overridden else {}
        self._need(structure["roleArn"], "codebuild:StartBuild", project["arn"], **overrides)
        variables = {
            item["name"]: execution.resolve(item["value"])
            for item in json.loads(settings.get("EnvironmentVariables", "[]"))
        }
        (artifact,) = action["inputArtifacts"]
        place = {
            "Bucket": structure["artifactStore"]["location"],
            "Key": execution.artifacts[artifact["name"]],
        }
        arn = f"arn:aws:s3:::{place['Bucket']}/{place['Key']}"
        self._need(project["serviceRole"], "s3:GetObject", arn)
        source = self._tools.client("s3").get_object(**place)["Body"].read()
        build = self._runner.run(project["name"], variables, source=source)
        self.builds.append(build)
        if build.status != "SUCCEEDED":
            raise FailedActionError(build.output)
        if namespace := action.get("namespace"):
            execution.variables[namespace] = build.exports
        if action["outputArtifacts"]:
            self._write(execution, action, structure, build.artifact)

    def _approve(self, execution: Execution, stage: str, action: Any, structure: Any) -> bool:
        """Asks a person, and says whether one has approved: a rejection fails the action."""
        approval = next((item for item in execution.approvals if item.stage == stage), None)
        if approval is None:
            settings = action["configuration"]
            message, topic = execution.resolve(settings["CustomData"]), settings["NotificationArn"]
            self._need(structure["roleArn"], "sns:Publish", topic)
            self._acting(structure).client("sns").publish(TopicArn=topic, Message=message)
            approval = Approval(
                stage=stage, action=action["name"], message=message, token=str(uuid.uuid4())
            )
            execution.approvals.append(approval)
        if approval.status == "Rejected":
            raise FailedActionError(f"rejected by {approval.by}")
        return approval.status == "Approved"

    def _acting(self, structure: Any) -> Emulator:
        role = structure["roleArn"]
        session = self._organization.service("codepipeline", role, source=self._arn)
        return replace(self._tools, url=self._organization.url, credentials=session.variables())

    def _write(self, execution: Execution, action: Any, structure: Any, content: bytes) -> None:
        (artifact,) = action["outputArtifacts"]
        bucket, name = structure["artifactStore"]["location"], artifact["name"]
        key = f"{structure['name'][:_SHORT]}/{name[:_SHORT]}/{uuid.uuid4().hex[:7]}"
        self._need(structure["roleArn"], "s3:PutObject", f"arn:aws:s3:::{bucket}/{key}")
        self._acting(structure).client("s3").put_object(Bucket=bucket, Key=key, Body=content)
        execution.artifacts[name] = key

    def _need(self, role: str, action: str, resource: str, **context: str) -> None:
        if not self._organization.may(role, action, resource, **context):
            message = f"User: {role} is not authorized to perform: {action} on resource: {resource}"
            raise ServiceError("AccessDenied", message)

    def _publish_failure(self, execution: Execution, action: Any) -> None:
        """Publishes what the rules of the default bus make of an action that failed."""
        organization, event = self._organization, self._event(execution, action)
        for rule, target in _targets(self._tools, event):
            session = organization.service("events", target["RoleArn"], source=rule)
            acting = replace(self._tools, url=organization.url, credentials=session.variables())
            assert organization.may(target["RoleArn"], "sns:Publish", target["Arn"])
            message = _message(target["InputTransformer"], event)
            acting.client("sns").publish(TopicArn=target["Arn"], Message=message)

    def _event(self, execution: Execution, action: Any) -> dict[str, Any]:
        """ "Monitoring CodePipeline events", CodePipeline User Guide: the form of the event."""
        stage, name, output = execution.failure
        kind = action["actionTypeId"]
        lines = output.strip().splitlines() or [""]
        return {
            "version": "0",
            "id": execution.id,
            "detail-type": "CodePipeline Action Execution State Change",
            "source": "aws.codepipeline",
            "account": self._tools.account,
            "region": REGION,
            "resources": [self._arn],
            "detail": {
                "pipeline": self._name,
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

    def _state(self, _: Session, request: Request) -> Request:
        """Answers GetPipelineState, as far as an approver reads it."""
        stages = []
        for execution in self._open():
            if item := execution.waits_for:
                latest = {"status": "InProgress", "token": item.token, "summary": item.message}
                action = {"actionName": item.action, "latestExecution": latest}
                stages.append({"stageName": item.stage, "actionStates": [action]})
        return {"pipelineName": request["name"], "stageStates": stages}

    def _put_approval(self, session: Session, request: Request) -> Request:
        """Takes a person's answer, and who gave it."""
        names = (request["stageName"], request["actionName"], request["token"])
        for approval in (item for execution in self._open() for item in execution.approvals):
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

    def _retry(self, _: Session, request: Request) -> Request:
        """Takes an execution up in the stage that failed, unless another one has entered it."""
        assert request["retryMode"] == "FAILED_ACTIONS"
        stage, execution = request["stageName"], self.executions[request["pipelineExecutionId"]]
        if (
            execution.status != "Failed"
            or execution.failure[0] != stage
            or self._entered[stage] != execution.id
            or execution.version != self._structure()["version"]
        ):
            raise ServiceError(
                "StageNotRetryableException",
                "Unable to retry. The pipeline structure or stage state might have changed while "
                "actions awaited retry, or the stage contains no failed actions.",
            )
        execution.status, execution.inside = "InProgress", True
        execution.approvals = [item for item in execution.approvals if item.stage != stage]
        return {"pipelineExecutionId": execution.id}

    def _start(self, _: Session | None, request: Request) -> Request:
        assert not request.get("sourceRevisions")
        api = self._tools.client("codepipeline")
        identifier = api.start_pipeline_execution(name=self._name)["pipelineExecutionId"]
        return {"pipelineExecutionId": identifier}


def _targets(tools: Emulator, event: Any) -> Iterator[tuple[str, Any]]:
    api = tools.client("events")
    for rule in api.list_rules()["Rules"]:
        pattern = rule.get("EventPattern")
        if pattern and EventPattern.load(pattern).matches_event(event):
            for target in api.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
                yield rule["Arn"], target


def _message(transformer: Any, event: Any) -> str:
    """Fills a template that is a text in quotes, which is sent as that text."""
    values = {}
    for name, path in transformer["InputPathsMap"].items():
        # EventBridge's `$.detail.execution-id` as JMESPath.
        quoted = ".".join(f'"{part}"' for part in path.removeprefix("$.").split("."))
        values[name] = jmespath.search(quoted, event) or ""
    template: str = json.loads(transformer["InputTemplate"])
    return re.sub(r"<(\w+)>", lambda match: str(values[match[1]]), template)
