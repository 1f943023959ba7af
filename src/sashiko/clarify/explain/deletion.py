"""The deletion test: do the tokens that should matter matter?

Tokens are cut out of the sequence and the rest closes up; nothing is put in their place, so that
the test does not lean on the baseline that the attributions were made with. What is measured is
how far the probability of the predicted label falls, by the share of tokens that is cut.

Source: comprehensiveness, J. DeYoung et al., ERASER (ACL 2020), with random tokens beside it.
"""

from collections.abc import Callable, Sequence

import numpy as np

from sashiko.clarify.explain.attribution import Attributed
from sashiko.clarify.explain.importance import mean_estimate
from sashiko.clarify.explain.record import DeletionPoint, DeletionTest
from sashiko.clarify.explain.tokens import Row
from sashiko.evaluation.metrics.arrays import Bools, Floats, Ints

SHARES = (0.1, 0.2, 0.3, 0.5)
DRAWS = 3
# Of probability: a model that hardly moves for any word is explained by none.
SMALLEST = 0.005


def deletion_test(
    rows: Sequence[Row],
    found: Sequence[Attributed],
    *,
    predicted: Bools,
    probabilities: Callable[[Sequence[Ints]], Floats],
    seed: int,
) -> DeletionTest:
    """Removes the tokens that speak most for each prediction, and as many others by chance.

    Args:
        rows: the explained rows.
        found: their attributions.
        predicted: whether each is predicted positive.
        probabilities: scores token ids; P(positive) of each.
        seed: of the random removals.
    """
    tried = [index for index, row in enumerate(rows) if len(row.content) > 1]
    generator = np.random.default_rng(seed)
    texts: list[Ints] = []
    for index in tried:
        row = rows[index]
        texts.append(row.ids)
        signed = found[index].tokens if predicted[index] else -found[index].tokens
        for share in SHARES:
            texts += _shortened(row, signed, share=share, generator=generator)
    if not tried:
        return _judge(np.empty((0, len(SHARES))), np.empty((0, len(SHARES))))
    scores = probabilities(texts).reshape(len(tried), 1 + len(SHARES) * (1 + DRAWS))
    sign = np.where(predicted[tried], 1.0, -1.0)[:, None]
    falls = sign * (scores[:, :1] - scores[:, 1:])
    falls = falls.reshape(len(tried), len(SHARES), 1 + DRAWS)
    return _judge(falls[:, :, 0], falls[:, :, 1:].mean(axis=2))


def _shortened(
    row: Row, signed: Floats, *, share: float, generator: np.random.Generator
) -> list[Ints]:
    """Returns the row without its top tokens, then without random ones, `DRAWS` times."""
    content = row.content
    count = max(1, round(share * len(content)))
    top = content[np.argsort(-signed[content], kind="stable")[:count]]
    drawn = [generator.choice(content, count, replace=False) for _ in range(DRAWS)]
    return [np.delete(row.ids, removed) for removed in (top, *drawn)]


def _judge(top: Floats, random: Floats) -> DeletionTest:
    """Compares the falls, both of shape (rows, shares)."""
    points = tuple(
        DeletionPoint(
            removed=share, top=mean_estimate(top[:, at]), random=mean_estimate(random[:, at])
        )
        for at, share in enumerate(SHARES)
    )
    lead = mean_estimate((top - random).mean(axis=1))
    return DeletionTest(
        rows=len(top),
        draws=DRAWS,
        points=points,
        lead=lead,
        faithful=lead.low is not None and lead.low > SMALLEST,
    )
