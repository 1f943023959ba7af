"""The provenance of a model: what it was made from, in what, by which definition and code."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sashiko
from sashiko.base.engine_files import lock_file
from sashiko.base.files import dir_hash, sha256_bytes, sha256_file, walk_files, write_bytes
from sashiko.contract.manifest import Manifest
from sashiko.errors import InputError
from sashiko.registry.attestation import Build, Resource, Statement, image_purl, read_statement
from sashiko.registry.card.model_card import CardSources
from sashiko.registry.model_packages.files import MANIFEST_FILE
from sashiko.registry.provenance import STATEMENT_FILE, WHEEL_FILE, image_statement_file
from sashiko.registry.versions import ARTIFACT_FILE
from sashiko.settings.data import ModelSection

_DIRTY = "-dirty"


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a run was made in."""

    execution_id: str
    definition_sha256: str  # hex, as `sashiko.pipeline.definition.digest` computes it
    images: Sequence[str]  # URIs; none of a run on this machine
    image_statements: Mapping[str, bytes]  # URI -> statement, of the images that have one
    wheel_statement: bytes | None  # of the engine, where a project has its wheel


def write_statements(folder: Path, surroundings: Surroundings) -> None:
    """Writes the statements about images and wheel into a version's folder, for its manifest."""
    for image, content in surroundings.image_statements.items():
        write_bytes(folder / image_statement_file(image), content)
    if surroundings.wheel_statement:
        write_bytes(folder / WHEEL_FILE, surroundings.wheel_statement)


def write_provenance(
    folder: Path, sources: CardSources, surroundings: Surroundings, *, facets: Manifest | None
) -> None:
    """Writes the statement about a version, after its manifest, which it names.

    Raises:
        InputError: if a statement about an image or the wheel is damaged.
    """
    names = (ARTIFACT_FILE, MANIFEST_FILE)
    statement = Statement(
        build="model",
        subject=tuple(
            Resource(name=name, digest={"sha256": sha256_file(folder / name)}) for name in names
        ),
        parameters={"recipe": sources.recipe},
        dependencies=(
            *_code(sources, surroundings),
            *_data(sources, facets),
            *_base_model(sources.model),
            *_images(surroundings),
            *_wheel(surroundings),
        ),
        builder=f"urn:sashiko:builder:{'sagemaker' if surroundings.images else 'local'}",
        invocation=surroundings.execution_id,
    )
    write_bytes(folder / STATEMENT_FILE, statement.to_json())


def _code(sources: CardSources, surroundings: Surroundings) -> Iterator[Resource]:
    commit = sources.git_sha.removesuffix(_DIRTY)
    if commit != "unknown":
        dirty = sources.git_sha.endswith(_DIRTY)
        yield Resource(
            name="commit",
            digest={"gitCommit": commit},
            annotations={"uncommitted changes": "yes"} if dirty else {},
        )
    yield Resource(name="definition", digest={"sha256": surroundings.definition_sha256})
    package = Path(sashiko.__file__).parent
    yield Resource(
        name="engine",
        digest={"dirHash": package_hash(package)},
        annotations={"version": sashiko.__version__},
    )
    if not surroundings.images:  # an image's statement names its own lock
        yield Resource(
            name="requirements/run.txt", digest={"sha256": sha256_file(lock_file("run"))}
        )


def package_hash(package: Path) -> str:
    """Returns the `dirHash` of an installed package, without what Python compiled."""
    return dir_hash(
        {
            file.relative_to(package).as_posix(): sha256_file(file)
            for file in walk_files(package)
            if "__pycache__" not in file.parts
        }
    )


def _data(sources: CardSources, facets: Manifest | None) -> Iterator[Resource]:
    for name, manifest in {"training snapshot": sources.snapshot, "facet snapshot": facets}.items():
        if manifest:
            yield Resource(
                name=name,
                digest={"sha256": manifest.sha256},
                annotations={"table": manifest.table, "as of": manifest.as_of},
            )
    yield Resource(
        name="contract",
        digest={"sha256": sources.contract.sha256},
        annotations={"id": sources.contract.id, "version": sources.contract.version},
    )


def _base_model(model: ModelSection) -> Iterator[Resource]:
    for name, digest in model.files.items():
        yield Resource(
            name=f"base model/{name}",
            digest={"sha256": digest},
            annotations={"model": model.name, "licence": model.licence or ""},
        )


def _images(surroundings: Surroundings) -> Iterator[Resource]:
    for image in surroundings.images:
        content = surroundings.image_statements.get(image)
        name = f"image {image.rpartition('/')[2]}"
        if content is None:
            _, _, digest = image.partition("@sha256:")
            known = {"sha256": digest} if digest else {}
            yield Resource(name=name, uri=image_purl(image), digest=known)
            continue
        file = image_statement_file(image)
        (subject,) = _read(content, "image", file=file).subject
        yield Resource(name=name, uri=image_purl(image), digest=subject.digest)
        yield Resource(name=file, digest={"sha256": sha256_bytes(content)})


def _wheel(surroundings: Surroundings) -> Iterator[Resource]:
    if content := surroundings.wheel_statement:
        wheel = _read(content, "wheel", file=WHEEL_FILE).subject[0]
        yield Resource(name=f"wheel {wheel.name}", digest=wheel.digest)
        yield Resource(name=WHEEL_FILE, digest={"sha256": sha256_bytes(content)})


def _read(content: bytes, build: Build, *, file: str) -> Statement:
    try:
        return read_statement(content, build=build)
    except ValueError as error:
        raise InputError(f"{file}: {error}; build it again") from error
