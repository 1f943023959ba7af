"""Compares the compiled graphs with the eager model that they were exported from."""

from pathlib import Path

import numpy as np
import torch
from backend import Machine, open_backend
from bundle import Bundle
from classifier import PositiveProbability
from numpy.typing import NDArray
from scorer import Scorer

_SEED = 0
_ROWS = 8  # different rows per bucket; they repeat until each batch is full


def largest_difference(model: PositiveProbability, artifact: Path, bundle: Bundle) -> float:
    """Runs every bucket on a seeded sample of rows of all lengths that it takes.

    The eager model gets each sample padded to the longest bucket, the graph padded to its own
    bucket, so the result also covers padding. This machine has no accelerator, so in place of an
    accelerator's graphs the trained model in the artifact is run.

    Args:
        model: token ids and mask to P(positive).
        artifact: the unpacked artifact.
        bundle: its `serving.json`.

    Returns:
        The largest absolute difference of a probability over all buckets.
    """
    generator = np.random.default_rng(_SEED)
    machine = Machine(threads=torch.get_num_threads())
    backend = open_backend(artifact, bundle, machine, on_cpu=True)
    scorer = Scorer(artifact, bundle, backend)
    worst = 0.0
    for bucket in bundle.buckets:
        # From a row that fills the bucket down to one of two tokens.
        count = min(bucket.batch, _ROWS) if bundle.fixed_lengths else _ROWS
        lengths = np.linspace(bucket.length, 2, num=count).astype(int)
        rows = [
            [int(token) for token in generator.integers(0, model.config.vocab_size, size=length)]
            for length in lengths
        ]
        eager = _eager(model, rows, width=bundle.max_length, pad_id=bundle.pad_id)
        for start in range(0, count, bucket.batch):
            positions = (start + np.arange(bucket.batch)) % count
            compiled = scorer.run(bucket, [rows[position] for position in positions])
            worst = np.maximum(worst, np.abs(compiled - eager[positions]).max())
    return float(worst)


def _eager(
    model: PositiveProbability, rows: list[list[int]], *, width: int, pad_id: int
) -> NDArray[np.float32]:
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = 1
    with torch.inference_mode():
        scores: NDArray[np.float32] = model(ids, mask).numpy()
    return scores
