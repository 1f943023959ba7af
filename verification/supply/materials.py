"""The pre-trained models and the data sets of the recipes, as components."""

from collections.abc import Iterator
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.component import Component, ComponentType

from sashiko.settings.data import DataSection, ModelSection
from sashiko.settings.recipe import load_recipe
from sashiko.settings.sources import (
    FileSource,
    GeneratorSource,
    HuggingFaceSource,
    PypiSource,
    Source,
)

_RECIPES = Path("recipes")


def materials() -> Iterator[Component]:
    """Yields each model and data set once, whichever recipes use it."""
    recipes = [load_recipe(path) for path in sorted(_RECIPES.glob("*.yaml"))]
    for model in dict.fromkeys(recipe.model.model_dump_json() for recipe in recipes):
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
    if isinstance(source, FileSource):
        return f"file {source.path}"
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
