"""The generators of synthetic data sets, by name."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from sashiko.data.generators.base import Generator, Order
from sashiko.data.generators.complaints import Complaints
from sashiko.errors import InputError
from sashiko.files import sha256_bytes, sha256_file
from sashiko.parquet import write_batches

__all__ = ["GENERATORS", "Generator", "Order", "code_digest", "write_rows"]

GENERATORS: Mapping[str, Generator] = MappingProxyType({"complaints": Complaints()})


def write_rows(path: Path, *, generator: str, order: Order) -> None:
    """Streams a generator's rows to a Parquet file that appears whole or not at all.

    Raises:
        InputError: if there is no such generator, or the file cannot be written.
    """
    if generator not in GENERATORS:
        raise InputError(
            f"unknown generator `{generator}`; there is {', '.join(sorted(GENERATORS))}"
        )
    chosen = GENERATORS[generator]
    write_batches(path, chosen.batches(order), schema=chosen.schema)


def code_digest(folder: Path = Path(__file__).parent) -> str:
    """Digests the Python files of a folder, by default the generators' own.

    What the code makes depends on the code as much as on the seed or the source.
    """
    files = sorted(folder.glob("*.py"))
    return sha256_bytes("".join(map(sha256_file, files)).encode())
