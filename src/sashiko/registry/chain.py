"""Traces a registered version back to its sources, by its own signed files.

Its chain is model, definition, data, images, wheel, commit; each link is verified.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import Base64Bytes, BaseModel, TypeAdapter, ValidationError

from sashiko.base.files import sha256_bytes
from sashiko.contract.manifest import MANIFEST_FILE as SNAPSHOT_FILE
from sashiko.contract.manifest import Manifest
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Verdict
from sashiko.registry import attestation, versions
from sashiko.registry.attestation import (
    MANIFEST_FILE,
    SIGNATURE_FILE,
    Build,
    Resource,
    Statement,
)
from sashiko.registry.versions import ARTIFACT_FILE, ModelVersion, Registry, ReviewRegistry

if TYPE_CHECKING:
    from sashiko.bias.gates.label_change import ChampionLabels

State = Literal["verified", "not verifiable here", "broken"]
_VERDICT = "verdict.json"
_IMAGE = "image "
_WHEEL = "wheel "


@dataclass(frozen=True)
class Link:
    """One link of a version's chain."""

    subject: str  # such as `image job:0.1.0-3f9a`
    state: State
    detail: str  # what was compared, or what to do to compare it


@dataclass(frozen=True)
class Provenance:
    """The sources of a version."""

    version: ModelVersion
    decisions: tuple[versions.Decision, ...]  # oldest first
    files: dict[str, str]  # name -> hex SHA-256 of every file registered with it, by its manifest
    snapshot: Manifest
    verdicts: tuple[Verdict, ...]
    edges: tuple[versions.LineageEdge, ...]  # what came from what, nearest first
    chain: tuple[Link, ...] = ()  # from the model to the commit; empty if it was not walked


def read_provenance(registry: ReviewRegistry, version: ModelVersion) -> Provenance:
    """Reads a version's evidence; checks each file but the artifact against the manifest.

    Raises:
        InputError: if a file is missing, damaged, or not the one that was registered.
    """
    files, contents = _contents(registry, version, lambda name: name != ARTIFACT_FILE)
    return Provenance(
        version=version,
        decisions=tuple(registry.decisions(version)),
        files=files,
        snapshot=_record(Manifest, contents[SNAPSHOT_FILE], name=SNAPSHOT_FILE),
        verdicts=tuple(
            _record(Verdict, content, name=name)
            for name, content in sorted(contents.items())
            if name.rsplit("/", 1)[-1] == _VERDICT
        ),
        edges=tuple(registry.lineage(version)),
    )


def label_metrics(
    registry: Registry, version: ModelVersion, *, signed: Callable[[bytes, bytes], bool]
) -> "ChampionLabels | str":
    """Reads the bias metrics of the labels that a version was trained on, from its signed files.

    `signed` verifies a signature of a SHA-256 digest, of a version in an account; on this machine
    versions have none.

    Returns:
        The metrics, or why there are none: its recipe did not judge bias.

    Raises:
        InputError: if a file is missing, damaged, or not the one that was registered, or the
            signature of their manifest is not valid.
    """
    # The commands of a delivery read chains too, and have no NumPy.
    from sashiko.bias.clarify.analysis import Analysis
    from sashiko.bias.gates.estimates import INTERVALS_FILE, PRE_ANALYSIS_FILE, BiasEstimate
    from sashiko.bias.gates.label_change import ChampionLabels, label_meaning

    names = (SNAPSHOT_FILE, PRE_ANALYSIS_FILE, INTERVALS_FILE)
    _, contents = _contents(registry, version, names.__contains__, signed=signed)
    if len(contents) < len(names):
        return f"not comparable: version {version.version} has no metrics of its labels' bias"
    snapshot: Manifest = _record(Manifest, contents[SNAPSHOT_FILE], name=SNAPSHOT_FILE)
    analysis: Analysis = _record(Analysis, contents[PRE_ANALYSIS_FILE], name=PRE_ANALYSIS_FILE)
    estimates: tuple[BiasEstimate, ...] = _record(
        tuple[BiasEstimate, ...], contents[INTERVALS_FILE], name=INTERVALS_FILE
    )
    labels = analysis.pre_training_bias_metrics
    if labels is None:
        raise InputError(f"{PRE_ANALYSIS_FILE} of version {version.version} analyses no labels")
    return ChampionLabels(
        version=version.version,
        meaning=label_meaning(
            contract=snapshot.contract.id,
            version=snapshot.contract.version,
            label=labels.label,
            positive=labels.label_value_or_threshold,
        ),
        estimates=tuple(item for item in estimates if item.stage == "pre_training"),
    )


