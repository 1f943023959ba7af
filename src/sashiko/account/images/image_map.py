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
    """The accounts that hold a group of images.

    Attributes:
        source: the page that lists the accounts.
        checked: the day on which they were read there.
        accounts: region -> account.
    """

    source: str
    checked: dt.date
    accounts: dict[str, _Account]


class Neuron(Frozen):
    """The versions that a compiled Neuron artifact depends on.

    Attributes:
        sdk: version of the Neuron SDK.
        compiler: version of neuronx-cc.
    """

    sdk: str
    compiler: str


class PinnedImage(Frozen):
    """One of AWS's images.

    Attributes:
        builds: the project's images that are built from it; none if jobs run it unchanged.
        not_on: families of instance types that it does not run on.
        only_on: the families that it runs on; None: all that `not_on` does not name.
        registry: the name of its registry.
        regions: its regions; those of its registry if None.
        repository: its repository.
        tag: its tag.
        digest: of its manifest, where a public source states it.
        python: its Python, where the source states it.
        packages: package -> version, for packages that code or locks of this repository need.
        neuron: the Neuron SDK in it, if any.
        sources: the pages that state the above.
        checked: the day on which it was read there.
    """

    builds: tuple[OwnImage, ...]
    not_on: tuple[str, ...] = ()
    only_on: tuple[str, ...] | None = None
    registry: str
    regions: tuple[str, ...] | None = None
    repository: str
    tag: str
    digest: ImageDigest | None
    python: str | None = None
    packages: dict[str, str] = Field(default_factory=dict)
    neuron: Neuron | None = None
    sources: tuple[str, ...] = Field(min_length=1)
    checked: dt.date

    def runs_on(self, instance_type: str) -> bool:
        """Returns whether it runs on an instance type, such as `ml.g5.xlarge`."""
        family = instance_type.split(".")[1]
        return family not in self.not_on and (self.only_on is None or family in self.only_on)


class ImageMap(Frozen):
    """All of AWS's images that the project uses.

    Attributes:
        no_digest: the message for an image without a digest.
        registries: name -> registry.
        images: name -> image.
    """

    no_digest: str
    registries: dict[str, Registry]
    images: dict[ImageName, PinnedImage]

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
    """Reads a map of images.

    Raises:
        InputError: naming file, key and problem.
    """
    return validate(ImageMap, read_yaml(path), source=str(path))


def pinned(name: str) -> tuple[ImageName, PinnedImage]:
    """Finds an image by name.

    Raises:
        InputError: naming the file and the known images.
    """
    for image_name, image in image_map().images.items():
        if image_name == name:
            return image_name, image
    known = ", ".join(image_map().images)
    raise InputError(f"{MAP_FILE}: key `images`: no image `{name}`; known: {known}")
