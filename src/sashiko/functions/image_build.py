"""Builds an image with CodeBuild in a deploy, and reports the result to CloudFormation.

A build takes longer than a function may run: the first call starts it and leaves CloudFormation
waiting; EventBridge calls again when the build has succeeded, failed, timed out or was stopped. The
result is whether the tag exists: a tag never moves and is computed from the content, so a repeated
deploy builds nothing twice.

The function then writes the statement of the image's provenance: the digest as ECR reports it, what
the build was started with, and two digests that the build exports, of its source and of its base.

Every reader of builds can see their variables, and CloudFormation accepts a response from every
holder of the link: so the build carries the request encrypted for this function.
"""

import base64
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

import boto3
from botocore.exceptions import ClientError

from sashiko.base.custom_resource import Answer, Request, read_request, respond, send
from sashiko.base.function_input import EXPORTED, ImageTag, WantedImage
from sashiko.registry.attestation import (
    Resource,
    Statement,
    image_purl,
    read_statement,
    statement_key,
)

# The build's variable with CloudFormation's encrypted request; the build itself does not use it.
REQUEST = "CLOUDFORMATION_REQUEST"
# The key of the encryption context: the CodeBuild project.
CONTEXT = "build"
# Seconds between tries: a minute in all, of the function's two.
_WAITS = (2, 4, 8, 16, 30)


def handler(event: Mapping[str, Any], _context: object) -> None:
    """Handles CloudFormation's requests, and EventBridge's events of ended builds."""
    if "RequestType" in event:
        respond(event, _start)
    else:
        _finish(event["detail"]["build-id"].rpartition("/")[2])  # of an ARN


def _start(request: Request) -> Answer | None:
    tag = ImageTag.from_properties(request.properties)
    # Images go with their repository.
    if request.kind == "Delete":
        return Answer(physical_id=tag.repository)
    if digest := _digest(tag):
        return Answer(physical_id=tag.repository, failure=_unvouched(tag, digest))
    image = WantedImage.from_properties(request.properties)
    variables = {
        "IMAGE": image.image,
        "DOCKERFILE": image.dockerfile,
        "TARGET": image.target,
        "BASE": image.base,
        "MATERIALS": image.materials,
        REQUEST: _encrypt(request, image),
    }
    build = boto3.client("codebuild").start_build(
        projectName=image.project,
        environmentVariablesOverride=[
            {"name": name, "value": value, "type": "PLAINTEXT"} for name, value in variables.items()
        ],
    )["build"]
    print(f"{image.image}: started {build['id']}")
    return None


def _finish(build_id: str) -> None:
    (build,) = boto3.client("codebuild").batch_get_builds(ids=[build_id])["builds"]
    variables = _values(build["environment"]["environmentVariables"])
    if REQUEST not in variables:
        print(f"{build_id}: started by a person, no request is waiting")
        return
    request = _decrypt(variables[REQUEST], project=build["projectName"])
    tag = ImageTag.from_properties(request.properties)
    digest = _digest(tag)
    failure: str | None
    if digest is None:
        messages = [
            context["message"]
            for phase in build.get("phases", ())
            if phase.get("phaseStatus", "SUCCEEDED") != "SUCCEEDED"
            for context in phase.get("contexts", ())
            if context.get("message")
        ]
        ended = f"{tag.image} is not there: its build ended as {build['buildStatus']}"
        log = f"its log: {build.get('logs', {}).get('deepLink', build['id'])}"
        failure = "; ".join([ended, *messages[:1], log])
    elif build["buildStatus"] == "SUCCEEDED":
        failure = _write_statement(tag, digest, build)
    else:
        failure = _unvouched(tag, digest)
    send(request, Answer(physical_id=tag.repository, failure=failure))


