"""The images that the pipeline's jobs run in, and AWS's images that those are built from.

The project's own images are in ECR repositories of the account. `train` and `bias` are the job
image with another default entrypoint: SageMaker starts a training image with the single argument
`train`, and the bias image replaces Clarify's, which is started without arguments. No call is made
here.

In an account the tags are computed from the content (`content_tag`), so that a definition, a
compile lock and a stack refer to the same image. This machine builds none, and uses the version.
"""

import datetime as dt
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import translate
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sashiko import __version__
from sashiko.account.names import own_repository
from sashiko.base.yaml_models import Frozen, read_yaml, validate
from sashiko.errors import InputError
from sashiko.settings.environment import Settings, file_of
from sashiko.settings.targets import load_target
from sashiko.settings.types import ImageDigest, ImageName

MAP_FILE = Path(__file__).with_name("images.yaml")
OwnImage = Literal["job", "bias", "train", "serving"]
_Account = Annotated[str, Field(pattern=r"^\d{12}$")]


class Registry(Frozen):
    """The accounts that hold a group of images."""

    source: str  # the page that lists the accounts
    checked: dt.date  # the day on which they were read there
    accounts: dict[str, _Account]  # region -> account


class Neuron(Frozen):
    """The versions that a compiled Neuron artifact depends on."""

    sdk: str  # version of the Neuron SDK
    compiler: str  # version of neuronx-cc


class PinnedImage(Frozen):
    """One of AWS's images."""

    # The project's images that are built from it; none if jobs run it unchanged.
    builds: tuple[OwnImage, ...]
    not_on: tuple[str, ...] = ()  # families of instance types that it does not run on
    # The families that it runs on; None: all that `not_on` does not name.
    only_on: tuple[str, ...] | None = None
    registry: str  # the name of its registry
    regions: tuple[str, ...] | None = None  # its regions; those of its registry if None
    repository: str  # its repository
    tag: str  # its tag
    digest: ImageDigest | None  # of its manifest, where a public source states it
    python: str | None = None  # its Python, where the source states it
    # Package -> version, for packages that code or locks of this repository need.
    packages: dict[str, str] = Field(default_factory=dict)
    neuron: Neuron | None = None  # the Neuron SDK in it, if any
    sources: tuple[str, ...] = Field(min_length=1)  # the pages that state the above
    checked: dt.date  # the day on which it was read there


class ImageMap(Frozen):
    """All of AWS's images that the project uses."""

    registries: dict[str, Registry]  # name -> registry
    images: dict[ImageName, PinnedImage]  # name -> image

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name, image in self.images.items():
            registry = self.registries.get(image.registry)
            if registry is None:
                known = ", ".join(sorted(self.registries))
                raise ValueError(f"{name}: no registry `{image.registry}`; known: {known}")
            if missing := set(image.regions or ()) - set(registry.accounts):
                names = ", ".join(sorted(missing))
                raise ValueError(f"{name}: {image.registry} has no account in {names}")
        return self

    def regions(self, name: ImageName) -> dict[str, str]:
        """Returns region -> account of an image."""
        image = self.images[name]
        accounts = self.registries[image.registry].accounts
        return {
            region: account
            for region, account in accounts.items()
            if image.regions is None or region in image.regions
        }


@cache
def image_map() -> ImageMap:
    """Reads the map."""
    return read_image_map(MAP_FILE)


def read_image_map(path: Path) -> ImageMap:
    """Reads a map of images; InputError naming file, key and problem."""
    return validate(ImageMap, read_yaml(path), source=str(path))


def pinned(name: str) -> tuple[ImageName, PinnedImage]:
    """Finds an image by name; InputError naming the file and the known images."""
    for image_name, image in image_map().images.items():
        if image_name == name:
            return image_name, image
    known = ", ".join(image_map().images)
    raise InputError(f"{MAP_FILE}: key `images`: no image `{name}`; known: {known}")


_IGNORED = "**/"
_Hashes = Callable[[str], dict[str, str]]
_COPY = re.compile(r"^COPY (?P<sources>.*) \S+$", re.M)
_MATERIAL = re.compile(r"(.*/)?requirements/[^/]+\.txt$|.*\.whl$")


