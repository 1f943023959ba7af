"""The function that has images built: who reads its builds cannot answer CloudFormation for it."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from sashiko.aws.functions import image_build
from sashiko.aws.functions.custom_resource import Answer, Request

PROJECT, LINK = "acme-dev-image-build", "https://cloudformation.example/answer?Signature=s3cret"


class CodeBuild:
    """Keeps what a build is started with; moto's forgets the variables."""

    def __init__(self) -> None:
        self.build: dict[str, Any] = {}

    def start_build(self, **request: Any) -> Any:
        variables = {"environmentVariables": request["environmentVariablesOverride"]}
        self.build = {"id": "one", "projectName": request["projectName"], "environment": variables}
        return {"build": self.build}

    def batch_get_builds(self, **_: Any) -> Any:
        return {"builds": [{**self.build, "buildStatus": "SUCCEEDED"}]}

    def variables(self) -> dict[str, Any]:
        return {item["name"]: item for item in self.build["environment"]["environmentVariables"]}


@pytest.fixture
def codebuild(monkeypatch: pytest.MonkeyPatch) -> Iterator[CodeBuild]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    fake, client = CodeBuild(), boto3.client
    monkeypatch.setattr(boto3, "client", lambda name: fake if name == "codebuild" else client(name))
    with mock_aws():
        boto3.client("ecr").create_repository(repositoryName="acme-dev/job")
        yield fake


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Request, Answer]]:
    """What CloudFormation is told."""
    sent: list[tuple[Request, Answer]] = []
    monkeypatch.setattr(image_build, "send", lambda *both: sent.append(both))
    return sent


def start(key: str) -> None:
    properties = {
        "Project": PROJECT, "Key": key, "Repository": "acme-dev/job", "Tag": "1-abc",
        "Image": "registry/acme-dev/job:1-abc", "Dockerfile": "Dockerfile", "Target": "job",
        "Base": "base:1",
    }  # fmt: skip
    event = {
        "RequestType": "Create", "ResponseURL": LINK, "StackId": "stack", "RequestId": "r",
        "LogicalResourceId": "Job", "ResourceProperties": properties,
    }  # fmt: skip
    image_build.handler(event, None)


def end() -> None:
    news = {"build-id": f"arn:aws:codebuild:eu-west-1:1:build/{PROJECT}:one"}
    image_build.handler({"detail": news}, None)


def new_key() -> str:
    return str(boto3.client("kms").create_key()["KeyMetadata"]["KeyId"])


def test_the_link_waits_encrypted_and_is_answered_when_the_build_has_ended(
    codebuild: CodeBuild, answers: list[Any]
) -> None:
    start(new_key())
    assert answers == []
    waiting = str(codebuild.build)
    waiting += str([_decoded(item["value"]) for item in codebuild.variables().values()])
    assert "s3cret" not in waiting and "cloudformation.example" not in waiting
    end()
    ((request, answer),) = answers
    assert (request.url, request.id, request.resource) == (LINK, "r", "Job")
    assert answer.failure and "1-abc is not there" in answer.failure


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value).decode(errors="replace")
    except ValueError:
        return ""


def test_a_request_that_somebody_else_wrote_is_not_answered(
    codebuild: CodeBuild, answers: list[Any]
) -> None:
    """Neither in plain text, nor encrypted for another project."""
    start(new_key())
    codebuild.build["projectName"] = "acme-prod-image-build"
    with pytest.raises(Exception, match="Decrypt"):
        end()
    codebuild.build["projectName"] = PROJECT
    forged = json.dumps({"ResponseURL": "https://elsewhere.example"}).encode()
    codebuild.variables()[image_build.REQUEST]["value"] = base64.b64encode(forged).decode()
    with pytest.raises(Exception, match="Decrypt"):
        end()
    assert answers == []


def test_a_build_that_a_person_started_answers_nobody(
    codebuild: CodeBuild, answers: list[Any]
) -> None:
    start(new_key())
    del codebuild.build["environment"]["environmentVariables"][-1]
    end()
    assert answers == []
