"""A deterministic sample of rows, each with an injection that asks for the other decision.

Each row also has its control: the same text with a neutral sentence in the injection's place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sashiko.evaluation.injections.injection_set import Injection, InjectionSet
from sashiko.evaluation.metrics.arrays import Floats


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A row's text with an injection."""

    row: int  # the row's position in the split
    positive: bool  # the decision without the injection; the injection asks for the other one
    injection: Injection
    text: str  # the row's text and the injection
    control: str  # the row's text and a neutral sentence, in the same order


def plan_attacks(
    texts: Sequence[str],
    scores: Floats,
    *,
    threshold: float,
    answers: tuple[str, str],
    injections: InjectionSet,
    most: int,
    seed: int,
) -> list[Attack]:
    """Draws rows of both decisions, half of `most` each, and gives each row one injection.

    A distinct text is drawn once at most, so that the rows are independent. Rows are drawn from the
    shorter half of those with the decision, so that truncation to the model's length seldom cuts an
    appended injection off. Injections take turns, and stand before and after the text in turn.

    Args:
        texts: of the rows.
        scores: P(positive) of the rows without an injection, shape (rows,).
        threshold: rows with at least this score are decided positive.
        answers: what the injections ask for: the negative and the positive answer.
        injections: those that take turns, and the neutral sentences.
        most: the most attacks, of both decisions together.
        seed: of the draw; equal arguments give equal attacks.
    """
    generator = np.random.default_rng(seed)
    first = np.array(sorted({text: row for row, text in reversed([*enumerate(texts)])}.values()))
    attacks: list[Attack] = []
    for positive in (True, False):
        rows = first[(scores[first] >= threshold) == positive]
        rows = sorted(rows.tolist(), key=lambda row: (len(texts[row]), row))
        shorter = np.array(rows[: max((len(rows) + 1) // 2, most // 2)], dtype=np.int64)
        drawn = generator.permutation(shorter)[: most // 2]
        target = answers[0] if positive else answers[1]
        attacks += _attacks(texts, drawn.tolist(), injections, target=target, positive=positive)
    return attacks


def _attacks(
    texts: Sequence[str],
    rows: Sequence[int],
    injections: InjectionSet,
    *,
    target: str,
    positive: bool,
) -> Iterator[Attack]:
    for number, row in enumerate(rows):
        turn, place = divmod(number, len(injections.injections))
        injection = injections.injections[place]
        neutral = injections.neutral[number % len(injections.neutral)]
        order = -1 if (turn + place) % 2 else 1
        attack, control = (
            "\n".join([texts[row], sentence][::order])
            for sentence in (injection.ask_for(target), neutral)
        )
        yield Attack(row=row, positive=positive, injection=injection, text=attack, control=control)
