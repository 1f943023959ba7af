"""The function that has images built: who reads its builds cannot answer CloudFormation for it."""

import base64
import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from sashiko.base.custom_resource import Answer, Request, read_request
from sashiko.functions import image_build
from sashiko.registry.attestation import read_statement, statement_key
from tests.unit.registry.test_chain import hold_against_the_published_schema

BUCKET, IMAGE = "artifacts", "registry/acme-dev/job:1-abc"
PROJECT, LINK = "acme-dev-image-build", "https://cloudformation.example/answer?Signature=s3cret"


class CodeBuild:
    """Keeps what a build is started with; moto's forgets the variables."""

    def __init__(self) -> None:
        self.build: dict[str, Any] = {}

    def start_build(self, **request: Any) -> Any:
        variables = {"environmentVariables": request["environmentVariablesOverride"]}
        self.build = {
            "id": f"{PROJECT}:one",
            "arn": f"arn:aws:codebuild:eu-west-1:123456789012:build/{PROJECT}:one",
            "projectName": request["projectName"],
            "environment": variables,
            "exportedEnvironmentVariables": [
                {"name": "BASE_DIGEST", "value": f"sha256:{'b' * 64}"},
                {"name": "SOURCE_HASH", "value": "5" * 64},
            ],
        }
        return {"build": self.build}

    def batch_get_builds(self, **_: Any) -> Any:
        return {"builds": [{"buildStatus": "SUCCEEDED", **self.build}]}

    def variables(self) -> dict[str, Any]:
        return {item["name"]: item for item in self.build["environment"]["environmentVariables"]}


@pytest.fixture
def codebuild(monkeypatch):
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
        where = {"LocationConstraint": "eu-west-1"}
        boto3.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
        yield fake


@pytest.fixture
def answers(monkeypatch):
    sent: list[tuple[Request, Answer]] = []
    monkeypatch.setattr(image_build, "send", lambda *both: sent.append(both))
    return sent


def event(key: str) -> dict[str, Any]:
    properties = {
        "Project": PROJECT, "Key": key, "Repository": "acme-dev/job", "Tag": "1-abc",
        "Image": IMAGE, "Dockerfile": "Dockerfile", "Target": "job",
        "Base": "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch:2.13-cpu",
        "Bucket": BUCKET, "Materials": f"requirements/job.txt={'1' * 64}",
    }  # fmt: skip
    return {
        "RequestType": "Create", "ResponseURL": LINK, "StackId": "stack", "RequestId": "r",
        "LogicalResourceId": "Job", "ResourceProperties": properties,
    }  # fmt: skip


def start(key: str) -> None:
    image_build.handler(event(key), None)


def end() -> None:
    news = {"build-id": f"arn:aws:codebuild:eu-west-1:1:build/{PROJECT}:one"}
    image_build.handler({"detail": news}, None)


def new_key() -> str:
    return str(boto3.client("kms").create_key()["KeyMetadata"]["KeyId"])


class LateKms:
    """Denies the first calls, as while IAM has not applied a policy yet."""

    def __init__(self, denials: int, code: str = "AccessDeniedException") -> None:
        self.denials, self.code = denials, code
        self.kms = boto3.client("kms")

    def encrypt(self, **request: Any) -> Any:
        if self.denials:
            self.denials -= 1
            raise ClientError({"Error": {"Code": self.code}}, "Encrypt")
        return self.kms.encrypt(**request)


@pytest.fixture
def waits(monkeypatch):
    seconds: list[float] = []
    monkeypatch.setattr(image_build.time, "sleep", seconds.append)
    return seconds


def _late(monkeypatch: pytest.MonkeyPatch, late: LateKms) -> None:
    client = boto3.client
    monkeypatch.setattr(boto3, "client", lambda name: late if name == "kms" else client(name))


def test_a_permission_that_iam_has_not_applied_yet_is_waited_for(codebuild, waits, monkeypatch):
    key = new_key()
    _late(monkeypatch, LateKms(3))
    start(key)
    assert image_build.REQUEST in codebuild.variables()
    assert len(waits) == 3


@pytest.mark.parametrize("late", [(99, "AccessDeniedException"), (1, "DisabledException")])
def test_a_denial_that_stays_and_any_other_error_fail_the_deploy_before_the_function_ends(
    codebuild, waits, monkeypatch, late
):
    key, sent = new_key(), []
    _late(monkeypatch, LateKms(*late))
    monkeypatch.setattr("sashiko.base.custom_resource.send", lambda *both: sent.append(both))
    start(key)
    ((_, answer),) = sent
    assert late[1] in str(answer.failure)
    assert sum(waits) < 120 - 30
    assert codebuild.build == {}


