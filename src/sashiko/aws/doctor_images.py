"""Whether the images that the pipeline's jobs and the endpoint run in can be had."""

from collections.abc import Iterator
from functools import partial

from sashiko.aws.account import Account
from sashiko.aws.check import Check, told
from sashiko.aws.images import job_images
from sashiko.settings import Settings

_NO_REPOSITORY = ("RepositoryNotFoundException",)


def check_images(account: Account, settings: Settings, *, target: str) -> Iterator[Check]:
    """Asks each registry for each image, as a job that pulls it would.

    Args:
        account: the account.
        settings: the environment.
        target: what the recipe compiles for.
    """
    images = job_images(settings, target)
    uris = dict.fromkeys(image.uri for image in (*images.of_jobs(), images.serving))
    for uri in uris:
        yield from told(f"image {uri.partition('/')[2]}", partial(_image, account, settings, uri))


def _image(account: Account, settings: Settings, uri: str) -> Check:
    host, _, path = uri.partition("/")
    registry = host.split(".")[0]
    repository, by_digest, digest = path.partition("@")
    if not by_digest:
        repository, _, tag = path.rpartition(":")
    wanted = {"imageDigest": digest} if by_digest else {"imageTag": tag}
    name, own = f"image {path}", registry == settings.account
    found = account.read(
        "ecr",
        "batch_get_image",
        absent=_NO_REPOSITORY,
        registryId=registry,
        repositoryName=repository,
        imageIds=[wanted],
    )
    if found and found.get("images"):
        return Check(name=name, status="ok", detail=f"in the registry of {registry}")
    deploy = f"make deploy ENV={settings.environment}"
    if found is None and own:
        return Check(name=name, status="later", detail="the deploy builds it", fix=deploy)
    if own:
        detail = "its repository is there, and not the image: it was not built, or removed"
        return Check(name=name, status="failed", detail=detail, fix=deploy)
    look = f"sashiko images --env {settings.environment}"
    if found is None:
        detail = f"AWS's registry {registry} shows no such repository to you"
        return Check(name=name, status="unknown", detail=detail, fix=look)
    return Check(
        name=name,
        status="failed",
        detail=f"AWS's registry {registry} has the repository, and not this image",
        fix=f"{look}, then pin another tag in src/sashiko/aws/images.yaml or another digest as "
        f"`image_digests` in config/{settings.environment}.yaml",
    )
