"""Checks that the images of the pipeline's jobs and of the endpoint can be pulled."""

from collections.abc import Iterator
from functools import partial

from sashiko.account.account import Account
from sashiko.account.images.job_images import job_images
from sashiko.account.images.own_images import NO_REPOSITORY, has_repository, image_request, is_built
from sashiko.doctor.check import Check, run_check
from sashiko.settings.environment import Settings


def check_images(account: Account, settings: Settings, *, target: str) -> Iterator[Check]:
    """Asks the registries for each image; AWS's registries in the way a job pulls it."""
    images = job_images(settings, target)
    uris = dict.fromkeys(image.uri for image in (*images.of_jobs(), images.serving))
    for uri in uris:
        registry, _, path = uri.partition("/")
        check = _check_own if registry.startswith(f"{settings.account}.") else _check_aws
        name = f"image {path}"
        yield from run_check(name, partial(check, account, settings, uri=uri, name=name))


def _check_own(account: Account, settings: Settings, *, uri: str, name: str) -> Check:
    if is_built(account, uri):
        detail = f"in the registry of {settings.account}"
        return Check(name=name, status="ok", detail=detail)
    deploy = f"make deploy ENV={settings.environment}"
    if not has_repository(account, uri):
        return Check(name=name, status="later", detail="the deploy builds it", fix=deploy)
    detail = "its repository is there, and not the image: it was not built, or removed"
    return Check(name=name, status="failed", detail=detail, fix=deploy)


def _check_aws(account: Account, settings: Settings, *, uri: str, name: str) -> Check:
    request = image_request(uri)
    registry = request["registryId"]
    response = account.read("ecr", "batch_get_image", absent=NO_REPOSITORY, **request)
    if response and response.get("images"):
        return Check(name=name, status="ok", detail=f"in the registry of {registry}")
    advice = f"sashiko images --env {settings.environment}"
    if response is None:
        detail = f"AWS's registry {registry} shows no such repository to you"
        return Check(name=name, status="unknown", detail=detail, fix=advice)
    return Check(
        name=name,
        status="failed",
        detail=f"AWS's registry {registry} has the repository, and not this image",
        fix=f"{advice}, then pin another tag in src/sashiko/account/images/images.yaml or "
        "another digest "
        f"as `image_digests` in config/{settings.environment}.yaml",
    )
