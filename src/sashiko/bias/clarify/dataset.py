"""Reads the columns that a bias analysis needs, and checks them."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from sashiko.base.files import walk_files
from sashiko.bias.clarify.config import CSV, AnalysisConfig
from sashiko.bias.clarify.csv_file import open_csv
from sashiko.bias.clarify.parts import FACET, read_columns
from sashiko.bias.clarify.tables import open_parquet_file
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Ints


@dataclass(frozen=True)
class Column:
    """A column of the data set."""

    name: str  # its name in the data
    values: pa.ChunkedArray  # strings, one per row; only facets may be null
    file: Path  # the first file that it was read from, named in errors


@dataclass(frozen=True)
class Dataset:
    """The data to analyse; all columns have the same rows, each of which may stand for several."""

    label: Column  # the observed label
    predicted: Column | None  # the predicted label; None without predictions
    facets: tuple[Column, ...]  # in the configuration's order
    group: Column | None  # the group variable, if there is one
    # How many rows of the data each row stands for, shape (rows,); None for one each.
    counts: Ints | None = None

    @property
    def rows(self) -> int:
        """How many rows the data have."""
        return len(self.label.values) if self.counts is None else int(self.counts.sum())


def read_dataset(config: AnalysisConfig, folder: Path) -> Dataset:
    """Reads label, predictions, facets and group variable from every file, in the names' order.

    Raises:
        InputError: if there is no file or row, a file is damaged or not UTF-8, a column is missing
            or duplicated, or a column other than a facet has empty values.
    """
    files = list(walk_files(folder)) if folder.is_dir() else []
    if not files:
        raise InputError(f"{folder} has no data file; the step before must write one")
    facets = {
        f"{FACET}{index}.name_or_index": facet.name_or_index
        for index, facet in enumerate(config.facet)
    }
    names = {"label": config.label, **facets}
    for key in ("predicted_label", "group_variable"):
        if (name := getattr(config, key)) is not None:
            names[key] = name
    open_file = open_csv if config.dataset_type == CSV else open_parquet_file
    tables = [open_file(file, headers=config.headers) for file in files]
    for table in tables:
        for name in config.excluded_columns:
            table.check(name, key="excluded_columns")
    rows, counts = read_columns(tables, names)
    columns = {key: Column(name, rows[key], files[0]) for key, name in names.items()}
    return Dataset(
        label=columns["label"],
        predicted=columns.get("predicted_label"),
        facets=tuple(columns[key] for key in facets),
        group=columns.get("group_variable"),
        counts=counts,
    )
