"""Analysis configurations and data for the tests of what reads them."""

from pathlib import Path
from typing import Any

import numpy as np

from sashiko.bias.clarify.analysis import AnalysisConfig
from sashiko.bias.clarify.dataset import Dataset, read_dataset

# The data of the guide's examples: "Analysis Configuration Files",
# https://docs.aws.amazon.com/sagemaker/latest/dg/clarify-processing-job-configure-analysis.html
ROWS = ((0, 25, 0, 2850, 2), (1, 36, 0, 6585, 0), (1, 22, 1, 1759, 1), (0, 48, 0, 3446, 1))
NAMES = ("Target", "Age", "Gender", "Income", "Occupation")
GUIDE: dict[str, Any] = {
    "dataset_type": "text/csv",
    "label": "Target",
    "label_values_or_threshold": [1],
    "facet": [{"name_or_index": "Gender", "value_or_threshold": [0]}],
    "methods": {"pre_training_bias": {"methods": "all"}},
}
BOTH = {"pre_training_bias": {"methods": "all"}, "post_training_bias": {"methods": "all"}}


def csv_text(rows=ROWS, header=NAMES) -> str:
    lines = [header, *rows] if header else rows
    return "".join(",".join(str(cell) for cell in line) + "\n" for line in lines)


def folder_of(root: Path, **files: str | bytes) -> Path:
    """Writes files named like `a_csv` as `a.csv`."""
    for name, content in files.items():
        path = root / ".".join(name.rsplit("_", 1))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def read(config: dict[str, Any], folder: Path) -> Dataset:
    return read_dataset(AnalysisConfig.model_validate(config), folder)


def texts(data: Dataset) -> dict[str, list[str | None]]:
    """Returns the columns, each row as often as it occurs; equal rows stand together."""
    columns = [data.label, data.predicted, *data.facets, data.group]
    counts = data.counts if data.counts is not None else np.ones(data.rows, dtype=int)
    return {
        column.name: np.repeat(np.array(column.values.to_pylist(), object), counts).tolist()
        for column in columns
        if column
    }