def content_tag(files: Mapping[str, str], *, target: str, base: str) -> str:
    """Returns the version and twelve digits of a hash of an image's content.

    Only paths and bytes of files count, not times, modes or order: each checkout of a commit gives
    the same tag. `files` are a Dockerfile's `source_hashes`, `target` the stage that is built,
    `base` AWS's image by name and tag or digest.
    """
    content = json.dumps({"base": base, "files": files, "target": target}, sort_keys=True)
    return f"{__version__}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def source_hashes(dockerfile: str) -> dict[str, str]:
    """Returns a Dockerfile and the files that it copies: path -> hex SHA-256.

    InputError if one does not exist; `dockerfile` is relative to the project's root.
    """
    paths = (_file(dockerfile), *copied_files(dockerfile))
    return {path.as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def copied_files(dockerfile: str) -> list[Path]:
    """Returns the files that a Dockerfile copies, without those that .dockerignore excludes."""
    text = _file(dockerfile).read_text()
    sources = [source for line in _COPY.finditer(text) for source in line["sources"].split()]
    return sorted({path for source in sources for path in _files(dockerfile, source)})


def ignore_rules() -> list[str]:
    """Returns the lines of .dockerignore."""
    lines = _file(".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _file(name: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise InputError(
            f"{name} is not in {Path.cwd()}: the images of an environment with an account are "
            "named by what they are built from; run this in the project's root"
        )
    return path


def _files(dockerfile: str, source: str) -> Iterator[Path]:
    path = Path(source)
    if path.is_file():
        yield path
    elif path.is_dir():
        rules = [rule.removeprefix(_IGNORED) for rule in ignore_rules() if _IGNORED in rule]
        ignored = re.compile("|".join(map(translate, rules)) or r"\Z.").match
        for folder, folders, files in os.walk(path):
            folders[:] = [name for name in folders if not ignored(name)]
            kept = (Path(folder, name) for name in files if not ignored(name))
            yield from (file for file in kept if file.is_file())
    else:
        raise InputError(
            f"{dockerfile}: COPY {source}: there is no such file or folder in {Path.cwd()}"
        )


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
    """An image's URI and what it runs when a job names no entrypoint."""

    uri: str  # the URI in a job request
    entrypoint: tuple[str, ...]  # the command
    neuron: Neuron | None = None  # the Neuron SDK in it, if any

    @property
    def reference(self) -> str:
        """Returns name and tag or digest, which are equal in all environments."""
        return self.uri.rpartition("/")[2]

    def lock_environment(self) -> dict[str, str]:
        """Returns the variables for the compile lock: a job cannot read its own image's name."""
        if self.neuron is None:
            return {"SERVING_IMAGE": self.reference}
        versions = {"NEURON_SDK": self.neuron.sdk, "NEURON_COMPILER": self.neuron.compiler}
        return {"SERVING_IMAGE": self.reference, **versions}


@dataclass(frozen=True)
class JobImages:
    """The pipeline's images by purpose."""

    job: JobImage  # most steps
    train: JobImage  # Train
    bias: JobImage  # the bias steps; Clarify's own image where the settings say so
    compile: JobImage  # Compile: the job image or the serving image, as the compile target says
    serving: JobImage  # the endpoint, not a job; the compile lock records it

    def of_jobs(self) -> tuple[JobImage, ...]:
        """Returns every image that a job runs in."""
        return (self.job, self.train, self.bias, self.compile)


@dataclass(frozen=True)
class AwsImage:
    """One of AWS's images in the region of an environment."""

    name: ImageName  # its name in the map
    uri: str  # by digest where one is pinned, else by tag
    pin: PinnedImage  # its entry in the map


@dataclass(frozen=True)
class ImageBuild:
    """How one of the project's images is built: `docker build` in the repository's root."""

    image: OwnImage  # the image
    uri: str  # the URI that it is pushed to
    dockerfile: str  # relative to the root
    target: str  # the stage of it
    base: AwsImage  # AWS's image, for the build argument `BASE`
    materials: Mapping[str, str]  # the locks and wheels in it: path -> hex SHA-256

    @property
    def repository(self) -> str:
        """Returns the repository's name, such as `sashiko-dev/job`."""
        return self.uri.partition("/")[2].rpartition(":")[0]

    @property
    def tag(self) -> str:
        """Returns the tag, which is computed from the image's content."""
        return self.uri.rpartition(":")[2]


def job_images(settings: Settings, target: str) -> JobImages:
    """Returns the images that an environment's jobs run in; `target` is the `compile.target`.

    InputError if there is no such target, or no image for it in the region, if no training image
    runs on the instance type that the settings name, or if Clarify's is to run on this machine.
    """
    # Three images are of one Dockerfile, whose files are hashed once.
    hashes = cache(source_hashes)
    job = _own_image(settings, "job", "job-cpu", hashes)
    serving = serving_image(settings, target, hashes)
    if settings.bias.backend == "own":
        bias = _own_image(settings, "bias", "job-cpu", hashes)
    elif settings.tier == "local":
        raise InputError(
            f"{file_of('bias', settings.environment)}: key `bias.backend`: `clarify` is an image "
            "of AWS, which this machine does not run; set `own`"
        )
    else:
        bias = JobImage(uri=aws_image(settings, "clarify").uri, entrypoint=())
    return JobImages(
        job=job,
        train=_own_image(settings, "train", training_base(settings), hashes),
        bias=bias,
        compile=job if load_target(target).compiled_in == "job" else serving,
        serving=serving,
    )


def aws_image(settings: Settings, name: str) -> AwsImage:
    """Returns one of AWS's images in a region; InputError if the map or the region lacks it."""
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
        pin=pin,
    )


