"""The images that the pipeline's jobs run in, and AWS's images that those are built from.

The project's own images are in ECR repositories of the account. `train` and `bias` are the job
image with another default entrypoint: SageMaker starts a training image with the single argument
`train`, and the bias image replaces Clarify's, which is started without arguments. No call is made
here.

In an account the tags are computed from the content (`images.content`), so that a definition, a
compile lock and a stack refer to the same image. This machine builds none, and uses the version.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sashiko import __version__
from sashiko.account.images.image_content import content_tag, materials
from sashiko.account.images.image_map import MAP_FILE, OwnImage, PinnedImage, image_map, pinned
from sashiko.account.names import own_repository
from sashiko.errors import InputError
from sashiko.settings.environment import Settings, file_of
from sashiko.settings.targets import load_target
from sashiko.settings.types import ImageName

_ENTRYPOINTS: dict[OwnImage, tuple[str, ...]] = {
    "job": ("python3",),
    "train": ("python3", "-m", "sashiko.steps.train"),
    "bias": ("python3", "-m", "sashiko.bias.steps.clarify_bias"),
    "serving": ("python3",),
}
_DOCKERFILES = {"serving": "images/serving/Dockerfile"}
_STAGES: dict[ImageName, str] = {"job-neuron": "train-neuron"}  # where it is not the image's name
_TRAINING_BASES: tuple[ImageName, ...] = ("job-gpu", "job-neuron")


@dataclass(frozen=True)
class JobImage:
    """An image's URI and what it runs when a job names no entrypoint.

    Attributes:
        uri: the URI in a job request.
        entrypoint: the command.
        reference: the URI without account, region and environment.
        neuron_sdk: the Neuron SDK in it, if any.
        compiler: the version of its Neuron compiler, if any.
    """

    uri: str
    entrypoint: tuple[str, ...]
    neuron_sdk: str | None = None
    compiler: str | None = None

    @property
    def reference(self) -> str:
        """Returns name and tag or digest, which are equal in all environments."""
        return self.uri.rpartition("/")[2]

    def lock_environment(self) -> dict[str, str]:
        """Returns the variables for the compile lock: a job cannot read its own image's name."""
        neuron = {"NEURON_SDK": self.neuron_sdk, "NEURON_COMPILER": self.compiler}
        versions = {name: version for name, version in neuron.items() if version}
        return {"SERVING_IMAGE": self.reference, **versions}


@dataclass(frozen=True)
class JobImages:
    """The pipeline's images by purpose.

    Attributes:
        job: most steps.
        train: Train.
        bias: the bias steps; Clarify's own image where the settings say so.
        compile: Compile: the job image or the serving image, as the compile target says.
        serving: the endpoint, not a job; the compile lock records it.
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
    """One of AWS's images in the region of an environment.

    Attributes:
        name: its name in the map.
        uri: by digest where one is pinned, else by tag.
        account: AWS's account that holds it in the region.
        digest: the pinned digest, if any.
        pin: its entry in the map.
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
        uri: the URI that it is pushed to.
        dockerfile: relative to the root.
        target: the stage of it.
        base: AWS's image, for the build argument `BASE`.
        materials: the locks and wheels in it: path -> hex SHA-256.
    """

    image: OwnImage
    uri: str
    dockerfile: str
    target: str
    base: AwsImage
    materials: Mapping[str, str]

    @property
    def repository(self) -> str:
        """Returns the repository's name, such as `sashiko-dev/job`."""
        return self.uri.partition("/")[2].rpartition(":")[0]

    @property
    def tag(self) -> str:
        """Returns the tag, which is computed from the image's content."""
        return self.uri.rpartition(":")[2]


def job_images(settings: Settings, target: str) -> JobImages:
    """Returns the images that an environment's jobs run in.

    Args:
        settings: the environment.
        target: the recipe's `compile.target`.

    Raises:
        InputError: if there is no such target, or no image for it in the region, if no training
            image runs on the instance type that the settings name, or if Clarify's image is to run
            on this machine.
    """
    job, serving = _own_image(settings, "job", "job-cpu"), serving_image(settings, target)
    return JobImages(
        job=job,
        train=_own_image(settings, "train", training_base(settings)),
        bias=_bias(settings),
        compile=job if load_target(target).compiled_in == "job" else serving,
        serving=serving,
    )


