"""The score of a row from an imported model's log probabilities, or the interval that it lies in.

The score is the judged one: the probability of the positive answer's token at the last position of
the prompt, over those of both answers. The model is asked in the format of OpenAI's completions,
which the field `max_tokens` chooses, for one token and the most probable ones in its place ("Invoke
your imported model" and "Advanced API features for imported models", Amazon Bedrock User Guide).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sashiko.serving.container.answers import SHOWN
from sashiko.steps.device.invocation import Answer, DeviceFailedError

UNANSWERED = "no answer"
UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class ScoreRange:
    """What is known of a score; both ends are equal where both answers are among what is shown."""

    low: float
    high: float


class _Logprobs(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    top_logprobs: tuple[Mapping[str, float], ...] = Field(min_length=1)


class _Choice(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    logprobs: _Logprobs


class _Usage(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    prompt_tokens: int


class Completion(BaseModel):
    """An answer in the format of OpenAI's completions."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    choices: tuple[_Choice, ...] = Field(min_length=1)
    usage: _Usage

    @property
    def shown(self) -> Mapping[str, float]:
        """Text of a token -> its log probability, of the most probable ones after the prompt."""
        return self.choices[0].logprobs.top_logprobs[0]


def completion_body(prompt: str) -> bytes:
    """Returns the body of a request."""
    return json.dumps(
        {"prompt": prompt, "max_tokens": 1, "temperature": 0, "logprobs": SHOWN}
    ).encode()


def read_completion(value: Any) -> Completion | None:
    """Reads the body of a response, a JSON value; None if the guardrail blocked one of the two.

    Raises:
        DeviceFailedError: if it has no log probabilities in the format of OpenAI's completions.
    """
    try:
        # "Use your guardrail with inference operations to evaluate user input", Amazon Bedrock
        # User Guide.
        if value.get("amazon-bedrock-guardrailAction") == "INTERVENED":
            return None
        return Completion.model_validate(value)
    except (ValidationError, AttributeError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        where = ".".join(str(part) for part in first["loc"]) if first else "the body"
        raise DeviceFailedError(
            f"an answer has no log probabilities in the format of OpenAI's completions ({where}: "
            f"{first['msg'] if first else error}): Bedrock gives them for models that were "
            "imported after 2025-11-11; import the version again"
        ) from error


def score_range(shown: Mapping[str, float], answers: tuple[str, str]) -> ScoreRange | None:
    """Returns the score, or its bounds; None if neither answer is among what is shown.

    A token that is not shown is at most as probable as the least probable one that is, and as what
    all of those leave.

    Args:
        shown: text of a token -> its natural logarithm of a probability.
        answers: the texts of the negative and the positive answer.
    """
    # A server may add the token that it chose to the most probable ones.
    likely = sorted((math.exp(value) for value in shown.values()), reverse=True)[:SHOWN]
    most = min(likely[-1], max(0.0, 1.0 - math.fsum(likely))) if likely else 0.0
    negative, positive = (math.exp(shown.get(name, -math.inf)) for name in answers)
    if not (negative or positive):
        return None
    if not negative:
        return ScoreRange(low=positive / (positive + most), high=1.0)
    if not positive:
        return ScoreRange(low=0.0, high=most / (most + negative))
    score = positive / (positive + negative)
    return ScoreRange(low=score, high=score)


def worst_answer(
    known: ScoreRange | None, *, judged: float, threshold: float, labels: tuple[str, str]
) -> Answer:
    """Returns the answer that is furthest from the judged score, of those that are possible.

    A score that lies on both sides of the threshold decides for no label, and a row without one is
    not answered: neither is equal to the judged label.
    """
    if known is None:
        return Answer(label=UNANSWERED, score=math.nan)
    score = max((known.low, known.high), key=lambda end: abs(end - judged))
    low, high = (labels[end >= threshold] for end in (known.low, known.high))
    return Answer(label=low if low == high else UNDECIDED, score=score)
