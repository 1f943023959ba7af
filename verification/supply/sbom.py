"""The bill of materials: what `make run` installs and downloads, and what deploys it.

    python -m verification.supply.sbom --out build/sbom.cdx.json

CycloneDX 1.6 in JSON, held against its schema. Libraries with the hashes of their lock and the
licences of what is installed; the pre-trained models and the data sets of the recipes with the
digests that a download is held against. What deploys (CDK) is marked optional. It holds no time:
the same commit and environment give the same bytes.
"""

import argparse
import re
import sys
import uuid
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from sashiko import __version__
from sashiko.base.files import sha256_bytes, write_bytes
from sashiko.errors import InputError
from sashiko.settings.recipe import load_recipe
from sashiko.settings.recipe_data import (
    DataSection,
    FileSource,
    FolderSource,
    GeneratorSource,
    HuggingFaceSource,
    ModelSection,
    PypiSource,
    Source,
)
from verification.supply.locks import (
    NPM_LOCK,
    PYTHON_LOCKS,
    Package,
    normalised,
    read_npm_lock,
    read_python_lock,
)

_OWN = "sashiko"
_REQUIREMENT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")
_LICENCE_CLASSIFIER = "License :: OSI Approved :: "
_LONGEST_LICENCE = 60  # a field with more holds the licence's text


def main() -> None:
    """Writes the bill of materials and prints its path."""
    parser = argparse.ArgumentParser(
        prog="python -m verification.supply.sbom",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("build/sbom.cdx.json"))
    out = parser.parse_args().out
    bom = bill_of_materials()
    write_bytes(out, to_json(bom).encode())
    print(out)
    print(f"{len(bom.components)} components", file=sys.stderr)


def bill_of_materials() -> Bom:
    """Collects the components and their dependencies."""
    needed = read_python_lock(PYTHON_LOCKS / "run.txt") + _torch()
    deploying = read_python_lock(PYTHON_LOCKS / "infra.txt") + read_npm_lock(NPM_LOCK)
    names = {package.name for package in needed}
    libraries = {
        package.name: _library(package, optional=package.name not in names)
        for package in sorted({*needed, *deploying}, key=lambda package: package.purl)
    }
    bom = Bom(components=[*libraries.values(), *_materials()])
    bom.metadata.component = Component(
        name=_OWN, version=__version__, type=ComponentType.APPLICATION, bom_ref=_OWN
    )
    bom.register_dependency(bom.metadata.component, bom.components)
    for name, component in libraries.items():
        needs = [libraries[other] for other in _requirements(name) if other in libraries]
        bom.register_dependency(component, needs)
    return bom


def to_json(bom: Bom) -> str:
    """Writes it down, always in the same bytes.

    Raises:
        InputError: if it is not CycloneDX 1.6.
    """
    bom.metadata.timestamp = None  # type: ignore[assignment]  # the schema asks for none
    content = "\n".join(f"{component.bom_ref} {component.version}" for component in bom.components)
    bom.serial_number = uuid.UUID(sha256_bytes(content.encode())[:32], version=4)
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem is not None:
        raise InputError(f"the bill of materials is not CycloneDX 1.6: {problem}")
    return f"{text}\n"


def _torch() -> tuple[Package, ...]:
    """Returns torch, which has no hash (SECURITY.md), and what its build alone brings."""
    (torch,) = read_python_lock(PYTHON_LOCKS / "torch.txt")
    locked = {package.name for package in read_python_lock(PYTHON_LOCKS / "run.txt")}
    extra = {
        name: distribution
        for name in _requirements(torch.name)
        if name not in locked and (distribution := _installed(name)) is not None
    }
    return torch, *(
        Package(ecosystem="PyPI", name=name, version=distribution.version)
        for name, distribution in extra.items()
    )


