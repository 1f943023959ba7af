"""Whether a run may go on past its model gates, and what each gate said, as a record of it."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from difflib import get_close_matches
from pathlib import Path

from sashiko.core.files import write_json
from sashiko.evaluation.gates.verdict import Check, Verdict, summarised
from sashiko.settings.waiver import Waiver

RELEASE_FILE = "release.json"


def today() -> date:
    """Returns the day in UTC, by which waivers expire."""
    return datetime.now(UTC).date()


def waive(verdict: Verdict, waivers: Sequence[Waiver], *, on: date) -> Verdict:
    """Puts its waiver beside each failed check that has one; the verdict stays failed.

    Args:
        verdict: of a model gate.
        waivers: the recipe's.
        on: the day; a waiver holds until the end of the day that it names.

    Returns:
        The verdict, with a summary that says what was waived, by whom and until when; of a waiver
        that has expired, or whose `check` is spelt otherwise, the failed check says so.
    """
    return summarised(verdict, [_waived(check, waivers, on=on) for check in verdict.checks])


def write_release(verdicts: Sequence[Verdict], folder: Path) -> None:
    """Writes `release.json`, by which a gate of the pipeline judges.

    `released` says whether the run may go on, `summaries` what each verdict that stops it says.
    """
    stopping = [verdict for verdict in verdicts if not verdict.released]
    value = {"released": not stopping, "summaries": [verdict.summary for verdict in stopping]}
    write_json(folder / RELEASE_FILE, value)


def _waived(check: Check, waivers: Sequence[Waiver], *, on: date) -> Check:
    found = [waiver for waiver in waivers if waiver.check == check.name]
    if check.passed:
        return check
    if not found:
        for name in get_close_matches(check.name, [waiver.check for waiver in waivers], n=1):
            return _because(check, f"the waiver of `{name}` is of another check")
        return check
    waiver = max(found, key=lambda item: item.expires)
    if waiver.expires >= on:
        return check.model_copy(update={"waiver": waiver})
    return _because(check, f"the waiver of {waiver.owner} expired on {waiver.expires}")


def _because(check: Check, why: str) -> Check:
    reason = f"{check.reason}; {why}" if check.reason else why
    return check.model_copy(update={"reason": reason})


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
