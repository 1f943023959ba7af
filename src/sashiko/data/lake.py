"""The local lake: one folder of Parquet files per table, typed by the data contract."""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sashiko.contract.model import Contract
from sashiko.core.files import canonical_json, sha256_file, sha256_tree, walk_files, write_json
from sashiko.core.plugin_names import names
from sashiko.core.plugins import folder_digest, load
from sashiko.data.generators import Generator, Order, write_rows
from sashiko.data.ingest import ingest
from sashiko.data.sources import fetch_data
from sashiko.errors import InputError, disk_reason
from sashiko.settings.recipe import Recipe

_FILE = "data.parquet"


@dataclass(frozen=True)
class LakeTable:
    """A table of the lake.

    Attributes:
        path: the table's folder.
        as_of: its version: the digest of its files, `sha256_tree`.
        uri: `duckdb://` and the absolute folder of the lake, what the pipeline calls `LakeUri`.
    """

    path: Path
    as_of: str
    uri: str


def seed_lake(recipe: Recipe, contract: Contract, *, lake: Path, cache: Path) -> LakeTable:
    """Makes the lake hold a recipe's data; what has not changed is not loaded again.

    Args:
        recipe: says where the raw data come from.
        contract: says what becomes of them.
        lake: the folder of the lake.
        cache: where downloaded and generated files are kept.

    Returns:
        The table.

    Raises:
        InputError: if no source works, the raw data cannot become the contract's table, or the
            table's folder holds files of somebody else.
    """
    raw = fetch_data(recipe.data, cache=cache)
    folder = lake / contract.table
    _refuse_strangers(folder)
    record = lake / f"{contract.table}.source.json"
    source = {
        "source_sha256": sha256_file(raw),
        "contract_sha256": contract.sha256,
        "code_sha256": folder_digest(Path(__file__).parent),
    }
    if (folder / _FILE).is_file() and record.is_file():
        as_of = sha256_tree(folder)
        if record.read_bytes() == canonical_json(source | {"as_of": as_of}):
            return _table(lake, folder, as_of)
        print(f"lake: {folder} does not hold what is to be loaded: loading", file=sys.stderr)
    _load(raw, contract, folder)
    as_of = sha256_tree(folder)
    write_json(record, source | {"as_of": as_of})
    return _table(lake, folder, as_of)


def generate(
    path: Path, *, generator: str | None, rows: int, seed: int, bias: bool, drift: bool
) -> None:
    """Writes a generator's rows to a Parquet file; None stands for the only generator there is.

    Raises:
        InputError: if the generator is unknown or must be named, or the file cannot be written.
    """
    known = names("generators")
    if generator is None and len(known) != 1:
        raise InputError(f"name a generator: {', '.join(known)}")
    chosen: Generator = load("generators", generator or known[0], key="--generator")
    write_rows(path, generator=chosen, order=Order(rows=rows, seed=seed, bias=bias, drift=drift))


def _table(lake: Path, folder: Path, as_of: str) -> LakeTable:
    return LakeTable(path=folder, as_of=as_of, uri=f"duckdb://{lake.resolve()}")


def _refuse_strangers(folder: Path) -> None:
    """A file beside ours would be read as part of the table."""
    strangers = [path for path in walk_files(folder) if path != folder / _FILE]
    if strangers:
        raise InputError(
            f"{strangers[0]} does not belong into the lake: it would be read as part "
            f"of the table; move it, and name it as a `file` source of the recipe"
        )


def _load(raw: Path, contract: Contract, folder: Path) -> None:
    """Loads beside the table's folder, so that a killed load leaves nothing in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".tmp-") as scratch:
            loaded = Path(scratch, _FILE)
            rows = ingest(raw, contract, loaded)
            loaded.replace(folder / _FILE)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {disk_reason(error)}") from error
    print(f"lake: table `{contract.table}` loaded, {rows:,} rows", file=sys.stderr)
