"""CodeBuild, whose projects moto can't change and whose builds do nothing there.

There is no Docker here, so nothing is built: a build reads its source, looks for the Dockerfile,
its stage and what it copies, and puts a manifest with the tag into ECR. Then EventBridge hears that
it has ended, as CodeBuild tells it, and calls the functions of its rules, as moto does not.
"""

import io
import json
import re
import uuid
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError
from moto.events.models import EventPattern

from sashiko.base.files import dir_hash, sha256_bytes

from .json_api import Handler, ServiceError


def publish(aws: Callable[[str], Any], source: str, kind: str, detail: dict[str, Any]) -> None:
    """Sends an event to the default bus; `aws` makes a client of a service."""
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": kind,
        "source": source,
        "resources": [],
        "detail": detail,
    }
    events = aws("events")
    for rule in events.list_rules()["Rules"]:
        pattern = rule.get("EventPattern")
        if not rule["State"].startswith("ENABLED") or not pattern:
            continue
        if EventPattern.load(pattern).matches_event(event):
            for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
                if ":function:" in target["Arn"] and rule["Arn"] in _callers(aws, target["Arn"]):
                    aws("lambda").invoke(
                        FunctionName=target["Arn"],
                        InvocationType="Event",
                        Payload=json.dumps(event).encode(),
                    )


def _callers(aws: Callable[[str], Any], function: str) -> Iterator[str]:
    """Yields the rules that a function's policy allows to call it; others deliver nothing."""
    try:
        policy = aws("lambda").get_policy(FunctionName=function)["Policy"]
    except ClientError:
        return
    for statement in json.loads(policy)["Statement"]:
        if statement["Principal"] == {"Service": "events.amazonaws.com"}:
            yield statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn", "")


class BuildError(Exception):
    """The reason for a failed build."""


class CodeBuild:
    """The projects and builds of one account in one region."""

    def __init__(self, account: str, region: str, aws: Callable[[str], Any]) -> None:
        self._place = f"arn:aws:codebuild:{region}:{account}"
        self._aws = aws
        self._projects: dict[str, dict[str, Any]] = {}
        self._builds: dict[str, dict[str, Any]] = {}
        self.operations: dict[str, Handler] = {
            "CreateProject": self._create,
            "UpdateProject": self._update,
            "DeleteProject": self._delete,
            "ListProjects": lambda _: {"projects": list(self._projects)},
            "BatchGetProjects": self._describe,
            "ListBuildsForProject": self._list,
            "StartBuild": self._start,
            "BatchGetBuilds": lambda request: {"builds": [self._builds[i] for i in request["ids"]]},
        }

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["name"]
        if name in self._projects:
            raise ServiceError(
                "ResourceAlreadyExistsException", f"Project already exists: {self._place}:{name}"
            )
        self._check_role(request["serviceRole"])
        self._projects[name] = {**request, "arn": f"{self._place}:project/{name}"}
        return {"project": self._projects[name]}

    def _check_role(self, arn: str) -> None:
        try:
            self._aws("iam").get_role(RoleName=arn.rpartition("/")[2])
        except ClientError as error:
            raise ServiceError("InvalidInputException", f"there is no role {arn}") from error

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["name"] not in self._projects:
            raise ServiceError("ResourceNotFoundException", f"no project {request['name']}")
        self._projects[request["name"]].update(request)
        return {"project": self._projects[request["name"]]}

    def _delete(self, request: dict[str, Any]) -> None:
        self._projects.pop(request["name"], None)

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        projects = [self._projects[name] for name in request["names"] if name in self._projects]
        missing = [name for name in request["names"] if name not in self._projects]
        return {"projects": projects, "projectsNotFound": missing}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["projectName"]
        if name not in self._projects:
            raise ServiceError("ResourceNotFoundException", f"no project {name}")
        return {"ids": [i for i, build in self._builds.items() if build["projectName"] == name]}

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["projectName"]
        if name not in self._projects:
            raise ServiceError("ResourceNotFoundException", f"no project {name}")
        variables = {
            item["name"]: item
            for item in (
                *self._projects[name]["environment"].get("environmentVariables", ()),
                *request.get("environmentVariablesOverride", ()),
            )
        }
        identifier = f"{name}:{uuid.uuid4()}"
        build = {
            "arn": f"{self._place}:build/{identifier}",
            "id": identifier,
            "projectName": name,
            "environment": {"environmentVariables": list(variables.values())},
            "logs": {"deepLink": f"https://console.aws.amazon.com/{identifier}"},
        }
        self._builds[identifier] = build
        values = {key: item["value"] for key, item in variables.items()}
        try:
            source = self._projects[name]["source"]
            results = self._build(source["location"], values)
            exported = json.loads(source["buildspec"]).get("env", {}).get("exported-variables", ())
            build["exportedEnvironmentVariables"] = [
                {"name": key, "value": results[key]} for key in exported
            ]
            build["buildStatus"] = "SUCCEEDED"
        except (BuildError, ClientError) as error:
            build["buildStatus"] = "FAILED"
            context = {"statusCode": "COMMAND_EXECUTION_ERROR", "message": str(error)}
            build["phases"] = [
                {"phaseType": "BUILD", "phaseStatus": "FAILED", "contexts": [context]}
            ]
        self._publish_state(build)
        return {"build": {**build, "buildStatus": "IN_PROGRESS"}}

    def _build(self, location: str, values: dict[str, str]) -> dict[str, str]:
        """Puts the image, and returns what the build's commands set."""
        bucket, _, key = location.partition("/")
        body = self._aws("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        with zipfile.ZipFile(io.BytesIO(body)) as source:
            _check_context(source, values["DOCKERFILE"], values["TARGET"])
            files = {
                name: sha256_bytes(source.read(name))
                for name in source.namelist()
                if not name.endswith("/")
            }
        repository, _, tag = values["IMAGE"].partition("/")[2].rpartition(":")
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        manifest = {"schemaVersion": 2, "mediaType": kind, "config": {"digest": tag}, "layers": []}
        ecr = self._aws("ecr")
        ecr.put_image(repositoryName=repository, imageManifest=json.dumps(manifest), imageTag=tag)
        (settings,) = ecr.describe_repositories(repositoryNames=[repository])["repositories"]
        if settings["imageScanningConfiguration"]["scanOnPush"]:
            ecr.start_image_scan(repositoryName=repository, imageId={"imageTag": tag})
        # AWS's registries are not here: the digest stands for the base that they would answer with.
        base = sha256_bytes(values["BASE"].encode())
        return {"BASE_DIGEST": f"sha256:{base}", "SOURCE_HASH": dir_hash(files)}

    def _publish_state(self, build: dict[str, Any]) -> None:
        detail = {
            "build-status": build["buildStatus"],
            "project-name": build["projectName"],
            "build-id": f"{self._place}:build/{build['id']}",
        }
        publish(self._aws, "aws.codebuild", "CodeBuild Build State Change", detail)


def _check_context(source: zipfile.ZipFile, dockerfile: str, target: str) -> None:
    names = source.namelist()
    if dockerfile not in names:
        raise BuildError(f"failed to read dockerfile: open {dockerfile}: no such file")
    text = source.read(dockerfile).decode()
    if not re.search(rf"^FROM \S+ AS {re.escape(target)}$", text, re.M):
        raise BuildError(f"target stage {target} could not be found")
    for line in re.findall(r"^COPY (.*) \S+$", text, re.M):
        for path in line.split():
            if path not in names and not any(name.startswith(f"{path}/") for name in names):
                raise BuildError(f'"/{path}": not found')
