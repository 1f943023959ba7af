"""Whether the images that the pipeline's jobs and the endpoint run in can be had."""

from collections.abc import Iterator
from functools import partial

from sashiko.aws.operations.doctor.check import Check, told
from sashiko.aws.resources.account import Account
from sashiko.aws.resources.images.job_images import job_images
from sashiko.aws.resources.images.own_images import (
    NO_REPOSITORY,
    has_repository,
    image_request,
    is_built,
)
from sashiko.settings.environment import Settings


def check_images(account: Account, settings: Settings, *, target: str) -> Iterator[Check]:
    """Asks each registry for each image: AWS's as a job that pulls it would.

    Args:
        account: the account.
        settings: the environment.
        target: what the recipe compiles for.
    """
    images = job_images(settings, target)
    uris = dict.fromkeys(image.uri for image in (*images.of_jobs(), images.serving))
    for uri in uris:
        registry, _, path = uri.partition("/")
        look = _own if registry.startswith(f"{settings.account}.") else _of_aws
        name = f"image {path}"
        yield from told(name, partial(look, account, settings, uri=uri, name=name))


def _own(account: Account, settings: Settings, *, uri: str, name: str) -> Check:
    if is_built(account, uri):
        detail = f"in the registry of {settings.account}"
        return Check(name=name, status="ok", detail=detail)
    deploy = f"make deploy ENV={settings.environment}"
    if not has_repository(account, uri):
        return Check(name=name, status="later", detail="the deploy builds it", fix=deploy)
    detail = "its repository is there, and not the image: it was not built, or removed"
    return Check(name=name, status="failed", detail=detail, fix=deploy)


def _of_aws(account: Account, settings: Settings, *, uri: str, name: str) -> Check:
    asked = image_request(uri)
    registry = asked["registryId"]
    found = account.read("ecr", "batch_get_image", absent=NO_REPOSITORY, **asked)
    if found and found.get("images"):
        return Check(name=name, status="ok", detail=f"in the registry of {registry}")
    look = f"sashiko images --env {settings.environment}"
    if found is None:
        detail = f"AWS's registry {registry} shows no such repository to you"
        return Check(name=name, status="unknown", detail=detail, fix=look)
    return Check(
        name=name,
        status="failed",
        detail=f"AWS's registry {registry} has the repository, and not this image",
        fix=f"{look}, then pin another tag in src/sashiko/aws/resources/images/images.yaml or "
        "another digest "
        f"as `image_digests` in config/{settings.environment}.yaml",
    )