def _contents(
    registry: Registry,
    version: ModelVersion,
    wanted: Callable[[str], bool],
    *,
    signed: Callable[[bytes, bytes], bool] | None = None,
) -> tuple[dict[str, str], dict[str, bytes]]:
    """Returns the digests in a version's manifest, and the wanted files, checked against them."""
    place = f"{version.group} version {version.version}"
    manifest = registry.file(version, MANIFEST_FILE)
    files = _record(dict[str, str], manifest, name=MANIFEST_FILE)
    if signed and version.arn:
        signature = _record(_Signature, registry.file(version, SIGNATURE_FILE), name=SIGNATURE_FILE)
        if not signed(hashlib.sha256(manifest).digest(), signature.signature):
            raise InputError(
                f"{place}: {MANIFEST_FILE} has no signature of a key in `signing_keys`: list its "
                "key there, or reject this version and find out who wrote it"
            )
    contents = {name: registry.file(version, name) for name in files if wanted(name)}
    for name, content in contents.items():
        if (sha256 := sha256_bytes(content)) != files[name]:
            raise InputError(
                f"{place}: {name} is not the file that was registered: sha256 {sha256} instead of "
                f"{files[name]}; reject this version"
            )
    return files, contents


def _record(kind: Any, content: bytes, *, name: str) -> Any:
    try:
        return TypeAdapter(kind).validate_json(content)
    except ValidationError as error:
        problem = f"{name} is not what Register writes: {error.errors()[0]['msg']}"
        raise InputError(problem) from error


class _Signature(BaseModel):
    signature: Base64Bytes


class Witness(Protocol):
    """What this machine, or the caller's credentials, can tell of a link beside the version."""

    def signature(self, digest: bytes, signature: bytes, /) -> Link:
        """Verifies the signature of the provenance."""

    def image(self, image: Resource) -> Link:
        """Compares an image's digest with what the registry has under its tag."""

    def definition(self, sha256: str, *, commit: Resource | None) -> Link:
        """Compares the definition's digest with the definition itself."""

    def commit(self, commit: Resource | None) -> Link:
        """Looks for the commit in this checkout."""

    def wheel(self, wheel: Resource) -> Link:
        """Compares the engine's wheel with the one that this project has."""


def walk_chain(
    registry: ReviewRegistry,
    version: ModelVersion,
    *,
    files: Mapping[str, str],
    snapshot: Manifest,
    witness: Witness,
) -> tuple[Link, ...]:
    """Walks from a model to the commit, and verifies each link.

    `files` are name -> hex SHA-256, by the version's manifest; `snapshot`, the manifest of its
    training snapshot, is verified against them.

    Returns:
        The links, model first; a single one for a version that was registered without provenance.

    Raises:
        InputError: if the registry does not answer.
    """
    payload, signature = _payload(registry, version, witness)
    if payload is None:
        return (signature,)
    try:
        statement = attestation.read_statement(payload, build="model")
    except ValueError as error:
        return (signature, Link("model", "broken", str(error)))
    chain = _Chain(registry, version, files, snapshot, witness, statement)
    return (signature, *chain.links())


def _payload(
    registry: ReviewRegistry, version: ModelVersion, witness: Witness
) -> tuple[bytes | None, Link]:
    """Returns the statement's bytes and the link of their signature; of an account it is signed."""
    name = "provenance"
    local = version.arn is None
    file = attestation.STATEMENT_FILE if local else attestation.ENVELOPE_FILE
    try:
        content = registry.file(version, file)
        if local:
            unsigned = "it is unsigned: this machine has no signing key"
            return content, Link(name, "not verifiable here", unsigned)
        envelope = attestation.read_envelope(content)
    except InputError:
        missing = "this version has none: it was registered before provenance was written"
        return None, Link(name, "not verifiable here", missing)
    except ValueError as error:
        return None, Link(name, "broken", str(error))
    if not envelope.signatures:
        return envelope.payload, Link(name, "broken", "its envelope has no signature")
    digest = hashlib.sha256(attestation.signature_input(envelope.payload)).digest()
    return envelope.payload, witness.signature(digest, envelope.signatures[0])