def image_builds(settings: Settings, target: str) -> tuple[ImageBuild, ...]:
    """Returns the builds of the project's images that a recipe with the `compile.target` needs."""
    images = job_images(settings, target)
    needed = {image.uri for image in (*images.of_jobs(), images.serving)}
    names = ("job-cpu", training_base(settings), load_target(target).image)
    bases = [aws_image(settings, name) for name in names]
    hashes = cache(source_hashes)
    builds = [_build(settings, image, base, hashes) for base in bases for image in base.pin.builds]
    return tuple(build for build in builds if build.uri in needed)


def _build(settings: Settings, image: OwnImage, base: AwsImage, hashes: _Hashes) -> ImageBuild:
    dockerfile = _DOCKERFILES.get(image, "images/job/Dockerfile")
    files = hashes(dockerfile)
    stage = _STAGES.get(base.name, image)
    # Without the registry, which differs by region, so that equal content has an equal tag.
    tag = content_tag(files, target=stage, base=base.uri.rpartition("/")[2])
    return ImageBuild(
        image=image,
        uri=_own_uri(settings, image, tag),
        dockerfile=dockerfile,
        target=stage,
        base=base,
        materials={name: digest for name, digest in files.items() if _MATERIAL.match(name)},
    )


def training_base(settings: Settings) -> ImageName:
    """Returns AWS's image that the training image is built from: CUDA's, or Neuron's for Trainium.

    InputError if none runs on the instance type that the settings name.
    """
    instance, images = settings.jobs.training.instance_type, image_map().images
    family = instance.split(".")[1]
    for name in _TRAINING_BASES:
        image = images[name]
        if family not in image.not_on and (image.only_on is None or family in image.only_on):
            return name
    tags = " and ".join(images[name].tag for name in _TRAINING_BASES)
    raise InputError(
        f"{file_of('jobs', settings.environment)}: key `jobs.training.instance_type`: the training "
        f"images ({tags}) do not run on {instance}; ml.g5.xlarge is the default"
    )


def serving_image(settings: Settings, target: str, hashes: _Hashes = source_hashes) -> JobImage:
    """Returns the image that serves what is compiled for a target; errors as `aws_image`."""
    name, pin = pinned(load_target(target).image)
    if pin.builds:
        return _own_image(settings, "serving", name, hashes)
    uri, entrypoint = aws_image(settings, name).uri, _ENTRYPOINTS["serving"]
    return JobImage(uri=uri, entrypoint=entrypoint, neuron=pin.neuron)


def _own_image(settings: Settings, name: OwnImage, base: ImageName, hashes: _Hashes) -> JobImage:
    if settings.tier == "local":
        uri = _own_uri(settings, name, __version__)
    else:
        uri = _build(settings, name, aws_image(settings, base), hashes).uri
    return JobImage(uri=uri, entrypoint=_ENTRYPOINTS[name])


def _own_uri(settings: Settings, name: OwnImage, tag: str) -> str:
    return _uri(settings.account, settings.region, own_repository(settings, name), tag)


def _uri(account: str, region: str, repository: str, version: str) -> str:
    """Names an image by tag, or by digest where `version` begins with `@`."""
    separator = "" if version.startswith("@") else ":"
    return f"{account}.dkr.ecr.{region}.amazonaws.com/{repository}{separator}{version}"
