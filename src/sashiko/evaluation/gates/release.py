"""The release of a run: waivers, `release.json`, and the gates' outcomes as tags."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from difflib import get_close_matches
from pathlib import Path

from sashiko.base.files import write_json
from sashiko.evaluation.gates.verdict import Check, Verdict, with_summary
from sashiko.settings.waiver import Waiver

RELEASE_FILE = "release.json"


def today() -> date:
    """Returns the day in UTC, by which waivers expire."""
    return datetime.now(UTC).date()


def waive(verdict: Verdict, waivers: Sequence[Waiver], *, on: date) -> Verdict:
    """Attaches waivers to failed checks; the verdict stays failed.

    A waiver is valid through its last day.

    Returns:
        The verdict, whose summary states what was waived, by whom and until when. The reason of a
        failed check states if its waiver has expired or names a similar check.
    """
    return with_summary(verdict, [_apply_waiver(check, waivers, on=on) for check in verdict.checks])


def write_release(verdicts: Sequence[Verdict], folder: Path) -> None:
    """Writes `release.json`, which the pipeline's gate reads.

    `released` is whether the run may continue, `summaries` are those of the blocking verdicts.
    """
    stopping = [verdict for verdict in verdicts if not verdict.released]
    value = {"released": not stopping, "summaries": [verdict.summary for verdict in stopping]}
    write_json(folder / RELEASE_FILE, value)


def _apply_waiver(check: Check, waivers: Sequence[Waiver], *, on: date) -> Check:
    matches = [waiver for waiver in waivers if waiver.check == check.name]
    if check.passed:
        return check
    if not matches:
        for name in get_close_matches(check.name, [waiver.check for waiver in waivers], n=1):
            return _add_reason(check, f"the waiver of `{name}` is of another check")
        return check
    waiver = max(matches, key=lambda item: item.expires)
    if waiver.expires >= on:
        return check.model_copy(update={"waiver": waiver})
    return _add_reason(check, f"the waiver of {waiver.owner} expired on {waiver.expires}")


def _add_reason(check: Check, addition: str) -> Check:
    reason = f"{check.reason}; {addition}" if check.reason else addition
    return check.model_copy(update={"reason": reason})


_METADATA_CHARACTERS = 256  # of a model package's metadata


def gate_tags(verdicts: Sequence[Verdict], *, bias_not_judged: str) -> dict[str, str]:
    """Returns tags `gate.<gate>` -> `passed`, `waived`, `failed` or `not judged`, with reasons."""
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
    """Formats waivers with the characters that a model package's metadata allow."""
    text = " + ".join(
        f"{check.name} by {check.waiver.owner} until {check.waiver.expires}"
        for check in verdict.waived
        if check.waiver
    )
    return re.sub(r"[^\w .:/=+@-]", "-", text)[:_METADATA_CHARACTERS]


def _outcome(verdict: Verdict) -> str:
    if verdict.passed:
        return "passed"
    return "waived" if verdict.released else "failed"
