"""Has CodeBuild build an image in a deploy, and tells CloudFormation how that ended.

A build takes longer than a function may: the first call starts it and leaves CloudFormation
waiting; EventBridge calls again when CodeBuild has ended it, be it well, by a failure, its time or
a person's stop. What counts in the end is whether the tag is there: a tag never moves, and says
what the image is built from, so a deploy that is tried again builds nothing twice.

A build's variables are read by whoever may look at builds, and CloudFormation believes whoever has
its link: so the request waits there encrypted, for this function alone.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.exceptions import ClientError

from sashiko.aws.functions.custom_resource import Answer, Request, read_request, respond, send
from sashiko.aws.functions.function_input import ImageTag, WantedImage

# Of the build: CloudFormation's request, encrypted; the build itself has no use for it.
REQUEST = "CLOUDFORMATION_REQUEST"
# Of the encryption: the project whose builds wait with it.
CONTEXT = "build"


def handler(event: Mapping[str, Any], _context: object) -> None:
    """Takes CloudFormation's requests, and EventBridge's news of a build that has ended."""
    if "RequestType" in event:
        respond(event, _start)
    else:
        _finish(event["detail"]["build-id"].rpartition("/")[2])  # of an ARN


def _start(request: Request) -> Answer | None:
    tag = ImageTag.from_properties(request.properties)
    # Images go with their repository.
    if request.kind == "Delete" or _is_there(tag):
        return Answer(physical_id=tag.repository)
    wanted = WantedImage.from_properties(request.properties)
    own = {
        "IMAGE": wanted.image,
        "DOCKERFILE": wanted.dockerfile,
        "TARGET": wanted.target,
        "BASE": wanted.base,
        REQUEST: _sealed(request, wanted),
    }
    build = boto3.client("codebuild").start_build(
        projectName=wanted.project,
        environmentVariablesOverride=[
            {"name": name, "value": value, "type": "PLAINTEXT"} for name, value in own.items()
        ],
    )["build"]
    print(f"{wanted.image}: started {build['id']}")
    return None


def _finish(build_id: str) -> None:
    (build,) = boto3.client("codebuild").batch_get_builds(ids=[build_id])["builds"]
    given = {item["name"]: item["value"] for item in build["environment"]["environmentVariables"]}
    if REQUEST not in given:
        print(f"{build_id}: a person has started it, and nobody waits")
        return
    request = _opened(given[REQUEST], project=build["projectName"])
    tag = ImageTag.from_properties(request.properties)
    failure = None if _is_there(tag) else _failure(tag, build)
    send(request, Answer(physical_id=tag.repository, failure=failure))


def _is_there(tag: ImageTag) -> bool:
    try:
        boto3.client("ecr").describe_images(
            repositoryName=tag.repository, imageIds=[{"imageTag": tag.tag}]
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ImageNotFoundException":
            raise
        return False
    return True


def _failure(tag: ImageTag, build: Mapping[str, Any]) -> str:
    said = [
        context["message"]
        for phase in build.get("phases", ())
        if phase.get("phaseStatus", "SUCCEEDED") != "SUCCEEDED"
        for context in phase.get("contexts", ())
        if context.get("message")
    ]
    words = [
        f"{tag.image} is not there: its build ended as {build['buildStatus']}",
        *said[:1],
        f"its log: {build.get('logs', {}).get('deepLink', build['id'])}",
    ]
    return "; ".join(words)


def _sealed(request: Request, wanted: WantedImage) -> str:
    """Encrypts a request for `_opened`.

    KMS takes 4,096 bytes, of which the link alone may be 2,000, and a build some 5,500 characters
    of variables.
    """
    sealed = boto3.client("kms").encrypt(
        KeyId=wanted.key,
        Plaintext=json.dumps(_event(request)).encode(),
        EncryptionContext={CONTEXT: wanted.project},
    )
    return base64.b64encode(sealed["CiphertextBlob"]).decode()


def _opened(sealed: str, *, project: str) -> Request:
    """Decrypts what `_sealed` has made for a build of the project; another's is an error."""
    opened = boto3.client("kms").decrypt(
        CiphertextBlob=base64.b64decode(sealed), EncryptionContext={CONTEXT: project}
    )
    return read_request(json.loads(opened["Plaintext"]))


def _event(request: Request) -> dict[str, Any]:
    """Writes a request as the event that it was read from, with what `_finish` needs of it."""
    return {
        "RequestType": request.kind,
        "ResponseURL": request.url,
        "StackId": request.stack,
        "RequestId": request.id,
        "LogicalResourceId": request.resource,
        "PhysicalResourceId": request.physical_id,
        "ResourceProperties": ImageTag.from_properties(request.properties).properties(),
    }
