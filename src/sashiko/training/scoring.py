"""How good the model is on the validation split."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from sashiko.metrics.scored import Scored
from sashiko.training.batches import collate, ordered_batches
from sashiko.training.examples import Examples

_ROWS = 64


def score(
    model: Any,
    examples: Examples,
    *,
    pad: int,
    autocast: Callable[[], AbstractContextManager[None]],
    after_batch: Callable[[], None],
) -> tuple[float, float]:
    """Scores a split.

    Args:
        model: on its device; left in evaluation mode.
        examples: the split.
        pad: the padding token's id.
        autocast: makes the context that matrix products run in.
        after_batch: called after each batch; what it raises ends the scoring.

    Returns:
        The mean unweighted loss, and the area under the ROC curve.
    """
    import torch
    from torch.nn.functional import cross_entropy

    model.eval()
    scores = np.empty(len(examples.labels))
    losses = np.empty(len(examples.labels))
    for rows in ordered_batches(examples.lengths, batch_size=_ROWS):
        batch = collate(examples, rows, pad=pad, device=model.device)
        with torch.inference_mode(), autocast():
            logits = model(**batch.inputs).logits.float()
            losses[rows] = cross_entropy(logits, batch.labels, reduction="none").cpu().numpy()
        scores[rows] = logits.softmax(-1)[:, 1].cpu().numpy()
        after_batch()
    once = np.ones((1, len(scores)))
    auc = Scored.of(examples.labels, scores, threshold=0.5).metrics(once)["auc"]
    return float(losses.mean()), float(auc[0])
