"""The error of a closed gate: a message of limited length, and its extraction from a reason.

SageMaker keeps at most 1,024 characters of a step's failure (`FailureReason` of
PipelineExecutionStep, SageMaker API reference), and documents no format for the error of a Lambda
function. So the message begins with a marker that is searched in the surrounding text.
"""

import json
import re
from collections.abc import Sequence
from typing import Final

MARK: Final = "gate closed: "
WAIVERS: Final = "waivers"  # the argument of a gate that has the recipe's waivers, as JSON
# Some 120 characters of Lambda's error response come with it: keys, type of the error, request id
# ("Using the error response", Lambda Developer Guide, python-exceptions). The rest is SageMaker's.
LONGEST: Final = 800
_END = "..."
_JSON_TEXT = re.compile(r'"errorMessage":\s*"((?:[^"\\]|\\.)*)')


class GateClosedError(Exception):
    """A gate stops the run.

    Attributes:
        summary: the full reason; the text of the error is limited.
    """

    def __init__(self, summaries: Sequence[str]) -> None:
        """Takes the summary of each verdict that closes the gate."""
        room = LONGEST - len(MARK) - _size("\n") * (len(summaries) - 1)
        shortened: dict[int, str] = {}  # the long ones share the room that the short ones leave
        for index in sorted(range(len(summaries)), key=lambda index: _size(summaries[index])):
            text, limit = summaries[index], room // (len(summaries) - len(shortened))
            if _size(text) > limit:
                text = text[: max(limit - len(_END), 0)]
                while text and _size(text) > limit - len(_END):
                    text = text[:-1]
                text += _END
            shortened[index] = text
            room -= _size(text)
        super().__init__(MARK + "\n".join(shortened[index] for index in range(len(summaries))))
        self.summary = "\n".join(summaries)


def closing_summary(reason: str) -> str | None:
    """Returns the summary of a closed gate in a step's failure reason, or None without one."""
    embedded = _JSON_TEXT.search(reason)
    text = reason
    if embedded and MARK in embedded[1]:
        try:
            text = json.loads(f'"{embedded[1]}"')
        except ValueError:  # cut off in the middle of an escape
            text = embedded[1]
    _, mark, summary = text.partition(MARK)
    return summary.strip() if mark else None


def _size(text: str) -> int:
    """Counts the characters of a text in JSON, where a line end or an umlaut takes several."""
    return len(json.dumps(text)) - 2