def aws_image(settings: Settings, name: str) -> AwsImage:
    """Returns one of AWS's images in an environment's region.

    Raises:
        InputError: if the map lacks the image, or the image the region.
    """
    image_name, pin = pinned(name)
    accounts = image_map().regions(image_name)
    account = accounts.get(settings.region)
    if account is None:
        raise InputError(
            f"{file_of('region', settings.environment)}: key `region`: AWS has no image "
            f"`{image_name}` ({pin.repository}) in {settings.region}; it has one in "
            f"{', '.join(sorted(accounts))} ({MAP_FILE})"
        )
    digest = settings.image_digests.get(image_name) or pin.digest
    return AwsImage(
        name=image_name,
        uri=_uri(account, settings.region, pin.repository, f"@{digest}" if digest else pin.tag),
        account=account,
        digest=digest,
        pin=pin,
    )


def image_builds(settings: Settings, target: str) -> tuple[ImageBuild, ...]:
    """Returns the builds of the project's images that a recipe needs.

    Args:
        settings: the environment.
        target: the recipe's `compile.target`.

    Raises:
        InputError: if a base image is not available in the environment's region.
    """
    images = job_images(settings, target)
    needed = {image.uri for image in (*images.of_jobs(), images.serving)}
    names: tuple[ImageName, ...] = (
        "job-cpu",
        training_base(settings),
        load_target(target).image,
    )
    bases = [aws_image(settings, name) for name in names]
    builds = [build for base in bases for build in builds_from(settings, base)]
    return tuple(build for build in builds if build.uri in needed)


def builds_from(settings: Settings, base: AwsImage) -> tuple[ImageBuild, ...]:
    """Returns the builds of the project's images on one base."""
    return tuple(_build(settings, image, base) for image in base.pin.builds)


def _build(settings: Settings, image: OwnImage, base: AwsImage) -> ImageBuild:
    dockerfile = _DOCKERFILES.get(image, "images/job/Dockerfile")
    stage = _STAGES.get(base.name, image)
    # Without the registry, which differs by region, so that equal content has an equal tag.
    tag = content_tag(dockerfile=dockerfile, target=stage, base=base.uri.rpartition("/")[2])
    return ImageBuild(
        image=image,
        uri=_own_uri(settings, image, tag),
        dockerfile=dockerfile,
        target=stage,
        base=base,
        materials=materials(dockerfile),
    )


def training_base(settings: Settings) -> ImageName:
    """Returns AWS's image that the training image is built from: CUDA's, or Neuron's for Trainium.

    Raises:
        InputError: if none runs on the instance type that the settings name.
    """
    instance, images = settings.jobs.training.instance_type, image_map().images
    for name in _TRAINING_BASES:
        if images[name].runs_on(instance):
            return name
    tags = " and ".join(images[name].tag for name in _TRAINING_BASES)
    raise InputError(
        f"{file_of('jobs', settings.environment)}: key `jobs.training.instance_type`: the training "
        f"images ({tags}) do not run on {instance}; ml.g5.xlarge is the default"
    )


def _bias(settings: Settings) -> JobImage:
    if settings.bias.backend == "own":
        return _own_image(settings, "bias", "job-cpu")
    if settings.tier == "local":
        raise InputError(
            f"{file_of('bias', settings.environment)}: key `bias.backend`: `clarify` is an image "
            "of AWS, which this machine does not run; set `own`"
        )
    return JobImage(uri=aws_image(settings, "clarify").uri, entrypoint=())


def serving_image(settings: Settings, target: str) -> JobImage:
    """Returns the image that serves what is compiled for a target.

    Raises:
        InputError: if there is no such target, or no image for it in the region.
    """
    name, pin = pinned(load_target(target).image)
    if pin.builds:
        return _own_image(settings, "serving", name)
    return JobImage(
        uri=aws_image(settings, name).uri,
        entrypoint=_ENTRYPOINTS["serving"],
        neuron_sdk=pin.neuron.sdk if pin.neuron else None,
        compiler=pin.neuron.compiler if pin.neuron else None,
    )


def _own_image(settings: Settings, name: OwnImage, base: ImageName) -> JobImage:
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
