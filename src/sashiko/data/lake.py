"""The local lake: one folder of Parquet files per table, typed by the data contract."""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sashiko.base.files import canonical_json, sha256_file, sha256_tree, walk_files, write_json
from sashiko.base.parquet import write_batches
from sashiko.base.plugin_names import names
from sashiko.base.plugins import folder_digest, load
from sashiko.base.yaml_models import read_yaml, validate
from sashiko.contract.model import Contract
from sashiko.data.existing_table import copy_folder, folder_source
from sashiko.data.generators import Generator, Order
from sashiko.data.generators.base import check_plan
from sashiko.data.ingest import ingest
from sashiko.data.sources import fetch_data
from sashiko.errors import InputError, disk_reason
from sashiko.settings.recipe import Recipe
from sashiko.settings.recipe_data import FolderSource
from sashiko.settings.shifts import ShiftPlan

_FILE = "data.parquet"


@dataclass(frozen=True)
class LakeTable:
    """A table of the lake."""

    path: Path  # the table's folder
    as_of: str  # the version: the digest of the files, `sha256_tree`
    uri: str  # of the lake, with its absolute folder: the pipeline's `LakeUri`


def table_folder(recipe: Recipe, contract: Contract) -> Path | None:
    """Returns the first folder of a recipe's sources that is there, in place of an owner's table.

    Raises:
        InputError: if a source is a folder, and the table is one that the engine loads.
    """
    folders = [Path(one.path) for one in recipe.data.sources if isinstance(one, FolderSource)]
    if folders and contract.lake is None:
        raise InputError(
            f"recipe {recipe.name}: key `data.sources`: {folders[0]} stands for a table of another "
            f"owner, and the contract `{contract.id}` names none (`lake`): use `kind: file`"
        )
    return next((folder for folder in folders if folder.is_dir()), None)


def seed_lake(
    recipe: Recipe, contract: Contract, *, lake: Path, cache: Path, as_of: str | None = None
) -> LakeTable:
    """Loads a recipe's data into the lake, unless they are there already.

    Downloaded and generated files are stored below `cache`. Of a folder of the sources the rows are
    copied, those of the Iceberg snapshot `as_of` or of the newest one.

    Raises:
        InputError: if no source works, the raw data do not fit the contract, or the table's folder
            has other files.
    """
    existing, folder = table_folder(recipe, contract), lake / contract.table
    origin = None if existing is None else folder_source(existing, as_of=as_of)
    raw = existing or fetch_data(recipe.data, cache=cache)
    table = folder / _FILE
    for path in walk_files(folder):
        if path != table:
            raise InputError(
                f"{path} does not belong in the lake: it would be read as part of the table; "
                "move it, and name it as a `file` source of the recipe"
            )
    record = lake / f"{contract.table}.source.json"
    source: dict[str, object] = {
        "source_sha256": sha256_tree(raw) if existing else sha256_file(raw),
        "contract_sha256": contract.sha256,
        "code_sha256": folder_digest(Path(__file__).parent),
    }
    used = [*contract.view_columns("training")]
    if origin is not None:
        facets = contract.view_columns("facets") if recipe.bias.judged else ()
        used += [column for column in facets if column not in used]
        columns = [column.name for column in used]
        source |= {"folder": origin.model_dump(mode="json"), "columns": columns}
    loaded = table.is_file() and record.is_file()
    as_of = sha256_tree(folder) if loaded else ""
    if not loaded or record.read_bytes() != canonical_json(source | {"as_of": as_of}):
        if loaded:
            print(f"lake: {folder} has other data: loading", file=sys.stderr)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Beside the table's folder: a killed load leaves nothing in it.
            with tempfile.TemporaryDirectory(dir=lake, prefix=".tmp-") as scratch:
                if origin is None:
                    rows = ingest(raw, contract, Path(scratch, _FILE))
                else:
                    rows = copy_folder(raw, contract, used, origin, Path(scratch, _FILE))
                Path(scratch, _FILE).replace(table)
        except OSError as error:
            raise InputError(f"cannot write {folder}: {disk_reason(error)}") from error
        print(f"lake: table `{contract.table}` loaded, {rows:,} rows", file=sys.stderr)
        as_of = sha256_tree(folder)
        write_json(record, source | {"as_of": as_of})
    return LakeTable(path=folder, as_of=as_of, uri=f"duckdb://{lake.resolve()}")


def generate(
    path: Path,
    *,
    generator: str | None,
    rows: int,
    seed: int,
    bias: bool,
    drift: bool,
    plan: Path | None = None,
) -> None:
    """Writes a generator's rows to a Parquet file; None stands for the first generator by name.

    With the file of a shift plan the rows of its weeks follow.

    Raises:
        InputError: if the generator is unknown, if the plan is not valid or the generator follows
            none, or if a file cannot be written.
    """
    name = generator or names("generators")[0]
    chosen: Generator = load("generators", name, key="--generator")
    shifts = None if plan is None else validate(ShiftPlan, read_yaml(plan), source=str(plan))
    order = Order(rows=rows, seed=seed, bias=bias, drift=drift, plan=shifts)
    check_plan(chosen, order, name=name)
    write_batches(path, chosen.batches(order), schema=chosen.schema)