@dataclass(frozen=True)
class _Chain:
    """A version with the statement about its model."""

    registry: ReviewRegistry
    version: ModelVersion
    files: Mapping[str, str]  # name -> hex SHA-256, by its manifest
    snapshot: Manifest
    witness: Witness
    statement: Statement

    def links(self) -> Iterator[Link]:
        statement, version, snapshot = self.statement, self.version, self.snapshot
        manifest = sha256_bytes(self.registry.file(version, MANIFEST_FILE))
        for name, sha256 in ((ARTIFACT_FILE, version.artifact_sha256), (MANIFEST_FILE, manifest)):
            yield _equal(name, statement.subject_digest(name), sha256)
        commit, definition = map(statement.dependency, ("commit", "definition"))
        if definition is None:
            yield Link("definition", "broken", "the provenance names none")
        else:
            yield self.witness.definition(definition.sha256, commit=commit)
        data = {"training snapshot": snapshot.sha256, "contract": snapshot.contract.sha256}
        for name, sha256 in data.items():
            item = statement.dependency(name)
            yield _equal(name, item.sha256 if item else "", sha256)
        for item in statement.dependencies:
            if item.name.startswith(_IMAGE):
                yield from self._image(item)
        for item in statement.dependencies:
            if item.name.startswith(_WHEEL):
                yield from self._wheel(item)
        yield self.witness.commit(commit)

    def _image(self, image: Resource) -> Iterator[Link]:
        name = image.name.removeprefix(_IMAGE)
        file = attestation.image_statement_file(name)
        if self.statement.dependency(file) is None:
            yield Link(
                image.name,
                "not verifiable here",
                "no statement says how it was built: it is AWS's own, or older than such "
                "statements",
            )
            return
        origin = self._origin(file, "image")
        if isinstance(origin, Link):
            yield origin
            return
        link = _equal(image.name, origin.subject_digest(name), image.sha256)
        yield link if link.state == "broken" else self.witness.image(image)
        # What it was built on is AWS's, which only the build has seen.
        base = origin.dependency("base")
        digest = f"sha256 {base.sha256}" if base and base.sha256 else "no digest"
        detail = f"{origin.parameters.get('base', 'unknown')}, {digest}, as the build pulled it"
        yield Link(f"{image.name}: base", "not verifiable here", detail)
        # The wheel in it has to be the one that the model's provenance names.
        stated = self.statement.dependencies
        wheels = {item.sha256 for item in stated if item.name.startswith(_WHEEL)}
        for item in origin.dependencies:
            if not item.name.endswith(".whl"):
                continue
            subject, digest = f"{image.name}: wheel", f"sha256 {item.sha256}"
            if not wheels:
                yield Link(subject, "not verifiable here", f"{digest}; it came without a statement")
            elif item.sha256 in wheels:
                yield Link(subject, "verified", digest)
            else:
                yield Link(subject, "broken", f"{digest}, the provenance names {', '.join(wheels)}")

    def _wheel(self, wheel: Resource) -> Iterator[Link]:
        origin = self._origin(attestation.WHEEL_FILE, "wheel")
        if isinstance(origin, Link):
            yield origin
            return
        link = _equal(wheel.name, origin.subject_digest(wheel.name[len(_WHEEL) :]), wheel.sha256)
        yield link if link.state == "broken" else self.witness.wheel(wheel)
        # The code that registered the model has to be what the wheel installs.
        ran = self.statement.dependency("engine")
        package = next((item for item in origin.subject if item.digest.get("dirHash")), None)
        if ran and package:
            yield _equal("engine", ran.digest.get("dirHash", ""), package.digest["dirHash"])

    def _origin(self, file: str, build: Build) -> Statement | Link:
        """Returns one of the version's statements, or the broken link to it."""
        item = self.statement.dependency(file)
        if item is None or self.files.get(file) != item.sha256:
            return Link(file, "broken", "the manifest and the provenance name different files")
        try:
            return attestation.read_statement(self.registry.file(self.version, file), build=build)
        except ValueError as error:
            return Link(file, "broken", str(error))


def _equal(subject: str, stated: str, actual: str) -> Link:
    if stated and stated == actual:
        return Link(subject, "verified", f"sha256 {actual}")
    says = f"says {stated}" if stated else "states no digest"
    return Link(subject, "broken", f"it is {actual or 'not there'}, but the provenance {says}")
