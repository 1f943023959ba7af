"""The images that the pipeline's jobs run in, and AWS's images that those are built from.

The project's own lie in ECR repositories of the account. `train` and `bias` are the job image with
another default entrypoint: SageMaker starts a training image with the one argument `train`, and the
bias image stands in for Clarify's, which is started without any. Nothing is looked up here.

In an account their tags say what they are built from (`image_content`), so that a definition, a
compile lock and a stack name the very image; on this machine, which builds none, the version.
"""

from dataclasses import dataclass

from sashiko import __version__
from sashiko.aws.resources.images.content import content_tag
from sashiko.aws.resources.images.image_map import (
    MAP_FILE,
    OwnImage,
    PinnedImage,
    image_map,
    pinned,
)
from sashiko.aws.resources.names import own_repository
from sashiko.errors import InputError
from sashiko.settings.environment import Settings, file_of
from sashiko.settings.types import ImageName

_ENTRYPOINTS: dict[OwnImage, tuple[str, ...]] = {
    "job": ("python3",),
    "train": ("python3", "-m", "sashiko.steps.train"),
    "bias": ("python3", "-m", "sashiko.steps.bias"),
    "serving": ("python3",),
}
_DOCKERFILES = {"serving": "images/serving/Dockerfile"}


@dataclass(frozen=True)
class JobImage:
    """An image's URI and what it runs when a job names no entrypoint.

    Attributes:
        uri: what a job names.
        entrypoint: the command.
        reference: the URI without what differs by account, region and environment.
        neuron_sdk: the Neuron SDK in it, if any.
        compiler: the version of its Neuron compiler, if any.
    """

    uri: str
    entrypoint: tuple[str, ...]
    neuron_sdk: str | None = None
    compiler: str | None = None

    @property
    def reference(self) -> str:
        """Returns name and tag or digest, which are the same in each environment."""
        return self.uri.rpartition("/")[2]

    def lock_environment(self) -> dict[str, str]:
        """Tells Compile what its lock is to say: a job cannot read its own image's name."""
        neuron = {"NEURON_SDK": self.neuron_sdk, "NEURON_COMPILER": self.compiler}
        known = {name: version for name, version in neuron.items() if version}
        return {"SERVING_IMAGE": self.reference, **known}


@dataclass(frozen=True)
class JobImages:
    """The pipeline's images by what they are for.

    Attributes:
        job: most steps.
        train: Train.
        bias: the bias steps; Clarify's own image where the settings say so.
        compile: Compile: the serving image itself, because a Neuron artifact is tied to its
            compiler and a GPU's model to its torch. ONNX is tied to neither, and the CPU serving
            image's torch is too old to write it: the job image does.
        serving: no job but the endpoint: the compile lock names it.
    """

    job: JobImage
    train: JobImage
    bias: JobImage
    compile: JobImage
    serving: JobImage

    def of_jobs(self) -> tuple[JobImage, ...]:
        """Returns every image that a job runs in."""
        return (self.job, self.train, self.bias, self.compile)


@dataclass(frozen=True)
class AwsImage:
    """One of AWS's images as an environment names it.

    Attributes:
        name: its name in the map.
        uri: by digest where one is pinned, else by tag.
        account: AWS's account that holds it in the region.
        digest: the pinned digest, if any.
        pin: what the map says of it.
    """

    name: ImageName
    uri: str
    account: str
    digest: str | None
    pin: PinnedImage


@dataclass(frozen=True)
class ImageBuild:
    """How one of the project's images is built: `docker build` in the repository's root.

    Attributes:
        image: the image.
        uri: what it is pushed as.
        dockerfile: relative to the root.
        target: the stage of it.
        base: AWS's image, for the build argument `BASE`.
    """

    image: OwnImage
    uri: str
    dockerfile: str
    target: str
    base: AwsImage

    @property
    def repository(self) -> str:
        """Returns the repository's name, such as `sashiko-dev/job`."""
        return self.uri.partition("/")[2].rpartition(":")[0]

    @property
    def tag(self) -> str:
        """Returns the tag, which says what the image is built from."""
        return self.uri.rpartition(":")[2]


def job_images(settings: Settings, target: str) -> JobImages:
    """Names the images that an environment's jobs run in.

    Args:
        settings: the environment.
        target: what the recipe compiles for.

    Raises:
        InputError: if there is no serving image for the target, or one is not in the region, if
            the training image does not run on the instance type that the settings name, or if
            Clarify's image is to run on this machine.
    """
    _check_training(settings)
    job, serving = _own(settings, "job", "job-cpu"), _serving(settings, target)
    return JobImages(
        job=job,
        train=_own(settings, "train", "job-gpu"),
        bias=_bias(settings),
        compile=job if target == "cpu" else serving,
        serving=serving,
    )


