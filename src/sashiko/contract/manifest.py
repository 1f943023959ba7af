"""The manifest that lies beside a snapshot: what it holds, and what it was made from."""

from pathlib import Path

from sashiko.contract.model import Contract, View
from sashiko.core.files import read_json, sha256_file, write_json
from sashiko.core.yaml_models import Frozen, validate

MANIFEST_FILE = "manifest.json"
SNAPSHOTS_FILE = "snapshots.json"


class ColumnType(Frozen):
    """A column of a snapshot, with the name of its Arrow type."""

    name: str
    type: str


class ContractVersion(Frozen):
    """Which contract a snapshot was made by; `sha256` is that of its file."""

    id: str
    version: str
    sha256: str

    @classmethod
    def of(cls, contract: Contract) -> "ContractVersion":
        """Names the version of `contract`."""
        return cls(id=contract.id, version=contract.version, sha256=contract.sha256)


class Manifest(Frozen):
    """A snapshot, described.

    Attributes:
        rows: how many rows it has.
        sha256: of `data.parquet`.
        keys_sha256: of its keys in their order; two snapshots with the same digest hold the same
            rows in the same order.
        contract: the contract that it was made by.
        view: `training` or `facets`.
        table: the lake's table.
        query: the governed SELECT.
        as_of: the version of the lake's data.
        columns: what it shows.
    """

    rows: int
    sha256: str
    keys_sha256: str
    contract: ContractVersion
    view: View
    table: str
    query: str
    as_of: str
    columns: tuple[ColumnType, ...]


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of a folder.

    Raises:
        InputError: if it is missing or not a manifest.
    """
    path = folder / MANIFEST_FILE
    return validate(Manifest, read_json(path), source=str(path))


class Snapshots(Frozen):
    """The data that a step's results were made of: hex SHA-256 of each snapshot's `data.parquet`.

    Pipelines finds an earlier result by its inputs' URIs, not by their content, so each result says
    itself what it was made of, and Register holds it against the run's own manifests.

    Attributes:
        training: of the training snapshot; None where it was not used.
        facets: of the facet snapshot; None where it was not used.
    """

    training: str | None = None
    facets: str | None = None


def write_snapshots(snapshots: Snapshots, folder: Path) -> None:
    """Writes `snapshots.json` beside a step's results."""
    write_json(folder / SNAPSHOTS_FILE, snapshots.model_dump(mode="json"))


def training_snapshot(folder: Path) -> Snapshots:
    """Says which training snapshot the rows of a folder are of.

    A step between Snapshot and Prepare writes the answer beside the rows that it changed, by
    `write_snapshots`; rows without one are a snapshot themselves.

    Raises:
        InputError: if `snapshots.json` is there and no such record.
    """
    if (folder / SNAPSHOTS_FILE).exists():
        return read_snapshots(folder)
    return Snapshots(training=sha256_file(folder / "data.parquet"))


def read_snapshots(folder: Path) -> Snapshots:
    """Reads what the results in a folder were made of.

    Raises:
        InputError: if it is missing or no such record.
    """
    path = folder / SNAPSHOTS_FILE
    return validate(Snapshots, read_json(path), source=str(path))
