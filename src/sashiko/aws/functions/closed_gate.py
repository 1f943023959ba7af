"""A gate that closes: what it says, bounded where it is joined, and found again in a reason.

SageMaker keeps at most 1,024 characters of why a step failed (`FailureReason` of
PipelineExecutionStep, SageMaker API reference), and documents no wording for what a Lambda function
raised. So the message begins with a mark, which is looked for in whatever stands around it.
"""

import json
import re
from collections.abc import Sequence
from typing import Final

MARK: Final = "gate closed: "
# Some 120 characters of Lambda's error response come with it: keys, type of the error, request id
# ("Using the error response", Lambda Developer Guide, python-exceptions). The rest is SageMaker's.
LONGEST: Final = 800
_END = "..."
_JSON_TEXT = re.compile(r'"errorMessage":\s*"((?:[^"\\]|\\.)*)')


class GateClosedError(Exception):
    """A gate does not let the run go on.

    Attributes:
        summary: what closes it, in full; the error's own text is bounded.
    """

    def __init__(self, summaries: Sequence[str]) -> None:
        """Takes the summary of each verdict that closes the gate."""
        super().__init__(MARK + _joined(summaries, LONGEST - len(MARK)))
        self.summary = "\n".join(summaries)


def closing_summary(reason: str) -> str | None:
    """Returns what a closed gate says in a step's failure reason, or None if no gate closed."""
    embedded = _JSON_TEXT.search(reason)
    text = reason
    if embedded and MARK in embedded[1]:
        try:
            text = json.loads(f'"{embedded[1]}"')
        except ValueError:  # cut off in the middle of an escape
            text = embedded[1]
    _, mark, summary = text.partition(MARK)
    return summary.strip() if mark else None


def _joined(summaries: Sequence[str], limit: int) -> str:
    """Joins texts line by line; if all do not fit, the short ones stay whole and the long share."""
    room = limit - _size("\n") * (len(summaries) - 1)
    cut: dict[int, str] = {}
    for at in sorted(range(len(summaries)), key=lambda at: _size(summaries[at])):
        cut[at] = _shortened(summaries[at], room // (len(summaries) - len(cut)))
        room -= _size(cut[at])
    return "\n".join(cut[at] for at in range(len(summaries)))


def _shortened(text: str, limit: int) -> str:
    if _size(text) <= limit:
        return text
    kept = text[: max(limit - len(_END), 0)]
    while kept and _size(kept) > limit - len(_END):
        kept = kept[:-1]
    return kept + _END


def _size(text: str) -> int:
    """Counts the characters of a text inside JSON, where a line's end or an umlaut is several."""
    return len(json.dumps(text)) - 2
