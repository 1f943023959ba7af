"""A seeded sample of the test split, with the expected answers."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from sashiko.base.parquet import read_columns
from sashiko.base.yaml_models import validate
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Floats
from sashiko.serving.container.tar_reader import read_files
from sashiko.settings.compile import DeviceSection
from sashiko.training.examples import read_split

_CONFIG_FILE = "serving.json"
_LARGEST_FILE = 1 << 20  # bytes


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Rows with Evaluate's scores and labels."""

    texts: tuple[str, ...]
    scores: Floats  # float64, n; P(positive) of the evaluated model
    labels: tuple[str, ...]


class _Bucket(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    batch: int


class ServingConfig(BaseModel):
    """The artifact's `serving.json`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    target: str
    labels: tuple[str, str]
    buckets: tuple[_Bucket, ...]

    @property
    def largest_batch(self) -> int:
        """The largest batch that it was compiled for."""
        return max(bucket.batch for bucket in self.buckets)


def read_serving_config(archive: Path) -> ServingConfig:
    """Reads an artifact's `serving.json` without unpacking or running the artifact.

    Raises:
        InputError: if the archive is missing, damaged, or not an artifact of this project.
    """
    try:
        files = read_files(archive, (_CONFIG_FILE,), at_most=_LARGEST_FILE)
        value = json.loads(files[_CONFIG_FILE])
    except KeyError as error:
        raise InputError(f"{archive} holds no readable {_CONFIG_FILE}: it has none") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{archive} holds no readable {_CONFIG_FILE}: {error}") from error
    return validate(ServingConfig, value, source=f"{archive}: {_CONFIG_FILE}")


def draw_sample(
    section: DeviceSection, *, test: Path, predictions: Path, labels: tuple[str, str]
) -> Sample:
    """Samples rows of the test split, reproducibly by seed.

    Raises:
        InputError: if a file is missing or damaged, or Evaluate scored other rows.
    """
    split = read_split(test)
    table = read_columns(predictions, ("key", "split", "score", "predicted"))
    table = table.filter(pc.equal(table["split"], "test"))
    scored = {row["key"]: (row["score"], row["predicted"]) for row in table.to_pylist()}
    size = min(section.rows, split.num_rows)
    generator = np.random.default_rng(section.seed)
    sampled = split.take(np.sort(generator.choice(split.num_rows, size=size, replace=False)))
    keys = sampled["key"].to_pylist()
    unscored = [key for key in keys if key not in scored]
    if unscored:
        raise InputError(
            f"{predictions.name} has no score of the test row with key {unscored[0]}: Evaluate "
            "judged another split; run the pipeline again"
        )
    return Sample(
        texts=tuple(sampled["text"].to_pylist()),
        scores=np.array([scored[key][0] for key in keys], dtype=np.float64),
        labels=tuple(labels[scored[key][1]] for key in keys),
    )
