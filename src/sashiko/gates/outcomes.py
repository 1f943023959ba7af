"""What each gate said, as a registry and MLflow record it."""

import re
from collections.abc import Sequence

from sashiko.gates.verdict import Verdict

_METADATA_CHARACTERS = 256  # of a model package's metadata


def gate_tags(verdicts: Sequence[Verdict], *, bias_not_judged: str) -> dict[str, str]:
    """Says of each gate `gate.<gate>` -> `passed`, `waived` or `failed`, or why it did not judge.

    Args:
        verdicts: of the gates that the run has.
        bias_not_judged: the recipe's reason; empty where bias was judged.
    """
    tags = {f"gate.{item.gate}": _outcome(item) for item in verdicts}
    for item in verdicts:
        if item.waived and item.released:
            tags[f"gate.{item.gate}.waived"] = _waivers(item)
        if not item.judged:
            tags |= {
                f"gate.{item.gate}": "not judged",
                f"gate.{item.gate}.reason": item.checks[0].reason,
            }
    if bias_not_judged:
        tags |= {"gate.bias": "not judged", "gate.bias.reason": bias_not_judged}
    return tags


def _waivers(verdict: Verdict) -> str:
    """Says who waived what until when, in the characters that a model package's metadata take."""
    said = " + ".join(
        f"{check.name} by {check.waiver.owner} until {check.waiver.expires}"
        for check in verdict.waived
        if check.waiver
    )
    return re.sub(r"[^\w .:/=+@-]", "-", said)[:_METADATA_CHARACTERS]


def _outcome(verdict: Verdict) -> str:
    if verdict.passed:
        return "passed"
    return "waived" if verdict.released else "failed"
