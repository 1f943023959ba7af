"""How good the model is on the validation split, and what is fitted there.

Temperature scaling is one number, made part of the weights. A number's interval has one half width.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sashiko.data.splits import NumberSummary
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import TemperatureFit
from sashiko.evaluation.metrics.arrays import Floats, Ints, favourable_scores
from sashiko.evaluation.metrics.calibration import fit_temperature
from sashiko.evaluation.metrics.numbers import INTERVAL_LEVEL
from sashiko.evaluation.metrics.quality import Scored
from sashiko.serving.container.answers import SHOWN
from sashiko.serving.container.number import Number
from sashiko.training.compute import Compute, ordered_batches
from sashiko.training.examples import Examples
from sashiko.training.linear_model import probabilities
from sashiko.training.processes import Processes

TEMPERATURE_FILE = "temperature.json"
_ROWS = 64
_ONE = Processes()


@dataclass(frozen=True)
class Outputs:
    """What a model says of the rows of a split, in their order."""

    logits: Floats  # of the labels, shape (rows, labels); of a number its outputs, (rows, 1)
    # Of each row, unweighted: the cross-entropy of its label, over all classes of the model; of a
    # number the squared error, in squared standard deviations.
    losses: Floats
    # 1 where one of the two likeliest labels is not among the `SHOWN` likeliest classes, else 0.
    missed: Floats


def auc(labels: npt.NDArray[Any], logits: Floats, *, first_favourable: int) -> float | None:
    """Returns the area under the ROC curve of P(favourable), for the classes from one index on.

    A number has none.
    """
    if logits.shape[1] == 1:
        return None
    scores = favourable_scores(probabilities(logits), first=first_favourable)
    once, favourable = np.ones((1, len(labels))), (labels >= first_favourable).astype(np.int64)
    return float(Scored.of(favourable, scores, threshold=0.5).metrics(once)["auc"][0])


def losses(labels: npt.NDArray[Any], logits: Floats) -> Floats:
    """Returns the cross-entropy of each row's label, or a number's squared error; shape (rows,)."""
    if logits.shape[1] == 1:
        errors: Floats = np.square(logits[:, 0] - labels)
        return errors
    own = logits[np.arange(len(labels)), labels]
    values: Floats = np.logaddexp.reduce(logits - own[:, None], axis=1)
    return values


def outputs(
    compute: Compute,
    examples: Examples,
    *,
    classes: tuple[int, ...],
    pad: int,
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext,
    after_batch: Callable[[], None] = lambda: None,
    processes: Processes = _ONE,
) -> Outputs:
    """Computes a split's rows in evaluation mode; what `after_batch` raises ends it.

    Each process computes a part of the rows, and gets the outputs of all. `classes` are the places
    of the labels' logits, `autocast` the type of the computations.
    """
    import torch

    compute.model.eval()
    places = torch.tensor(classes)
    values = np.zeros((len(classes) + 2, len(examples.labels)))
    for rows in ordered_batches(examples.lengths, batch_size=_ROWS * processes.world_size):
        for part, counts in processes.parts(rows, count=1):
            batch = compute.batch(examples, part, pad=pad, largest=_ROWS)
            # Not inference mode: what FSDP gathers in it can't be trained on afterwards.
            with torch.no_grad(), autocast():
                logits = compute.model(**batch.inputs).logits
            if counts:
                logits = logits[: len(part)].cpu().double()
                answers = logits[:, places]
                values[2:, part] = answers.T.numpy()
                if len(classes) == 1:
                    values[0, part] = losses(examples.labels[part], answers.numpy())
                    continue
                own = answers.gather(1, torch.from_numpy(examples.labels[part])[:, None])[:, 0]
                least = logits.topk(min(SHOWN, logits.shape[1])).values[:, -1]
                values[0, part] = (logits.logsumexp(dim=1) - own).numpy()
                values[1, part] = (answers.topk(2).values[:, 1] < least).numpy()
        after_batch()
    row_losses, missed, *of_labels = processes.sum(values)
    return Outputs(logits=np.stack(of_labels, axis=1), losses=row_losses, missed=missed)


def scale_to_validation(model: Any, labels: Ints, logits: Floats) -> TemperatureFit:
    """Fits the temperature and divides the head's weights by it: so what is served is calibrated.

    Raises:
        InputError: if the model's logits do not come out of one linear layer.
    """
    fit = fit_to_validation(labels, logits)
    divide_logits(model, fit.temperature)
    return fit


def fit_to_validation(labels: Ints, logits: Floats) -> TemperatureFit:
    """Fits the temperature to the validation split's labels and logits, (rows, classes)."""
    fit = fit_temperature(labels, logits)
    return TemperatureFit(
        temperature=fit.value,
        validation_loss_before=fit.loss_before,
        validation_loss_after=fit.loss_after,
        kept=fit.kept,
    )


def fit_number(summary: NumberSummary, labels: Floats, outputs: Floats) -> Number:
    """Fits the interval around predicted numbers by split conformal prediction.

    The half width is the ceil((n + 1) * coverage)-th smallest absolute error of the validation
    split's n rows. Sources: V. Vovk, A. Gammerman, G. Shafer, Algorithmic Learning in a Random
    World (2005); J. Lei et al., Distribution-Free Predictive Inference for Regression (JASA 113,
    2018). Labels and the model's outputs are standardised by the train split, shape (rows,).

    Raises:
        InputError: if the validation split has too few rows for an interval of that coverage.
    """
    place = math.ceil((len(labels) + 1) * INTERVAL_LEVEL)
    if place > len(labels):
        raise InputError(
            f"the validation split has {len(labels)} rows, and an interval that holds "
            f"{float(INTERVAL_LEVEL):.0%} of the labels needs "
            f"{math.ceil(INTERVAL_LEVEL / (1 - INTERVAL_LEVEL))}: load more data, or move the "
            "bounds of the contract's split"
        )
    errors = np.sort(np.abs(labels - outputs))
    return Number(
        mean=summary.mean,
        scale=summary.standard_deviation,
        half_width=float(summary.standard_deviation * errors[place - 1]),
        coverage=float(INTERVAL_LEVEL),
        above=summary.above,
    )


def divide_logits(model: Any, temperature: float) -> None:
    """Divides a model's logits by a number, in the weights of the layer that gives them.

    Raises:
        InputError: if there is not exactly one such layer outside of the encoder.
    """
    from torch import no_grad
    from torch.nn import Linear

    encoder = f"{model.base_model_prefix}."
    heads = [
        layer
        for name, layer in model.named_modules()
        if isinstance(layer, Linear)
        and layer.out_features == model.config.num_labels
        and not name.startswith(encoder)
    ]
    if len(heads) != 1:
        raise InputError(
            f"recipe key train.calibration: the head of model type `{model.config.model_type}` has "
            f"{len(heads)} linear layers that could give its logits, not one: say `none`"
        )
    with no_grad():
        for parameter in heads[0].parameters():
            parameter.div_(temperature)
