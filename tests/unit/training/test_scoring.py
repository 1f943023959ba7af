from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sashiko.training.compute import Compute
from sashiko.training.examples import Examples
from sashiko.training.scoring import outputs


class _FirstToken(torch.nn.Module):
    """Takes a row's first token as the log-odds of the positive class."""

    device = torch.device("cpu")

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        odds = input_ids[:, 0].double()
        return SimpleNamespace(logits=torch.stack([torch.zeros_like(odds), odds], dim=1))


_COMPUTE = Compute(_FirstToken(), _FirstToken())


def _examples(count: int) -> Examples:
    random = np.random.default_rng(0)
    lengths = random.integers(1, 9, count)
    return Examples(
        tokens=random.integers(0, 5, lengths.sum()).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        labels=random.integers(0, 2, count),
        weights=np.full(count, 9.0, dtype=np.float32),
    )


def test_a_split_is_scored_in_its_own_order_and_unweighted():
    examples = _examples(150)
    batches: list[int] = []
    scored = outputs(
        _COMPUTE, examples, classes=(0, 1), pad=0, after_batch=lambda: batches.append(1)
    )
    odds = examples.tokens[examples.offsets[:-1]].astype(float)
    signed = np.where(examples.labels == 1, odds, -odds)
    assert scored.losses == pytest.approx(np.log1p(np.exp(-signed)), rel=1e-5)
    higher = odds[examples.labels == 1][:, None] - odds[examples.labels == 0]
    assert scored.auc(examples.labels) == pytest.approx(
        (higher > 0).mean() + (higher == 0).mean() / 2
    )
    assert len(batches) == 3


def test_what_is_raised_between_batches_ends_the_scoring():
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outputs(_COMPUTE, _examples(9), classes=(0, 1), pad=0, after_batch=stop)
