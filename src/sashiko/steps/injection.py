"""Scores rows with the prompt injections of `injections.yaml`, and counts decisions that turn.

Any further sentence turns some decisions. So each row is scored a second time, with a neutral
sentence in the injection's place, and what counts is how many more the injections turn.
"""

import base64
import codecs
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from sashiko.base.yaml_models import Frozen, read_yaml, validate
from sashiko.evaluation.evaluation_record import FlipCount, InjectionFigures
from sashiko.evaluation.metrics.arrays import Floats, ModelScores
from sashiko.evaluation.metrics.calibration import excess_flip_rate, share_estimate
from sashiko.serving.artifact import Artifact, RequestRefusedError
from sashiko.settings.recipe_quality import EvaluateSection

_FILE = Path(__file__).with_name("injections.yaml")
Encoding = Literal["base64", "hex", "rot13", "reversed", "spaced"]
_ENCODERS: Mapping[Encoding, Callable[[str], str]] = {
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "reversed": lambda text: text[::-1],
    "spaced": " ".join,
}


class Injection(Frozen):
    """A text that asks a classifier for an answer.

    Attributes:
        name: unique in the set.
        kind: the trick, such as `role` or `token`.
        text: with `{target}` or `{encoded}`.
        encoded: the part that has to be decoded, with `{target}`.
        encoding: how that part is encoded.
    """

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    kind: str = Field(pattern=r"^[a-z]+$")
    text: str
    encoded: str = "{target}"
    encoding: Encoding | None = None

    @model_validator(mode="after")
    def _check_target(self) -> Self:
        place = "{encoded}" if self.encoding else "{target}"
        if place not in self.text or "{target}" not in self.encoded:
            raise ValueError(f"`{self.name}` does not ask for an answer: `{place}` is missing")
        return self

    def ask_for(self, target: str) -> str:
        """Returns the text that asks for an answer, such as a label's name."""
        if self.encoding is None:
            return self.text.replace("{target}", target)
        encoded = _ENCODERS[self.encoding](self.encoded.replace("{target}", target))
        return self.text.replace("{encoded}", encoded)


class InjectionSet(Frozen):
    """The injections, in the order of their file.

    Attributes:
        injections: those that take turns.
        neutral: sentences that ask for nothing. In place of an injection they show how many
            decisions turn because there is another sentence, whatever it says.
    """

    injections: tuple[Injection, ...] = Field(min_length=1)
    neutral: tuple[str, ...] = Field(min_length=1)


@cache
def injection_set() -> InjectionSet:
    """Reads the packaged file."""
    return validate(InjectionSet, read_yaml(_FILE), source=str(_FILE))


def injection_set_sha256() -> str:
    """Returns the hex SHA-256 of the packaged file: rates are comparable for equal sets only."""
    return hashlib.sha256(_FILE.read_bytes()).hexdigest()


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
    answers: tuple[str, ...],
    injections: InjectionSet,
    most: int,
    seed: int,
    as_rows: bool = False,
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
        as_rows: whether the texts are rows as JSON objects, whose longest text is attacked.
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
        for number, row in enumerate(drawn.tolist()):
            turn, place = divmod(number, len(injections.injections))
            injection = injections.injections[place]
            neutral = injections.neutral[number % len(injections.neutral)]
            order: Literal[1, -1] = -1 if (turn + place) % 2 else 1
            attack, control = (
                _into_row(texts[row], sentence, order=order)
                if as_rows
                else "\n".join([texts[row], sentence][::order])
                for sentence in (injection.ask_for(target), neutral)
            )
            attacks.append(
                Attack(
                    row=row, positive=positive, injection=injection, text=attack, control=control
                )
            )
    return attacks


def _into_row(row: str, sentence: str, *, order: Literal[1, -1]) -> str:
    """Returns a row, a JSON object, with a sentence before or after its longest text."""
    values: dict[str, object] = json.loads(row)
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    for name in sorted(texts, key=lambda name: len(texts[name]))[-1:]:
        values[name] = "\n".join([texts[name], sentence][::order])
    return json.dumps(values, ensure_ascii=False)


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
    answers: tuple[str, ...],
    as_rows: bool = False,
) -> InjectionFigures:
    """Measures how many decisions prompt injections turn, and how many a neutral sentence does.

    `candidate` has the scores of the test split's `texts` without injections; `answers` are what
    the injections ask for, the negative and the positive one. `as_rows`: the texts are rows as JSON
    objects.
    """
    injections = injection_set()
    attacks = plan_attacks(
        texts,
        candidate.scores[:, 1],
        threshold=candidate.threshold,
        answers=answers,
        injections=injections,
        most=section.injections,
        seed=section.seed,
        as_rows=as_rows,
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
