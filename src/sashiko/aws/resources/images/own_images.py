"""Whether an image is in its registry: what ECR is asked, and of the account's own the answer."""

from typing import Any

from sashiko.aws.resources.account import Account
from sashiko.aws.resources.names import Role

NO_REPOSITORY = ("RepositoryNotFoundException",)


def image_request(uri: str) -> dict[str, Any]:
    """Returns the parameters that name an image to ECR: registry, repository, tag or digest."""
    host, _, path = uri.partition("/")
    repository, by_digest, digest = path.partition("@")
    wanted = {"imageDigest": digest}
    if not by_digest:
        repository, _, tag = path.rpartition(":")
        wanted = {"imageTag": tag}
    return {
        "registryId": host.partition(".")[0],
        "repositoryName": repository,
        "imageIds": [wanted],
    }


def is_built(account: Account, uri: str, *, by: Role | None = None) -> bool:
    """Asks whether an image of the account's own is there.

    Args:
        account: the account.
        uri: the image, by tag or by digest.
        by: the role that may ask, for the message to others.

    Raises:
        InputError: if the caller may not ask.
    """
    absent = ("ImageNotFoundException", *NO_REPOSITORY)
    found = account.read("ecr", "describe_images", absent=absent, by=by, **image_request(uri))
    return found is not None


def has_repository(account: Account, uri: str) -> bool:
    """Asks whether an image of the account's own has its repository. Errors as `is_built`."""
    asked = image_request(uri)
    del asked["imageIds"]
    found = account.read("ecr", "describe_images", absent=NO_REPOSITORY, maxResults=1, **asked)
    return found is not None
