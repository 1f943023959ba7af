"""Versions of a model package group, and the interfaces of a registry.

Locally the registry is MLflow's (`sashiko.registry.mlflow`), in an account SageMaker's
(`sashiko.registry.model_packages`). The alias `candidate` marks the newest registered version,
`champion` the newest approved one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from sashiko.errors import InputError

ApprovalStatus = Literal["PendingManualApproval", "Approved", "Rejected"]
ARTIFACT_FILE = "model.tar.gz"
MARKDOWN_FILE = "model-card.md"
# How a version compared with the champion when it was made; a `Standing`.
STANDING_TAG = "standing.champion"
# ARN of the key that signed a version, where the registry's versions are signed.
SIGNED_BY_TAG = "signed_by"
# Id of the execution whose results a version's own execution reuses, if it reuses any.
SOURCE_TAG = "source_execution"
# S3 URIs of what a version's captured requests are compared with; the last only if bias is judged.
MONITORING_TAGS = ("reference_uri", "test_uri", "bias_rows_uri")
_ARTIFACT = "artifact_sha256"
_EXECUTION = "execution_id"
_THRESHOLD = "threshold"
_DECIDED = (_ARTIFACT, "manifest_sha256", "data_sha256", "contract_sha256")
# Two versions are equal if all of these tags are.
_SAME = (_ARTIFACT, _THRESHOLD, "data_sha256", "contract_sha256")


def predictions_uri(reference_uri: str) -> str:
    """Returns the S3 URI of a version's predictions, given that of its `reference_uri`.

    Evaluate writes both, and the outputs of one execution of a step lie beside each other.
    """
    return f"{reference_uri.rstrip('/').rpartition('/')[0]}/predictions"


@dataclass(frozen=True)
class ModelVersion:
    """One registered version."""

    group: str
    version: int
    status: ApprovalStatus
    artifact_sha256: str
    threshold: float  # the lowest probability of the positive label, or of the likeliest of several
    tags: dict[str, str]  # all other records: data hash, contract, git SHA, gates
    aliases: tuple[str, ...]  # `candidate`, `champion`, both or none
    arn: str | None = None  # ARN of its model package; None in MLflow


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One decision of a person on a version; decisions are appended, never changed."""

    status: ApprovalStatus
    by: str
    reason: str
    time: str | None  # UTC, ISO 8601; None where an earlier engine recorded no time
    digests: dict[str, str]  # hex SHA-256 of what was decided on, by the name of its tag


@dataclass(frozen=True)
class LineageEdge:
    """An association of two entities; `kind` is SageMaker's, such as `DerivedFrom`."""

    source: str
    kind: str
    destination: str


class Registry(Protocol):
    """A registry to read."""

    def versions(self, group: str) -> list[ModelVersion]:
        """Returns a group's versions, newest first."""

    def champion(self, group: str) -> ModelVersion | None:
        """Returns the version in use, or None if no version is approved yet."""

    def download(self, version: ModelVersion, folder: Path) -> Path:
        """Copies a version's `model.tar.gz` into `folder` and returns its path."""

    def file(self, version: ModelVersion, name: str) -> bytes:
        """Reads one of the files that were registered with a version."""


class ReviewRegistry(Registry, Protocol):
    """A registry with the review and approval of versions."""

    def version(self, group: str, number: int) -> ModelVersion:
        """Returns one version."""

    def decide(
        self, group: str, number: int, *, status: ApprovalStatus, by: str, reason: str
    ) -> ModelVersion:
        """Records a person's decision; the newest approved version is the champion."""

    def decisions(self, version: ModelVersion) -> list[Decision]:
        """Returns the decisions on a version, oldest first."""

    def lineage(self, version: ModelVersion) -> list[LineageEdge]:
        """Returns a version's lineage, nearest first."""


class Registrar(Protocol):
    """A registry to register versions in."""

    def register(
        self, group: str, *, files: Path, run_id: str | None, threshold: float, tags: dict[str, str]
    ) -> tuple[ModelVersion, bool]:
        """Registers an artifact, pending approval; returns its version and whether it is new."""


def digests_of(version: ModelVersion) -> dict[str, str]:
    """Returns the digests that a decision on a version is about."""
    return {key: version.tags[key] for key in _DECIDED if version.tags.get(key)}


def recorded(tags: Mapping[str, str], *, artifact_sha256: str, threshold: float) -> dict[str, str]:
    """Adds the registry's own tags to those of a new version."""
    return {**tags, _ARTIFACT: artifact_sha256, _THRESHOLD: repr(threshold)}


def figure_text(value: float | None) -> str:
    """Formats a metric for a version's tags."""
    return "undefined" if value is None else f"{value:.4f}"


def already_registered(
    versions: Iterable[ModelVersion], tags: Mapping[str, str]
) -> ModelVersion | None:
    """Finds the version of this run, or of the same artifact, data and gate outcomes.

    A version that another key has signed is another one: its key may be distrusted.
    """
    for version in versions:
        if version.tags.get(SIGNED_BY_TAG) != tags.get(SIGNED_BY_TAG):
            continue
        same_run = version.tags.get(_EXECUTION) == tags[_EXECUTION]
        same_model = all(version.tags.get(key) == tags[key] for key in _SAME)
        # A model whose check is waived differs from one that passed.
        if same_run or (same_model and _outcomes(version.tags) == _outcomes(tags)):
            return version
    return None


def _outcomes(tags: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in tags.items() if k.startswith("gate.") and not k.endswith(".reason")}


def to_version(
    group: str,
    number: int,
    *,
    status: ApprovalStatus,
    tags: dict[str, str],
    aliases: tuple[str, ...],
    arn: str | None = None,
) -> ModelVersion:
    """Creates a version from a registry's tags."""
    return ModelVersion(
        group=group,
        version=number,
        status=status,
        artifact_sha256=tags.get(_ARTIFACT, ""),
        threshold=float(tags.get(_THRESHOLD, "0.5")),
        tags=tags,
        aliases=aliases,
        arn=arn,
    )


def number_in(versions: Iterable[ModelVersion], number: int, *, group: str) -> ModelVersion:
    """Finds a version by its number.

    Raises:
        InputError: if there is no such version, naming the registered ones.
    """
    by_number = {version.version: version for version in versions}
    if number not in by_number:
        numbers = ", ".join(map(str, by_number)) or "none"
        raise InputError(f"model {group} has no version {number}; registered: {numbers}")
    return by_number[number]
