"""Requests to ECR for an image, and checks of the images in the account's own registry."""

from typing import Any

from sashiko.account.account import Account
from sashiko.account.names import Role

NO_REPOSITORY = ("RepositoryNotFoundException",)


def image_request(uri: str) -> dict[str, Any]:
    """Returns the parameters of an ECR request: registry, repository, tag or digest."""
    host, _, path = uri.partition("/")
    repository, by_digest, digest = path.partition("@")
    image_id = {"imageDigest": digest}
    if not by_digest:
        repository, _, tag = path.rpartition(":")
        image_id = {"imageTag": tag}
    return {
        "registryId": host.partition(".")[0],
        "repositoryName": repository,
        "imageIds": [image_id],
    }


def is_built(account: Account, uri: str, *, role: Role | None = None) -> bool:
    """Checks that an image exists in the account's own registry.

    Args:
        account: the account.
        uri: the image, by tag or by digest.
        role: the role that may make the call, for the error message.

    Raises:
        InputError: if the caller lacks the permission.
    """
    absent = ("ImageNotFoundException", *NO_REPOSITORY)
    response = account.read(
        "ecr", "describe_images", absent=absent, role=role, **image_request(uri)
    )
    return response is not None


def has_repository(account: Account, uri: str) -> bool:
    """Checks that the repository of an own image exists. Errors as `is_built`."""
    request = image_request(uri)
    del request["imageIds"]
    response = account.read("ecr", "describe_images", absent=NO_REPOSITORY, maxResults=1, **request)
    return response is not None
