"""The deletion test: whether removing the top tokens lowers the score more than random ones.

Tokens are removed without replacement, so that the test does not depend on the attributions'
baseline. It measures how far the probability of the predicted label falls, by the share of removed
tokens.

Source: comprehensiveness, J. DeYoung et al., ERASER (ACL 2020), compared with random tokens.
"""

from collections.abc import Callable, Sequence

import numpy as np

from sashiko.evaluation.metrics.arrays import Bools, Floats, Ints
from sashiko.explain.attribution import RowAttribution
from sashiko.explain.explanation_record import DeletionPoint, DeletionTest
from sashiko.explain.importance import mean_estimate
from sashiko.explain.tokens import Row

SHARES = (0.1, 0.2, 0.3, 0.5)
DRAWS = 3
# Smallest lead, in probability, that counts as an effect.
SMALLEST = 0.005


def deletion_test(
    rows: Sequence[Row],
    attributions: Sequence[RowAttribution],
    *,
    predicted: Bools,
    probabilities: Callable[[Sequence[Ints]], Floats],
    seed: int,
) -> DeletionTest:
    """Removes the top tokens of each prediction, and as many random ones.

    Args:
        rows: the explained rows.
        attributions: their attributions.
        predicted: whether each is predicted positive.
        probabilities: scores token ids; P(positive) of each.
        seed: of the random removals.
    """
    testable = [index for index, row in enumerate(rows) if len(row.content) > 1]
    generator = np.random.default_rng(seed)
    texts: list[Ints] = []
    for index in testable:
        row = rows[index]
        texts.append(row.ids)
        signed = attributions[index].tokens if predicted[index] else -attributions[index].tokens
        for share in SHARES:
            texts += _shorten(row, signed, share=share, generator=generator)
    if not testable:
        return _compare(np.empty((0, len(SHARES))), np.empty((0, len(SHARES))))
    scores = probabilities(texts).reshape(len(testable), 1 + len(SHARES) * (1 + DRAWS))
    sign = np.where(predicted[testable], 1.0, -1.0)[:, None]
    falls = sign * (scores[:, :1] - scores[:, 1:])
    falls = falls.reshape(len(testable), len(SHARES), 1 + DRAWS)
    return _compare(falls[:, :, 0], falls[:, :, 1:].mean(axis=2))


def _shorten(
    row: Row, signed: Floats, *, share: float, generator: np.random.Generator
) -> list[Ints]:
    """Returns the row without its top tokens, then without random ones, `DRAWS` times."""
    content = row.content
    count = max(1, round(share * len(content)))
    top = content[np.argsort(-signed[content], kind="stable")[:count]]
    random_tokens = [generator.choice(content, count, replace=False) for _ in range(DRAWS)]
    return [np.delete(row.ids, removed) for removed in (top, *random_tokens)]


def _compare(top: Floats, random: Floats) -> DeletionTest:
    """Compares the falls in probability, both of shape (rows, shares)."""
    points = tuple(
        DeletionPoint(
            removed=share, top=mean_estimate(top[:, index]), random=mean_estimate(random[:, index])
        )
        for index, share in enumerate(SHARES)
    )
    lead = mean_estimate((top - random).mean(axis=1))
    return DeletionTest(
        rows=len(top),
        draws=DRAWS,
        points=points,
        lead=lead,
        faithful=lead.low is not None and lead.low > SMALLEST,
    )
