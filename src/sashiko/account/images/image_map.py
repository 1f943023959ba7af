"""AWS's images as `images.yaml` pins them: account per region, tag, digest, contents."""

import datetime as dt
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sashiko.base.yaml_models import Frozen, read_yaml, validate
from sashiko.errors import InputError
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

    def runs_on(self, instance_type: str) -> bool:
        """Returns whether it runs on an instance type, such as `ml.g5.xlarge`."""
        family = instance_type.split(".")[1]
        return family not in self.not_on and (self.only_on is None or family in self.only_on)


class ImageMap(Frozen):
    """All of AWS's images that the project uses."""

    no_digest: str  # the message for an image without a digest
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