def test_the_link_waits_encrypted_and_is_answered_when_the_build_has_ended(codebuild, answers):
    start(new_key())
    assert answers == []
    waiting = str(codebuild.build)
    waiting += str([_decoded(item["value"]) for item in codebuild.variables().values()])
    assert "s3cret" not in waiting and "cloudformation.example" not in waiting
    end()
    ((request, answer),) = answers
    assert (request.url, request.id, request.resource) == (LINK, "r", "Job")
    assert answer.failure and "1-abc is not there" in answer.failure


def put_image() -> str:
    """Pushes the image, as a build does; returns its digest."""
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": {"digest": "c"}, "layers": []}
    image = boto3.client("ecr").put_image(
        repositoryName="acme-dev/job", imageManifest=json.dumps(manifest), imageTag="1-abc"
    )["image"]
    return str(image["imageId"]["imageDigest"])


def statement_bytes() -> bytes:
    body = boto3.client("s3").get_object(Bucket=BUCKET, Key=statement_key(IMAGE))["Body"]
    return bytes(body.read())


def test_what_was_built_is_stated_of_the_digest_that_ecr_reports_and_is_not_built_again(
    codebuild, answers
):
    start(new_key())
    digest = put_image()
    end()
    ((_, answer),) = answers
    assert answer.failure is None
    hold_against_the_published_schema(statement_bytes())
    statement = read_statement(statement_bytes(), build="image")
    assert statement.subject_digest("job:1-abc") == digest.removeprefix("sha256:")
    assert {item.name: dict(item.digest) for item in statement.dependencies} == {
        "base": {"sha256": "b" * 64},
        "source": {"dirHash": "5" * 64},
        "requirements/job.txt": {"sha256": "1" * 64},
    }
    assert statement.parameters["dockerfile"] == "Dockerfile"
    assert statement.builder == f"arn:aws:codebuild:eu-west-1:123456789012:project/{PROJECT}"
    before = statement_bytes()
    end()  # EventBridge may tell twice
    assert statement_bytes() == before

    codebuild.build = {}
    again = image_build._start(read_request(event(new_key())))
    assert again is not None and again.failure is None
    assert codebuild.build == {}
    other = before.replace(digest.removeprefix("sha256:").encode(), b"0" * 64)
    boto3.client("s3").put_object(Bucket=BUCKET, Key=statement_key(IMAGE), Body=other)
    again = image_build._start(read_request(event(new_key())))
    assert again is not None and again.failure
    assert "about another image" in again.failure


def test_an_image_whose_statement_cannot_be_kept_fails_with_the_way_out(codebuild, answers):
    start(new_key())
    put_image()
    boto3.client("s3").delete_bucket(Bucket=BUCKET)
    end()
    ((_, answer),) = answers
    assert "batch-delete-image --repository-name acme-dev/job --image-ids imageTag=1-abc" in (
        answer.failure or ""
    )


def test_an_image_that_somebody_else_pushed_under_the_next_tag_is_refused(codebuild, answers):
    """The tag follows from the source, so it is known before the build."""
    digest = put_image()
    answer = image_build._start(read_request(event(new_key())))
    assert answer is not None and answer.failure
    assert digest in answer.failure and "no provenance statement" in answer.failure
    assert "aws ecr batch-delete-image --repository-name acme-dev/job" in answer.failure
    assert codebuild.build == {}


@pytest.mark.parametrize("status", ["FAILED", "STOPPED"])
def test_an_image_that_was_pushed_while_its_build_ran_is_refused(codebuild, answers, status):
    """The build then fails to push: a tag never moves."""
    start(new_key())
    put_image()
    codebuild.build["buildStatus"] = status
    end()
    ((_, answer),) = answers
    assert answer.failure and "find out who pushed it" in answer.failure
    boto3.client("s3").put_object(Bucket=BUCKET, Key=statement_key(IMAGE), Body=b"{}")
    end()
    assert "its provenance statement is not valid" in (answers[1][1].failure or "")


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value).decode(errors="replace")
    except ValueError:
        return ""


def test_a_request_that_somebody_else_wrote_is_not_answered(codebuild, answers):
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


def test_a_build_that_a_person_started_answers_nobody(codebuild, answers):
    start(new_key())
    del codebuild.build["environment"]["environmentVariables"][-1]
    end()
    assert answers == []
