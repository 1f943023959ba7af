"""Reads the columns that a bias analysis needs, joins its data sets and checks them."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from sashiko.clarify.bias.config import CSV, JSON_LINES, AnalysisConfig, Reference
from sashiko.clarify.bias.csv_file import open_csv
from sashiko.clarify.bias.json_lines import open_json_lines
from sashiko.clarify.bias.parts import FACET, FEATURE, JOIN, Part, join_parts, read_part
from sashiko.clarify.bias.tables import Table, open_parquet_file
from sashiko.clarify.bias.uris import files_at
from sashiko.core.files import walk_files
from sashiko.errors import InputError
from sashiko.evaluation.metrics import flip_test
from sashiko.evaluation.metrics.arrays import Ints


@dataclass(frozen=True)
class Column:
    """A column of the data set."""

    name: str  # its name in the data
    values: pa.ChunkedArray  # strings, one per row; only facets and features may be null
    file: Path  # the first file that it was read from, named in errors


@dataclass(frozen=True)
class Dataset:
    """The data to analyse; all columns have the same rows, each of which may stand for several."""

    label: Column  # the observed label
    predicted: Column | None  # the predicted label or its probability; None without predictions
    facets: tuple[Column, ...]  # in the configuration's order
    group: Column | None  # the group variable, if there is one
    features: tuple[Column, ...] = ()  # the remaining columns, if the flip test is requested
    # How many rows of the data each row stands for, shape (rows,); None for one each.
    counts: Ints | None = None

    @property
    def rows(self) -> int:
        """How many rows the data have."""
        return len(self.label.values) if self.counts is None else int(self.counts.sum())


def read_dataset(config: AnalysisConfig, folder: Path) -> Dataset:
    """Reads label, predictions, facets and group variable from every file, in the names' order.

    Args:
        config: the columns, their location and the format.
        folder: the data set, unless `dataset_uri` is set.

    Raises:
        InputError: if there is no file or row, a file is damaged or not UTF-8, a column is missing
            or duplicated, a column other than a facet has empty values, or data sets do not join.
    """
    with tempfile.TemporaryDirectory() as scratch:
        return _read(config, folder, scratch=Path(scratch))


def _read(config: AnalysisConfig, folder: Path, *, scratch: Path) -> Dataset:
    main = _main(config, folder, scratch=scratch / "dataset")
    columns = {key: Column(main.names[key], main.rows[key], main.files[0]) for key in main.names}
    for name, references in (("facet", _facets(config)), ("predicted_label", _predictions(config))):
        part = _separate(config, name, references, scratch=scratch / name)
        if part:
            rows = join_parts(main, part, every_row=name == "predicted_label")
            columns |= {
                key: Column(part.names[key], rows[key], part.files[0]) for key in references
            }
    return Dataset(
        label=columns["label"],
        predicted=columns.get("predicted_label"),
        facets=tuple(columns[key] for key in _facets(config)),
        group=columns.get("group_variable"),
        features=tuple(columns[key] for key in main.names if key.startswith(FEATURE)),
        counts=main.counts,
    )


def _main(config: AnalysisConfig, folder: Path, *, scratch: Path) -> Part:
    files = list(walk_files(folder)) if folder.is_dir() else []
    if config.dataset_uri is not None:
        files = files_at(config.dataset_uri, key="dataset_uri", scratch=scratch)
    if not files:
        raise InputError(f"{folder} has no data file; the step before must write one")
    references: dict[str, Reference] = {"label": config.label}
    if config.predicted_label_dataset_uri is None:
        references |= _predictions(config)
    if config.facet_dataset_uri is None:
        references |= _facets(config)
    if config.group_variable is not None:
        references["group_variable"] = config.group_variable
    if config.joinsource_name_or_index is not None:
        references[JOIN] = config.joinsource_name_or_index
    used = [*references.values(), *config.excluded_columns]
    tables = [_open(config, file, used=used) for file in files]
    for table in tables:
        for reference in config.excluded_columns:
            table.name(reference, key="excluded_columns")
    if config.dataset_type == JSON_LINES:
        outcomes = [key for key in ("label", "predicted_label") if key in references]
        first = len(tables[0].names) - len(outcomes)
        references |= {key: first + index for index, key in enumerate(outcomes)}
    if flip_test.NAME in config.methods.names("post_training"):
        assigned = [*references.values(), *config.excluded_columns]
        assigned_names = {tables[0].name(reference, key="features") for reference in assigned}
        references |= {
            f"{FEATURE}{name}": name for name in tables[0].names if name not in assigned_names
        }
    # Equal rows stay separate where rows are joined or features are compared.
    single_dataset = config.facet_dataset_uri is None and config.predicted_label_dataset_uri is None
    distinguishes_rows = any(key == JOIN or key.startswith(FEATURE) for key in references)
    return read_part(tables, references, grouped=single_dataset and not distinguishes_rows)


def _separate(
    config: AnalysisConfig, name: str, references: Mapping[str, Reference], *, scratch: Path
) -> Part | None:
    """Reads the data set of the facets or of the predictions, where there is one."""
    uri, headers = getattr(config, f"{name}_dataset_uri"), getattr(config, f"{name}_headers")
    if uri is None:
        return None
    if config.joinsource_name_or_index is not None:
        references = {**references, JOIN: config.joinsource_name_or_index}
    used = list(references.values())
    files = files_at(uri, key=f"{name}_dataset_uri", scratch=scratch)
    return read_part([open_csv(file, headers=headers, used=used) for file in files], references)


def _open(config: AnalysisConfig, file: Path, *, used: Sequence[Reference]) -> Table:
    if config.dataset_type == CSV:
        return open_csv(file, headers=config.headers, used=used)
    if config.dataset_type != JSON_LINES:
        return open_parquet_file(file, headers=config.headers)
    outcomes = [("label", str(config.label))]
    if config.predicted_label is not None:
        outcomes.append(("predicted_label", str(config.predicted_label)))
    return open_json_lines(
        file, headers=config.headers, features=str(config.features), outcomes=outcomes
    )


def _facets(config: AnalysisConfig) -> dict[str, Reference]:
    return {
        f"{FACET}{index}.name_or_index": facet.name_or_index
        for index, facet in enumerate(config.facet)
    }


def _predictions(config: AnalysisConfig) -> dict[str, Reference]:
    return {} if config.predictions is None else {"predicted_label": config.predictions}
