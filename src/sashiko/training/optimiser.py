"""The optimiser and its learning rate, which is a function of the step alone."""

from typing import TYPE_CHECKING, Any

from sashiko.settings.train import Hyperparameters

if TYPE_CHECKING:
    import torch


def make_optimiser(model: Any, hyperparameters: Hyperparameters) -> "torch.optim.Optimizer":
    """Makes a fused AdamW over the trainable parameters; vectors (biases, norms) don't decay."""
    import torch

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decay = hyperparameters.weight_decay
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=hyperparameters.learning_rate, fused=True)


def learning_rate(step: int, *, steps: int, peak: float, warmup_ratio: float) -> float:
    """Returns the rate of a step: linear from 0 up to `peak`, then linear down to 0."""
    warmup = round(steps * warmup_ratio)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (steps - step) / (steps - warmup)
