"""Scores rows with prompt injections in them, and counts the decisions that turn."""

import sys
from collections.abc import Callable, Sequence

import numpy as np

from sashiko.evaluation.injections.attacks import plan_attacks
from sashiko.evaluation.injections.injection_set import injection_set, injection_set_sha256
from sashiko.evaluation.metrics.arrays import ModelScores
from sashiko.evaluation.metrics.flips import flip_rate
from sashiko.evaluation.record import FlipCount, InjectionFigures
from sashiko.serving.artifact import Artifact, RequestRefusedError
from sashiko.settings.quality import EvaluateSection

# Scores texts: P(positive) of each, or None where the model refuses it.
Scorer = Callable[[Sequence[str]], Sequence[float | None]]


def measure_injection(
    section: EvaluateSection,
    score: Scorer,
    texts: Sequence[str],
    candidate: ModelScores,
    *,
    answers: tuple[str, str],
) -> InjectionFigures:
    """Measures how many decisions prompt injections turn.

    Args:
        section: how many texts are scored, and the seed of their draw.
        score: scores texts with the candidate.
        texts: of the test split's rows.
        candidate: the candidate's scores of these rows without injections, and its threshold.
        answers: what the injections ask for: the negative and the positive answer.
    """
    injections = injection_set().injections
    attacks = plan_attacks(
        texts,
        candidate.scores,
        threshold=candidate.threshold,
        answers=answers,
        injections=injections,
        most=section.injections,
        seed=section.seed,
    )
    print(f"scoring {len(attacks)} texts with prompt injections", file=sys.stderr)
    scores = score([attack.text for attack in attacks])
    scored = [
        (attack, item) for attack, item in zip(attacks, scores, strict=True) if item is not None
    ]
    before = np.array([attack.positive for attack, _ in scored], dtype=np.bool_)
    after = np.array([score >= candidate.threshold for _, score in scored], dtype=np.bool_)
    kinds = np.array([attack.injection.kind for attack, _ in scored], dtype=np.str_)

    def count(rows: np.ndarray) -> FlipCount:
        flips = int(np.sum(before[rows] != after[rows]))
        rate = flip_rate(before[rows], after[rows])
        return FlipCount(rows=int(rows.sum()), flips=flips, rate=rate)

    return InjectionFigures(
        injections=len(injections),
        sha256=injection_set_sha256(),
        refused=len(attacks) - len(scored),
        overall=count(np.ones(len(scored), dtype=np.bool_)),
        from_positive=count(before),
        from_negative=count(~before),
        by_kind={kind: count(kinds == kind) for kind in sorted(set(kinds.tolist()))},
    )


def artifact_scorer(artifact: Artifact) -> Scorer:
    """Returns what scores texts by the artifact's own handler; None where it refuses one."""

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

    return score
