"""The manifest of a snapshot: its content and its origin."""

from pathlib import Path

from pydantic import Field

from sashiko.base.files import read_json, sha256_file, write_json
from sashiko.base.yaml_models import Frozen, validate
from sashiko.contract.model import Contract, View

__all__ = ["training_snapshot", "write_snapshots"]
MANIFEST_FILE = "manifest.json"
SNAPSHOTS_FILE = "snapshots.json"


class ColumnType(Frozen):
    """A column of a snapshot, with the name of its Arrow type."""

    name: str
    type: str


class ContractVersion(Frozen):
    """The contract of a snapshot; `sha256` is that of its file."""

    id: str
    version: str
    sha256: str

    @classmethod
    def of(cls, contract: Contract) -> "ContractVersion":
        """Returns the version of `contract`."""
        return cls(id=contract.id, version=contract.version, sha256=contract.sha256)


class TableSource(Frozen):
    """The table of another owner that a snapshot was copied from, and its version."""

    table: str  # owner's catalog, database and table; of a folder its name
    # The Iceberg snapshot. None if the table has none: what is read cannot be read again, and only
    # the copied rows are kept.
    snapshot_id: str | None
    committed_at: str | None  # of that snapshot, ISO 8601 in UTC

    @property
    def text(self) -> str:
        """The version in words, as card and provenance name it."""
        if self.snapshot_id is None:
            return f"{self.table}, which is not pinned: only the copied rows are kept"
        return f"{self.table}, snapshot {self.snapshot_id} of {self.committed_at}"


class Manifest(Frozen):
    """The description of a snapshot."""

    rows: int  # its number of rows
    sha256: str  # of `data.parquet`
    # Of its keys in order; two snapshots with equal digests have the same rows in the same order.
    keys_sha256: str
    contract: ContractVersion
    view: View  # `training` or `facets`
    table: str  # the lake's table
    query: str  # the governed SELECT
    as_of: str  # the version of the lake's data
    columns: tuple[ColumnType, ...]
    # Of a table that the engine does not make.
    source: TableSource | None = Field(None, exclude_if=lambda source: source is None)


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of a folder.

    Raises:
        InputError: if it is missing or not a manifest.
    """
    path = folder / MANIFEST_FILE
    return validate(Manifest, read_json(path), source=str(path))


class Snapshots(Frozen):
    """The input snapshots of a step's results: hex SHA-256 of each snapshot's `data.parquet`.

    Pipelines reuses an earlier result by its inputs' URIs, not by their content, so each result
    records its inputs, and Register compares them with the run's own manifests.
    """

    training: str | None = None  # of the training snapshot; None if unused
    facets: str | None = None  # of the facet snapshot; None if unused
    # Of the folder of predictions that were joined with facets; no other step records it.
    predictions: str | None = Field(None, exclude_if=lambda digest: digest is None)


def write_snapshots(snapshots: Snapshots, folder: Path) -> None:
    """Writes `snapshots.json` beside a step's results."""
    write_json(folder / SNAPSHOTS_FILE, snapshots.model_dump(mode="json"))


def training_snapshot(folder: Path) -> Snapshots:
    """Returns the training snapshot of the rows in a folder.

    A step between Snapshot and Prepare records it by `write_snapshots` beside the rows that it
    changed; rows without such a record are a snapshot themselves.

    Raises:
        InputError: if `snapshots.json` is invalid.
    """
    if (folder / SNAPSHOTS_FILE).exists():
        return read_snapshots(folder)
    return Snapshots(training=sha256_file(folder / "data.parquet"))


def read_snapshots(folder: Path) -> Snapshots:
    """Reads the input snapshots of the results in a folder.

    Raises:
        InputError: if the record is missing or invalid.
    """
    path = folder / SNAPSHOTS_FILE
    return validate(Snapshots, read_json(path), source=str(path))