def _library(package: Package, *, optional: bool) -> Component:
    npm = package.ecosystem == "npm"
    licences = [package.licence or ""] if npm else list(_licences(package.name))
    algorithm = HashAlgorithm(package.algorithm)
    hashes = [HashType(alg=algorithm, content=digest) for digest in package.digests]
    # By its purl: each machine has its own index or mirror, and the hashes hold on all of them.
    source = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION, url=XsUri(package.purl), hashes=hashes
    )
    make = LicenseFactory()
    return Component(
        type=ComponentType.LIBRARY,
        name=package.name,
        version=package.version,
        bom_ref=package.purl,
        purl=PackageURL.from_string(package.purl),
        scope=ComponentScope.OPTIONAL if optional else ComponentScope.REQUIRED,
        licenses=[make.make_from_string(text) for text in licences if text],
        external_references=[source],
    )


def _licences(name: str) -> Iterator[str]:
    """Yields what an installed package says: one SPDX expression, or what older ones have."""
    distribution = _installed(name)
    if distribution is None:
        return
    if expression := distribution.metadata.get_all("License-Expression"):
        yield from expression
        return
    classifiers: Iterable[str] = distribution.metadata.get_all("Classifier") or ()
    names = [
        text.removeprefix(_LICENCE_CLASSIFIER)
        for text in classifiers
        if text.startswith(_LICENCE_CLASSIFIER)
    ]
    text = "".join(distribution.metadata.get_all("License") or ()).strip()
    yield from names or ([text] if 0 < len(text) <= _LONGEST_LICENCE else [])


def _requirements(name: str) -> Iterator[str]:
    distribution = _installed(name)
    for line in (distribution.requires if distribution else None) or ():
        if "extra ==" not in line and (match := _REQUIREMENT.match(line)):
            yield normalised(match[0])


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _materials() -> Iterator[Component]:
    """Yields each model and data set once, whichever recipes use it."""
    recipes = [load_recipe(path) for path in sorted(Path("recipes").glob("*.yaml"))]
    models = (recipe.model for recipe in recipes if recipe.model.pretrained)
    for model in dict.fromkeys(model.model_dump_json() for model in models):
        yield _model(ModelSection.model_validate_json(model))
    names: dict[str, str] = {}
    for recipe in recipes:
        # How many of the rows are used makes no other data.
        names.setdefault(
            recipe.data.model_dump_json(exclude={"train_rows", "validation_rows", "test_rows"}),
            recipe.name,
        )
    for text, name in names.items():
        yield _data(name, DataSection.model_validate_json(text))


def _model(model: ModelSection) -> Component:
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=model.name,
        bom_ref=f"model {model.name}",
        licenses=[LicenseFactory().make_from_string(model.licence)] if model.licence else [],
        external_references=_references(model.sources),
        components=[
            Component(
                type=ComponentType.FILE,
                name=name,
                bom_ref=f"model {model.name} {name}",
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
            )
            for name, digest in model.files.items()
        ],
    )


def _data(recipe: str, data: DataSection) -> Component:
    digest = [HashType(alg=HashAlgorithm.SHA_256, content=data.sha256)] if data.sha256 else []
    return Component(
        type=ComponentType.DATA,
        name=f"data of {recipe}",
        bom_ref=f"data {recipe}",
        description="; ".join(_says(source) for source in data.sources),
        hashes=digest,
        external_references=_references(data.sources),
    )


def _says(source: Source) -> str:
    if isinstance(source, GeneratorSource):
        return f"generator {source.generator}, {source.rows} rows, seed {source.seed}"
    if isinstance(source, FileSource | FolderSource):
        return f"{source.kind} {source.path}"
    return f"{source.kind} {source.member}"


def _references(sources: tuple[Source, ...]) -> list[ExternalReference]:
    places = []
    for source in sources:
        if isinstance(source, PypiSource):
            name, _, version = source.requirement.partition("==")
            places.append(f"pkg:pypi/{name}@{version}")
        elif isinstance(source, HuggingFaceSource):
            kind = "datasets/" if source.repository_type == "dataset" else ""
            page = f"https://huggingface.co/{kind}{source.repository}"
            places.append(f"{page}/tree/{source.revision}")
    return [
        ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(place))
        for place in places
    ]


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
