"""How good the model is on the validation split."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats
from sashiko.evaluation.metrics.scored import Scored
from sashiko.training.batches import ordered_batches
from sashiko.training.compute import Compute
from sashiko.training.examples import Examples
from sashiko.training.processes import Processes

_ROWS = 64
_ONE = Processes()


def score(
    compute: Compute,
    examples: Examples,
    *,
    pad: int,
    autocast: Callable[[], AbstractContextManager[None]],
    after_batch: Callable[[], None],
    processes: Processes,
) -> tuple[float, float]:
    """Scores a split, in evaluation mode; what `after_batch` raises ends the scoring.

    Returns:
        The mean unweighted loss, and the area under the ROC curve.
    """
    logit_margins = margins(
        compute,
        examples,
        pad=pad,
        autocast=autocast,
        after_batch=after_batch,
        processes=processes,
    )
    losses = np.logaddexp(0, np.where(examples.labels == 1, -logit_margins, logit_margins))
    once = np.ones((1, len(logit_margins)))
    auc = Scored.of(examples.labels, _probabilities(logit_margins), threshold=0.5).metrics(once)[
        "auc"
    ]
    return float(losses.mean()), float(auc[0])


def margins(
    compute: Compute,
    examples: Examples,
    *,
    pad: int,
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext,
    after_batch: Callable[[], None] = lambda: None,
    processes: Processes = _ONE,
) -> Floats:
    """Returns each row's logit of the positive class minus that of the negative one, float64.

    Each process scores a part of the rows, and gets the logits of all.
    """
    import torch

    compute.model.eval()
    values = np.zeros(len(examples.labels))
    for rows in ordered_batches(examples.lengths, batch_size=_ROWS * processes.world_size):
        for part, counts in processes.parts(rows, count=1):
            batch = compute.batch(examples, part, pad=pad, largest=_ROWS)
            # Not inference mode: what FSDP gathers in it can't be trained on afterwards.
            with torch.no_grad(), autocast():
                logits = compute.model(**batch.inputs).logits
            if counts:
                logits = logits[: len(part)].cpu().double()
                values[part] = (logits[:, 1] - logits[:, 0]).numpy()
        after_batch()
    return processes.sum(values)


def _probabilities(logit_margins: Floats) -> Floats:
    scores: Floats = np.exp(-np.logaddexp(0, -logit_margins))
    return scores
