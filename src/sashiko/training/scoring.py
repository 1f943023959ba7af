"""How good the model is on the validation split."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.evaluation.metrics.quality import Scored
from sashiko.serving.container.answers import SHOWN
from sashiko.training.batches import ordered_batches
from sashiko.training.compute import Compute
from sashiko.training.examples import Examples
from sashiko.training.processes import Processes

_ROWS = 64
_ONE = Processes()


@dataclass(frozen=True)
class Outputs:
    """What a model says of the rows of a split, in their order.

    Attributes:
        margins: the positive label's logit minus the negative one's.
        losses: the unweighted cross-entropy of the row's label, over all classes of the model.
        missed: 1 where a label is not among the `SHOWN` most probable classes, else 0.
    """

    margins: Floats
    losses: Floats
    missed: Floats

    def auc(self, labels: Ints) -> float:
        """Returns the area under the ROC curve."""
        scores: Floats = np.exp(-np.logaddexp(0, -self.margins))
        once = np.ones((1, len(labels)))
        return float(Scored.of(labels, scores, threshold=0.5).metrics(once)["auc"][0])


def outputs(
    compute: Compute,
    examples: Examples,
    *,
    classes: tuple[int, int],
    pad: int,
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext,
    after_batch: Callable[[], None] = lambda: None,
    processes: Processes = _ONE,
) -> Outputs:
    """Computes a split's rows in evaluation mode; what `after_batch` raises ends it.

    Each process computes a part of the rows, and gets the outputs of all.

    Args:
        compute: computes logits, (rows, classes of the model).
        examples: the split.
        classes: the logits of the negative and of the positive label.
        pad: the token id that fills short rows.
        autocast: the type of the computations.
        after_batch: is called after each batch.
        processes: of the training.
    """
    import torch

    compute.model.eval()
    pair = torch.tensor(classes)
    values = np.zeros((3, len(examples.labels)))
    for rows in ordered_batches(examples.lengths, batch_size=_ROWS * processes.world_size):
        for part, counts in processes.parts(rows, count=1):
            batch = compute.batch(examples, part, pad=pad, largest=_ROWS)
            # Not inference mode: what FSDP gathers in it can't be trained on afterwards.
            with torch.no_grad(), autocast():
                logits = compute.model(**batch.inputs).logits
            if counts:
                logits = logits[: len(part)].cpu().double()
                both = logits[:, pair]
                own = both.gather(1, torch.from_numpy(examples.labels[part])[:, None])[:, 0]
                least = logits.topk(min(SHOWN, logits.shape[1])).values[:, -1:]
                values[0, part] = (both[:, 1] - both[:, 0]).numpy()
                values[1, part] = (logits.logsumexp(dim=1) - own).numpy()
                values[2, part] = (both < least).any(dim=1).numpy()
        after_batch()
    return Outputs(*processes.sum(values))
