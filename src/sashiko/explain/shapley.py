"""Shapley values of a text's words: a causal LM's attributions, and a cross-check of all others.

A word is present or replaced with all its tokens, as in the baseline of the attributions, so both
distribute the same difference of log-odds. The values are sampled by permutations, each with its
reverse, which is exact for a model with no interactions beyond pairs of words. In each permutation
the words sum to the whole difference.

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

_PASSES = 64  # texts in one forward pass


def shapley_values(
    score: "Callable[[torch.Tensor], torch.Tensor]",
    *,
    ids: "torch.Tensor",
    baseline: "torch.Tensor",
    words: Sequence[Sequence[int]],
    pairs: int,
    generator: np.random.Generator,
) -> Floats:
    """Attributes a text's score to its words, in `pairs * 2 * words + 1` evaluations.

    Args:
        score: of token ids, shape (texts, tokens): one number each.
        ids: of the text, shape (1, tokens).
        baseline: ids of the baseline text, same shape.
        words: positions of each word's tokens; all others are the same in text and baseline.
        pairs: permutations of the words, each with its reverse.
        generator: draws the permutations.

    Returns:
        Contribution of each word to the score, float64, shape (words,).
    """
    import torch
    from captum.attr import ShapleyValueSampling

    owners = torch.zeros_like(ids)
    for number, tokens in enumerate(words):
        owners[0, tokens] = number
    method = ShapleyValueSampling(score)
    method.permutation_generator = lambda count, pairs: _orders(count, pairs, generator)
    attributions = method.attribute(
        ids,
        baselines=baseline,
        feature_mask=owners,
        n_samples=pairs,
        perturbations_per_eval=_PASSES,
    )
    values: Floats = attributions[0, [tokens[0] for tokens in words]].double().cpu().numpy()
    return values


def _orders(words: int, pairs: int, generator: np.random.Generator) -> Iterator[list[int]]:
    for _ in range(pairs):
        order = generator.permutation(words).tolist()
        yield order
        yield order[::-1]
