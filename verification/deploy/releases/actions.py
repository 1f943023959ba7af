"""The actions of a pipeline: the source, the builds, the approvals, by the pipeline's own role."""

import io
import json
import uuid
import zipfile
from dataclasses import replace
from typing import Any

from verification.deploy.accounts.answers import ServiceError
from verification.deploy.accounts.organization import Organization
from verification.deploy.process import Emulator
from verification.deploy.releases.builds import CLONE, Build, Builds
from verification.deploy.releases.execution import Approval, Execution

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
