"""Traces a registered version back to its sources, by its own signed files."""

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sashiko.base.files import sha256_bytes
from sashiko.contract.manifest import MANIFEST_FILE as SNAPSHOT_FILE
from sashiko.contract.manifest import Manifest
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Verdict
from sashiko.registry.chain import Link
from sashiko.registry.model_packages.model_files import MANIFEST_FILE
from sashiko.registry.versions import (
    ARTIFACT_FILE,
    Decision,
    LineageEdge,
    ModelVersion,
    ReviewRegistry,
)

_VERDICT = "verdict.json"


@dataclass(frozen=True)
class Provenance:
    """The sources of a version."""

    version: ModelVersion
    decisions: tuple[Decision, ...]  # oldest first
    files: dict[str, str]  # name -> hex SHA-256 of every file registered with it, by its manifest
    snapshot: Manifest
    verdicts: tuple[Verdict, ...]
    edges: tuple[LineageEdge, ...]  # what came from what, nearest first
    chain: tuple[Link, ...] = ()  # from the model to the commit; empty if it was not walked


def read_provenance(registry: ReviewRegistry, version: ModelVersion) -> Provenance:
    """Reads a version's evidence; checks each file but the artifact against the manifest.

    Raises:
        InputError: if a file is missing, damaged, or not the one that was registered.
    """
    files = _record(dict[str, str], registry.file(version, MANIFEST_FILE), name=MANIFEST_FILE)
    contents = {
        name: _verified(registry.file(version, name), digest, name=name, version=version)
        for name, digest in files.items()
        if name != ARTIFACT_FILE
    }
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


def _verified(content: bytes, digest: str, *, name: str, version: ModelVersion) -> bytes:
    sha256 = sha256_bytes(content)
    if sha256 != digest:
        raise InputError(
            f"{version.group} version {version.version}: {name} is not the file that was "
            f"registered: sha256 {sha256} instead of {digest}; reject this version"
        )
    return content


def _record(kind: Any, content: bytes, *, name: str) -> Any:
    try:
        return TypeAdapter(kind).validate_json(content)
    except ValidationError as error:
        raise InputError(
            f"{name} is not what Register writes: {error.errors()[0]['msg']}"
        ) from error