def _digest(tag: ImageTag) -> str | None:
    try:
        images = boto3.client("ecr").describe_images(
            repositoryName=tag.repository, imageIds=[{"imageTag": tag.tag}]
        )["imageDetails"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ImageNotFoundException":
            raise
        return None
    return str(images[0]["imageDigest"])


def _unvouched(tag: ImageTag, digest: str) -> str | None:
    """Returns why an image that is there already may not be used, or None.

    The next tag follows from the source, so whoever may push can be faster than the build. This
    function alone may write a statement (the bucket's policy), and it writes one of its own builds.
    """
    try:
        body = boto3.client("s3").get_object(Bucket=tag.bucket, Key=statement_key(tag.image))
        statement = read_statement(body["Body"].read(), build="image")
        name = tag.image.rpartition("/")[2]
        if statement.subject_digest(name) == digest.removeprefix("sha256:"):
            return None
        reason = "its provenance statement is about another image"
    except ValueError as error:
        reason = f"its provenance statement is not valid: {error}"
    except ClientError as error:
        # Without permission to list, S3 answers with AccessDenied for what is not there.
        if error.response["Error"]["Code"] not in {"NoSuchKey", "AccessDenied"}:
            raise
        reason = f"it has no provenance statement ({error})"
    return (
        f"{tag.image} is there already with the digest {digest}, and {reason}: find out who pushed "
        f"it, {_deletion(tag)}"
    )


def _deletion(tag: ImageTag) -> str:
    return (
        f"delete the image (aws ecr batch-delete-image --repository-name {tag.repository} "
        f"--image-ids imageTag={tag.tag}) and deploy again"
    )


def _write_statement(tag: ImageTag, digest: str, build: Mapping[str, Any]) -> str | None:
    """Writes the statement about an image; returns why there is none, or None.

    An event may come twice: the same build gives the same bytes.
    """
    place = {"Bucket": tag.bucket, "Key": statement_key(tag.image)}
    try:
        boto3.client("s3").put_object(**place, Body=_statement(tag, digest, build).to_json())
    except ClientError as error:
        return (
            f"{tag.image} was built, but its provenance statement cannot be written: {error}; "
            f"{_deletion(tag)}"
        )
    return None


def _statement(tag: ImageTag, digest: str, build: Mapping[str, Any]) -> Statement:
    request = _values(build["environment"]["environmentVariables"])
    exported = _values(build.get("exportedEnvironmentVariables", ()))
    base_digest, source_hash = (exported.get(name, "") for name in EXPORTED)
    source = [Resource(name="source", digest={"dirHash": source_hash})] if source_hash else []
    materials = (item.partition("=") for item in request["MATERIALS"].split())

    def image(name: str, uri: str, digest: str) -> Resource:
        hashed = {"sha256": digest.removeprefix("sha256:")} if digest else {}
        return Resource(name=name, uri=image_purl(uri), digest=hashed)

    return Statement(
        build="image",
        subject=(image(tag.image.rpartition("/")[2], tag.image, digest),),
        parameters={name.lower(): request[name] for name in ("BASE", "DOCKERFILE", "TARGET")},
        dependencies=(
            image("base", request["BASE"], base_digest),
            *source,
            *(Resource(name=name, digest={"sha256": value}) for name, _, value in materials),
        ),
        builder=str(build["arn"]).rpartition(":build/")[0] + f":project/{build['projectName']}",
        invocation=str(build["id"]),
    )


def _values(variables: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {item["name"]: item["value"] for item in variables}


def _encrypt(request: Request, image: WantedImage) -> str:
    """Encrypts a request for `_decrypt`.

    KMS takes 4,096 bytes, of which the link alone may be 2,000, and a build some 5,500 characters
    of variables. The stack that calls the function attaches the permission seconds before, and IAM
    may take longer to apply it ("Troubleshoot IAM: changes that I make are not always immediately
    visible", IAM User Guide), so a denial is tried again.
    """
    event = {
        "RequestType": request.kind,
        "ResponseURL": request.url,
        "StackId": request.stack,
        "RequestId": request.id,
        "LogicalResourceId": request.resource,
        "PhysicalResourceId": request.physical_id,
        "ResourceProperties": ImageTag.from_properties(request.properties).properties(),
    }
    text, context = json.dumps(event).encode(), {CONTEXT: image.project}
    kms = boto3.client("kms")
    for wait in (*_WAITS, None):
        try:
            response = kms.encrypt(KeyId=image.key, Plaintext=text, EncryptionContext=context)
        except ClientError as error:
            if wait is None or error.response["Error"]["Code"] != "AccessDeniedException":
                raise
            time.sleep(wait)
        else:
            break
    return base64.b64encode(response["CiphertextBlob"]).decode()


def _decrypt(ciphertext: str, *, project: str) -> Request:
    """Decrypts the output of `_encrypt` for the project; that of another project is an error."""
    response = boto3.client("kms").decrypt(
        CiphertextBlob=base64.b64decode(ciphertext), EncryptionContext={CONTEXT: project}
    )
    return read_request(json.loads(response["Plaintext"]))
