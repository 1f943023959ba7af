"""Shapley values of a text's words: a second opinion on the integrated gradients.

A word is there or masked, all its tokens at once, as in the baseline of the gradients: so both
methods share out the same difference of log-odds. The values are sampled by orders of the words,
each with its reverse, which is exact for a model in which words act alone or by twos; in each order
the words add up to the whole difference.

Sources: E. Strumbelj, I. Kononenko, Explaining prediction models and individual predictions with
feature contributions (KAIS 2014); R. Mitchell et al., Sampling permutations for Shapley value
estimation (JMLR 2022).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats

if TYPE_CHECKING:
    import torch

_PASSES = 64  # texts that go through the model at once


def shapley_values(
    score: "Callable[[torch.Tensor], torch.Tensor]",
    *,
    ids: "torch.Tensor",
    baseline: "torch.Tensor",
    words: Sequence[Sequence[int]],
    pairs: int,
    generator: np.random.Generator,
) -> Floats:
    """Shares the score of a text out among its words, in `pairs * 2 * words` evaluations and one.

    Args:
        score: of token ids, shape (texts, tokens): one number each.
        ids: of the text, shape (1, tokens).
        baseline: of the text that says nothing, likewise.
        words: positions of each word's tokens; all others are the same in text and baseline.
        pairs: of an order of the words and its reverse.
        generator: draws the orders.

    Returns:
        What each word adds to the score, float64, shape (words,).
    """
    import torch
    from captum.attr import ShapleyValueSampling

    owners = torch.zeros_like(ids)
    for number, tokens in enumerate(words):
        owners[0, tokens] = number
    method = ShapleyValueSampling(score)
    method.permutation_generator = lambda count, pairs: _orders(count, pairs, generator)
    found = method.attribute(
        ids,
        baselines=baseline,
        feature_mask=owners,
        n_samples=pairs,
        perturbations_per_eval=_PASSES,
    )
    values: Floats = found[0, [tokens[0] for tokens in words]].double().cpu().numpy()
    return values


def _orders(words: int, pairs: int, generator: np.random.Generator) -> Iterator[list[int]]:
    for _ in range(pairs):
        order = generator.permutation(words).tolist()
        yield order
        yield order[::-1]