def aws_image(settings: Settings, name: str) -> AwsImage:
    """Names one of AWS's images in an environment's region.

    Raises:
        InputError: if the map lacks the image, or the image the region.
    """
    known, pin = pinned(name)
    accounts = image_map().regions(known)
    account = accounts.get(settings.region)
    if account is None:
        raise InputError(
            f"{file_of('region', settings.environment)}: key `region`: AWS has no image `{known}` "
            f"({pin.repository}) in {settings.region}; it has one in {', '.join(sorted(accounts))}"
            f" ({MAP_FILE})"
        )
    digest = settings.image_digests.get(known) or pin.digest
    return AwsImage(
        name=known,
        uri=_uri(account, settings.region, pin.repository, f"@{digest}" if digest else pin.tag),
        account=account,
        digest=digest,
        pin=pin,
    )


def image_builds(settings: Settings, target: str) -> tuple[ImageBuild, ...]:
    """Says how the project's images that a recipe needs are built.

    Args:
        settings: the environment.
        target: what the recipe compiles for.

    Raises:
        InputError: if AWS has a base not in the environment's region.
    """
    images = job_images(settings, target)
    needed = {image.uri for image in (*images.of_jobs(), images.serving)}
    bases = [aws_image(settings, name) for name in ("job-cpu", "job-gpu", f"serving-{target}")]
    found = [build for base in bases for build in builds_from(settings, base)]
    return tuple(build for build in found if build.uri in needed)


def builds_from(settings: Settings, base: AwsImage) -> tuple[ImageBuild, ...]:
    """Says how the project's images on one base are built."""
    return tuple(_build(settings, own, base) for own in base.pin.builds)


def _build(settings: Settings, own: OwnImage, base: AwsImage) -> ImageBuild:
    dockerfile = _DOCKERFILES.get(own, "images/job/Dockerfile")
    # Without the registry, which differs by region: one content has one tag everywhere.
    tag = content_tag(dockerfile=dockerfile, target=own, base=base.uri.rpartition("/")[2])
    return ImageBuild(
        image=own,
        uri=_own_uri(settings, own, tag),
        dockerfile=dockerfile,
        target=own,
        base=base,
    )


def _check_training(settings: Settings) -> None:
    base, instance = image_map().images["job-gpu"], settings.jobs.training.instance_type
    if instance.split(".")[1] in base.not_on:
        raise InputError(
            f"{file_of('jobs', settings.environment)}: key `jobs.training.instance_type`: the "
            f"training image ({base.tag}) does not run on {instance}, nor on any other of "
            f"{', '.join(f'ml.{family}' for family in base.not_on)}; ml.g5.xlarge is the default"
        )


def _bias(settings: Settings) -> JobImage:
    if settings.bias.backend == "own":
        return _own(settings, "bias", "job-cpu")
    if settings.tier == "local":
        raise InputError(
            f"{file_of('bias', settings.environment)}: key `bias.backend`: `clarify` is an image "
            "of AWS, which this machine does not run; set `own`"
        )
    return JobImage(uri=aws_image(settings, "clarify").uri, entrypoint=())


def _serving(settings: Settings, target: str) -> JobImage:
    name, pin = pinned(f"serving-{target}")
    if pin.builds:
        return _own(settings, "serving", name)
    return JobImage(
        uri=aws_image(settings, name).uri,
        entrypoint=_ENTRYPOINTS["serving"],
        neuron_sdk=pin.neuron.sdk if pin.neuron else None,
        compiler=pin.neuron.compiler if pin.neuron else None,
    )


def _own(settings: Settings, name: OwnImage, base: ImageName) -> JobImage:
    if settings.tier == "local":
        uri = _own_uri(settings, name, __version__)
    else:
        uri = _build(settings, name, aws_image(settings, base)).uri
    return JobImage(uri=uri, entrypoint=_ENTRYPOINTS[name])


def _own_uri(settings: Settings, name: OwnImage, tag: str) -> str:
    return _uri(settings.account, settings.region, own_repository(settings, name), tag)


def _uri(account: str, region: str, repository: str, version: str) -> str:
    """Names an image by tag, or by digest where `version` begins with `@`."""
    separator = "" if version.startswith("@") else ":"
    return f"{account}.dkr.ecr.{region}.amazonaws.com/{repository}{separator}{version}"
