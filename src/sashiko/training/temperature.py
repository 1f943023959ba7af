"""Temperature scaling: one number, fitted on the validation split, made part of the weights."""

from pathlib import Path
from typing import Any

from sashiko.base.files import write_json
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import TemperatureFit
from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.evaluation.metrics.calibration import fit_temperature

TEMPERATURE_FILE = "temperature.json"


def scale_to_validation(model: Any, labels: Ints, margins: Floats) -> TemperatureFit:
    """Fits the temperature and divides the head's weights by it.

    Whatever is exported, compiled or served of the model then gives calibrated scores, and has
    nothing to know.

    Raises:
        InputError: if the model's logits do not come out of one linear layer.
    """
    fit = fit_temperature(labels, margins)
    divide_logits(model, fit.value)
    return TemperatureFit(
        temperature=fit.value,
        validation_loss_before=fit.loss_before,
        validation_loss_after=fit.loss_after,
        kept=fit.kept,
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


def write_temperature(fit: TemperatureFit, folder: Path) -> None:
    """Writes `temperature.json`."""
    write_json(folder / TEMPERATURE_FILE, fit.model_dump(mode="json"))
