"""The chain of a version: model, definition, data, images, wheel, commit; each link verified."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from sashiko.base.files import sha256_bytes
from sashiko.contract.manifest import Manifest
from sashiko.errors import InputError
from sashiko.registry.attestation import (
    Build,
    Resource,
    Statement,
    read_envelope,
    read_statement,
    signature_input,
)
from sashiko.registry.model_packages.model_files import MANIFEST_FILE
from sashiko.registry.provenance import (
    ENVELOPE_FILE,
    STATEMENT_FILE,
    WHEEL_FILE,
    image_statement_file,
)
from sashiko.registry.versions import ARTIFACT_FILE, ModelVersion, ReviewRegistry

State = Literal["verified", "not verifiable here", "broken"]
_IMAGE = "image "
_WHEEL = "wheel "


@dataclass(frozen=True)
class Link:
    """One link of a version's chain."""

    subject: str  # such as `image job:0.1.0-3f9a`
    state: State
    detail: str  # what was compared, or what to do to compare it


class Witness(Protocol):
    """What this machine, or the caller's credentials, can tell of a link beside the version."""

    def signature(self, digest: bytes, signature: bytes, /) -> Link:
        """Verifies the signature of the provenance."""

    def image(self, image: Resource) -> Link:
        """Compares an image's digest with what the registry has under its tag."""

    def content(self, image: Resource) -> Link:
        """Compares an image's tag with the content that this checkout builds it from."""

    def definition(self, sha256: str, *, commit: Resource | None) -> Link:
        """Compares the definition's digest with the definition itself."""

    def commit(self, commit: Resource | None) -> Link:
        """Looks for the commit in this checkout."""

    def wheel(self, wheel: Resource) -> Link:
        """Compares the engine's wheel with the one that this project has."""


@dataclass(frozen=True)
class _Version:
    """A version with the bytes of its provenance."""

    version: ModelVersion
    files: Mapping[str, str]  # name -> hex SHA-256, by its manifest
    read: Callable[[str], bytes]  # one of its files


def walk_chain(
    registry: ReviewRegistry,
    version: ModelVersion,
    *,
    files: Mapping[str, str],
    snapshot: Manifest,
    witness: Witness,
) -> tuple[Link, ...]:
    """Walks from a model to the commit, and verifies each link.

    Args:
        registry: reads the version's files.
        version: the version.
        files: name -> hex SHA-256 of its files, by its manifest.
        snapshot: the manifest of its training snapshot, verified against `files`.
        witness: what can be asked beside the version's files.

    Returns:
        The links, model first; a single one for a version that was registered without provenance.

    Raises:
        InputError: if the registry does not answer.
    """
    read = _Version(version, files, lambda name: registry.file(version, name))
    payload, signature = _payload(read, witness)
    if payload is None:
        return (signature,)
    try:
        statement = read_statement(payload, build="model")
    except ValueError as error:
        return (signature, Link("model", "broken", str(error)))
    commit = statement.dependency("commit")
    return (
        signature,
        *_model(read, statement),
        _definition(statement, commit, witness),
        *_data(statement, snapshot),
        *_images(read, statement, witness),
        *_wheel(read, statement, witness),
        witness.commit(commit),
    )


def _payload(read: _Version, witness: Witness) -> tuple[bytes | None, Link]:
    """Returns the statement's bytes and the link of their signature; of an account it is signed."""
    name = "provenance"
    if read.version.arn is None:
        try:
            return read.read(STATEMENT_FILE), Link(
                name, "not verifiable here", "it is unsigned: this machine has no signing key"
            )
        except InputError:
            return None, _without(name)
    try:
        envelope = read_envelope(read.read(ENVELOPE_FILE))
    except InputError:
        return None, _without(name)
    except ValueError as error:
        return None, Link(name, "broken", str(error))
    if not envelope.signatures:
        return envelope.payload, Link(name, "broken", "its envelope has no signature")
    digest = hashlib.sha256(signature_input(envelope.payload)).digest()
    return envelope.payload, witness.signature(digest, envelope.signatures[0])


def _without(name: str) -> Link:
    return Link(
        name,
        "not verifiable here",
        "this version has none: it was registered before provenance was written",
    )


