"""`sashiko images`: AWS's images that an environment builds from, and how to pin them."""

import json
from collections.abc import Mapping

import typer

from sashiko.account.images.image_map import image_map
from sashiko.account.images.job_images import AwsImage, aws_image, builds_from
from sashiko.commands.options import AsJson, DeployedEnvironment
from sashiko.errors import InputError
from sashiko.settings.environment import Settings, load_deployed


def images(env: DeployedEnvironment = "dev", json_: AsJson = False) -> None:
    """Print AWS's images in the environment's region, and how to pin those without a digest.

    Reads only the pinned map. An image that AWS does not have in the region is listed with the
    regions that have it.
    """
    settings = load_deployed(env)
    available, unavailable = _find_images(settings)
    if json_:
        typer.echo(json.dumps(_as_json(settings, available, unavailable), indent=2))
        return
    for image in available:
        builds = ", ".join(build.uri.rpartition("/")[2] for build in builds_from(settings, image))
        typer.echo(f"{image.name}: {image.uri}")
        typer.echo(f"  {f'builds {builds}' if builds else 'used as it is'}")
        typer.echo(f"  source: {image.pin.sources[0]}, {image.pin.checked}")
        if image.digest is None:
            typer.echo(f"  no digest; look it up: {digest_command(settings, image)}")
    for problem in unavailable:
        typer.echo(f"not here: {problem}")
    if any(image.digest is None for image in available):
        typer.echo(f"\n{image_map().no_digest}")


def digest_command(settings: Settings, image: AwsImage) -> str:
    """Returns the command that looks an image's digest up; it needs an account's credentials."""
    return (
        f"aws ecr describe-images --registry-id {image.account} --region {settings.region} "
        f"--repository-name {image.pin.repository} --image-ids imageTag={image.pin.tag} "
        "--query 'imageDetails[0].imageDigest' --output text"
    )


def _find_images(settings: Settings) -> tuple[list[AwsImage], list[str]]:
    available, unavailable = [], []
    for name in image_map().images:
        try:
            available.append(aws_image(settings, name))
        except InputError as error:
            unavailable.append(str(error))
    return available, unavailable


def _as_json(
    settings: Settings, available: list[AwsImage], unavailable: list[str]
) -> Mapping[str, object]:
    return {
        "images": [
            {
                "name": image.name,
                "uri": image.uri,
                "digest": image.digest,
                "look_up": None if image.digest else digest_command(settings, image),
                **image.pin.model_dump(mode="json", include={"sources", "checked"}),
            }
            for image in available
        ],
        "builds": [
            {
                "image": build.image,
                "uri": build.uri,
                "dockerfile": build.dockerfile,
                "target": build.target,
                "base": build.base.uri,
            }
            for image in available
            for build in builds_from(settings, image)
        ],
        "lacking": unavailable,
    }
