"""What the device is asked: a seeded sample of the test split, with the answers it must give."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from sashiko.core.parquet import read_columns
from sashiko.core.yaml_models import validate
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Floats
from sashiko.serving.container.tar_reader import read_files
from sashiko.settings.recipe import DeviceSection
from sashiko.training.examples import read_split

_ABOUT = "serving.json"
_LARGEST_FILE = 1 << 20  # bytes


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Rows, and what Evaluate found for each.

    Attributes:
        texts: n texts.
        scores: float64, n; P(positive) of the model that was judged.
        labels: n labels at the decision threshold.
    """

    texts: tuple[str, ...]
    scores: Floats
    labels: tuple[str, ...]


class _Bucket(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    batch: int


class About(BaseModel):
    """What the artifact says of itself.

    Attributes:
        target: what it is compiled for.
        labels: the negative and the positive label.
        buckets: the shapes that it was compiled for.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    target: str
    labels: tuple[str, str]
    buckets: tuple[_Bucket, ...]

    @property
    def largest_batch(self) -> int:
        """The most rows that it was compiled for at once."""
        return max(bucket.batch for bucket in self.buckets)


def about_artifact(archive: Path) -> About:
    """Reads an artifact's `serving.json`; nothing of it is unpacked or run.

    Raises:
        InputError: if the archive is missing, damaged, or no artifact of this project.
    """
    try:
        found = read_files(archive, (_ABOUT,), at_most=_LARGEST_FILE)
        value = json.loads(found[_ABOUT])
    except KeyError as error:
        raise InputError(f"{archive} holds no readable {_ABOUT}: it has none") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{archive} holds no readable {_ABOUT}: {error}") from error
    return validate(About, value, source=f"{archive}: {_ABOUT}")


def draw_sample(
    section: DeviceSection, *, test: Path, predictions: Path, labels: tuple[str, str]
) -> Sample:
    """Draws rows of the test split; the same seed draws the same rows.

    Args:
        section: how many, and the seed.
        test: folder of the split that Prepare wrote.
        predictions: Evaluate's `predictions.parquet`.
        labels: the negative and the positive label.

    Raises:
        InputError: if a file is missing or damaged, or Evaluate scored other rows.
    """
    split = read_split(test)
    found = read_columns(predictions, ("key", "split", "score", "predicted"))
    found = found.filter(pc.equal(found["split"], "test"))
    judged = {
        key: (score, predicted)
        for key, score, predicted in zip(
            found["key"].to_pylist(),
            found["score"].to_pylist(),
            found["predicted"].to_pylist(),
            strict=True,
        )
    }
    size = min(section.rows, split.num_rows)
    generator = np.random.default_rng(section.seed)
    drawn = split.take(np.sort(generator.choice(split.num_rows, size=size, replace=False)))
    keys = drawn["key"].to_pylist()
    unscored = [key for key in keys if key not in judged]
    if unscored:
        raise InputError(
            f"{predictions.name} has no score of the test row with key {unscored[0]}: Evaluate "
            "judged another split; run the pipeline again"
        )
    return Sample(
        texts=tuple(drawn["text"].to_pylist()),
        scores=np.array([judged[key][0] for key in keys], dtype=np.float64),
        labels=tuple(labels[judged[key][1]] for key in keys),
    )
