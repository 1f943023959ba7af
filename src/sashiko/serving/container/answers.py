"""Whether a causal LM answers: how often its two likeliest answers are among its likeliest tokens.

A score needs the logits of the answers alone. A service that generates text shows the most
probable tokens of the whole vocabulary, so a model that says something else has no score there.
"""

import json
from dataclasses import dataclass
from pathlib import Path

ANSWERS_FILE = "answers.json"  # beside the adapter
# The most that OpenAI's API reference allows as `logprobs` of a completion.
SHOWN = 5
LARGEST_SHARE = 0.01  # of rows that are not answered


@dataclass(frozen=True)
class Answered:
    """A causal LM's answers to rows."""

    rows: int  # how many rows it was asked for
    # Of those, where one of the two likeliest answers is not among the `SHOWN` likeliest tokens.
    missed: int

    @property
    def share(self) -> float:
        """The share of rows that are missed."""
        return self.missed / self.rows

    def fault(self) -> str | None:
        """Returns what is wrong and how to correct it, or None if the model answers."""
        if self.share <= LARGEST_SHARE:
            return None
        return (
            f"the model does not answer: in {self.missed:,} of {self.rows:,} rows ({self.share:.1%}"
            f", at most {LARGEST_SHARE:.0%} may be) two answers of the recipe's prompt.answers are "
            f"not among its {SHOWN} most probable tokens; train on more rows or for more "
            "epochs, or at a higher train.learning_rate"
        )


def read_answered(folder: Path) -> Answered:
    """Reads the `answers.json` beside an adapter, which Train wrote."""
    return Answered(**json.loads((folder / ANSWERS_FILE).read_text(encoding="utf-8")))
