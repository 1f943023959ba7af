"""How good the model is on the validation split."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats
from sashiko.evaluation.metrics.scored import Scored
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
    """Scores a split, in evaluation mode; what `after_batch` raises ends the scoring.

    Returns:
        The mean unweighted loss, and the area under the ROC curve.
    """
    logit_margins = margins(model, examples, pad=pad, autocast=autocast, after_batch=after_batch)
    losses = np.logaddexp(0, np.where(examples.labels == 1, -logit_margins, logit_margins))
    once = np.ones((1, len(logit_margins)))
    auc = Scored.of(examples.labels, _probabilities(logit_margins), threshold=0.5).metrics(once)[
        "auc"
    ]
    return float(losses.mean()), float(auc[0])


def margins(
    model: Any,
    examples: Examples,
    *,
    pad: int,
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext,
    after_batch: Callable[[], None] = lambda: None,
) -> Floats:
    """Returns each row's logit of the positive class minus that of the negative one, float64."""
    import torch

    model.eval()
    values = np.empty(len(examples.labels))
    for rows in ordered_batches(examples.lengths, batch_size=_ROWS):
        batch = collate(examples, rows, pad=pad, device=model.device)
        with torch.inference_mode(), autocast():
            logits = model(**batch.inputs).logits.double()
        values[rows] = (logits[:, 1] - logits[:, 0]).cpu().numpy()
        after_batch()
    return values


def _probabilities(logit_margins: Floats) -> Floats:
    scores: Floats = np.exp(-np.logaddexp(0, -logit_margins))
    return scores