def _model(read: _Version, statement: Statement) -> Iterator[Link]:
    manifest = sha256_bytes(read.read(MANIFEST_FILE))
    actual = {ARTIFACT_FILE: read.version.artifact_sha256, MANIFEST_FILE: manifest}
    for name, sha256 in actual.items():
        yield _equal(name, statement.subject_digest(name), sha256)


def _definition(statement: Statement, commit: Resource | None, witness: Witness) -> Link:
    definition = statement.dependency("definition")
    if definition is None:
        return Link("definition", "broken", "the provenance names none")
    return witness.definition(definition.sha256, commit=commit)


def _data(statement: Statement, snapshot: Manifest) -> Iterator[Link]:
    actual = {"training snapshot": snapshot.sha256, "contract": snapshot.contract.sha256}
    for name, sha256 in actual.items():
        item = statement.dependency(name)
        yield _equal(name, item.sha256 if item else "", sha256)


def _images(read: _Version, statement: Statement, witness: Witness) -> Iterator[Link]:
    for item in statement.dependencies:
        if not item.name.startswith(_IMAGE):
            continue
        name = item.name.removeprefix(_IMAGE)
        file = image_statement_file(name)
        if statement.dependency(file) is None:
            yield Link(
                item.name,
                "not verifiable here",
                "nobody stated how it was built: it is AWS's own, or was built before statements "
                "were written",
            )
            continue
        origin = _read(read, statement, file, "image")
        if isinstance(origin, Link):
            yield origin
            continue
        link = _equal(item.name, origin.subject_digest(name), item.sha256)
        yield link if link.state == "broken" else witness.image(item)
        yield _base(item.name, origin)
        yield witness.content(item)
        yield from _wheel_of_image(item.name, origin, statement)


def _wheel_of_image(image: str, origin: Statement, statement: Statement) -> Iterator[Link]:
    """Yields whether the wheel in an image is the one that the model's provenance names."""
    wheels = {item.sha256 for item in statement.dependencies if item.name.startswith(_WHEEL)}
    for item in origin.dependencies:
        if not item.name.endswith(".whl"):
            continue
        subject, digest = f"{image}: wheel", f"sha256 {item.sha256}"
        if not wheels:
            yield Link(subject, "not verifiable here", f"{digest}; it came without a statement")
        elif item.sha256 in wheels:
            yield Link(subject, "verified", digest)
        else:
            yield Link(subject, "broken", f"{digest}, the provenance names {', '.join(wheels)}")


def _base(image: str, origin: Statement) -> Link:
    """Returns what an image was built on: AWS's, which only the build has seen."""
    base = origin.dependency("base")
    digest = f"sha256 {base.sha256}" if base and base.sha256 else "no digest"
    detail = f"{origin.parameters.get('base', 'unknown')}, {digest}, as the build pulled it"
    return Link(f"{image}: base", "not verifiable here", detail)


def _wheel(read: _Version, statement: Statement, witness: Witness) -> Iterator[Link]:
    for item in statement.dependencies:
        if not item.name.startswith(_WHEEL):
            continue
        origin = _read(read, statement, WHEEL_FILE, "wheel")
        if isinstance(origin, Link):
            yield origin
            continue
        name = item.name.removeprefix(_WHEEL)
        link = _equal(item.name, origin.subject_digest(name), item.sha256)
        yield link if link.state == "broken" else witness.wheel(item)
        yield from _engine(statement, origin)


def _engine(statement: Statement, origin: Statement) -> Iterator[Link]:
    """Yields whether the code that registered the model is what the wheel installs."""
    ran = statement.dependency("engine")
    package = next((item for item in origin.subject if item.digest.get("dirHash")), None)
    if ran and package:
        yield _equal("engine", ran.digest.get("dirHash", ""), package.digest["dirHash"])


def _read(read: _Version, statement: Statement, file: str, build: Build) -> Statement | Link:
    """Returns one of the version's statements, or the broken link to it."""
    item = statement.dependency(file)
    if item is None or read.files.get(file) != item.sha256:
        return Link(file, "broken", "the manifest names another one than the provenance")
    try:
        return read_statement(read.read(file), build=build)
    except ValueError as error:
        return Link(file, "broken", str(error))


def _equal(subject: str, stated: str, actual: str) -> Link:
    if stated and stated == actual:
        return Link(subject, "verified", f"sha256 {actual}")
    says = f"says {stated}" if stated else "states no digest"
    return Link(subject, "broken", f"it is {actual or 'not there'}, the provenance {says}")
