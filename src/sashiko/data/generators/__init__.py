"""Generators of synthetic data sets: the engine's and a project's own."""

from pathlib import Path

from sashiko.core.parquet import write_batches
from sashiko.data.generators.base import Generator as Generator
from sashiko.data.generators.base import Order as Order


def write_rows(path: Path, *, generator: Generator, order: Order) -> None:
    """Streams a generator's rows to a Parquet file that appears whole or not at all.

    Raises:
        InputError: if the file cannot be written.
    """
    write_batches(path, generator.batches(order), schema=generator.schema)
