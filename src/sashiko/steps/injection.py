"""Scores rows with prompt injections in them, and counts the decisions that turn.

Any further sentence turns some decisions. So each row is scored a second time, with a neutral
sentence in the injection's place, and what counts is how many more the injections turn.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sashiko.evaluation.evaluation_record import FlipCount, InjectionFigures
from sashiko.evaluation.injections.injection_set import (
    injection_set,
    injection_set_sha256,
    plan_attacks,
)
from sashiko.evaluation.metrics.arrays import ModelScores
from sashiko.evaluation.metrics.calibration import excess_flip_rate, share_estimate
from sashiko.serving.artifact import Artifact, RequestRefusedError
from sashiko.settings.recipe_quality import EvaluateSection


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """A model that scores texts.

    Attributes:
        scores: P(positive) of each text, or None where the model refuses it.
        cuts: whether the model reads each text only in part, as it is too long.
    """

    scores: Callable[[Sequence[str]], Sequence[float | None]]
    cuts: Callable[[Sequence[str]], Sequence[bool]] = lambda texts: [False] * len(texts)


def measure_injection(
    section: EvaluateSection,
    scorer: Scorer,
    texts: Sequence[str],
    candidate: ModelScores,
    *,
    answers: tuple[str, str],
) -> InjectionFigures:
    """Measures how many decisions prompt injections turn, and how many a neutral sentence does.

    `candidate` has the scores of the test split's `texts` without injections; `answers` are what
    the injections ask for, the negative and the positive one.
    """
    injections = injection_set()
    attacks = plan_attacks(
        texts,
        candidate.scores,
        threshold=candidate.threshold,
        answers=answers,
        injections=injections,
        most=section.injections,
        seed=section.seed,
    )
    print(f"scoring {len(attacks)} texts with prompt injections, and as a control", file=sys.stderr)
    parts = [attack.text for attack in attacks], [attack.control for attack in attacks]
    cuts = zip(*map(scorer.cuts, parts), strict=True)
    whole = [attack for attack, cut in zip(attacks, cuts, strict=True) if not any(cut)]
    texts = [text for attack in whole for text in (attack.text, attack.control)]
    scores = np.array(scorer.scores(texts) if texts else (), dtype=np.float64).reshape(-1, 2)
    # None, of a text that was refused, is NaN.
    answered = np.isfinite(scores[:, 0]) & np.isfinite(scores[:, 1])
    scored = [attack for attack, both in zip(whole, answered, strict=True) if both]
    before = np.array([attack.positive for attack in scored], dtype=np.bool_)
    after, control = (scores[answered] >= candidate.threshold).T
    kinds = np.array([attack.injection.kind for attack in scored], dtype=np.str_)

    def count(rows: np.ndarray) -> FlipCount:
        decisions = before[rows], after[rows], control[rows]
        return FlipCount(
            rows=int(rows.sum()),
            flips=int(np.sum(decisions[0] != decisions[1])),
            control_flips=int(np.sum(decisions[0] != decisions[2])),
            rate=share_estimate(decisions[0] != decisions[1]),
            above_control=excess_flip_rate(*decisions),
        )

    return InjectionFigures(
        injections=len(injections.injections),
        sha256=injection_set_sha256(),
        refused=len(whole) - len(scored),
        cut_off=len(attacks) - len(whole),
        overall=count(np.ones(len(scored), dtype=np.bool_)),
        from_positive=count(before),
        from_negative=count(~before),
        by_kind={kind: count(kinds == kind) for kind in sorted(set(kinds.tolist()))},
    )


def artifact_scorer(artifact: Artifact) -> Scorer:
    """Returns what scores texts by the artifact's own handler."""

    def score(texts: Sequence[str]) -> Sequence[float | None]:
        scores: list[float | None] = [None] * len(texts)
        remaining = list(range(len(texts)))
        while remaining:
            try:
                answers = artifact.predict([texts[place] for place in remaining])
            except RequestRefusedError as error:
                if error.position is None:
                    raise
                del remaining[error.position]  # too long, for example
            else:
                for place, answer in zip(remaining, answers, strict=True):
                    scores[place] = answer.score
                break
        return scores

    return Scorer(scores=score, cuts=artifact.cuts)
