"""The scores of a split by an artifact's own handler, which are computed once."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from sashiko.base.files import canonical_json, sha256_bytes, sha256_file
from sashiko.base.parquet import read_columns, write_table
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Floats
from sashiko.serving.artifact import open_artifact
from sashiko.steps.scored_splits import Split, score_split

_ANY_THRESHOLD = 0.5  # the scores do not depend on it


def cached_scores(
    archive: Path, split: Split, *, split_sha256: str, name: str, home: Path
) -> Floats:
    """Returns the scores of a split, from the cache if artifact and split have not changed.

    Args:
        archive: the artifact, `model.tar.gz`.
        split: the rows.
        split_sha256: the digest of the split's folder.
        name: what is scored, in messages.
        home: the folder of all local state, which has the cache.

    Returns:
        P(positive) of each row, float64, shape (rows,).

    Raises:
        InputError: if the artifact is damaged, or its handler refuses a text.
    """
    inputs = {"artifact": sha256_file(archive), "split": split_sha256}
    path = home / "cache" / "scores" / f"{sha256_bytes(canonical_json(inputs))}.parquet"
    if path.is_file():
        try:
            cached = read_columns(path, ["key", "score"])
        except InputError:
            path.unlink()  # damaged: score again
        else:
            if tuple(cached["key"].to_pylist()) == split.keys:
                scores: Floats = cached["score"].to_numpy().astype(np.float64)
                return scores
    with open_artifact(archive, threshold=_ANY_THRESHOLD) as model:
        scores = score_split(model, split, name=name)
    write_table(path, pa.table({"key": pa.array(split.keys), "score": pa.array(scores)}))
    return scores
