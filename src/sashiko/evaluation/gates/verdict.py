"""The verdict of a gate, and waivers of its failed checks."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from difflib import get_close_matches
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sashiko.base.files import read_json, write_json
from sashiko.errors import InputError
from sashiko.settings.recipe_quality import Waiver

__all__ = ["Check"]
DEVICE_GATE = "device"
MODEL_GATES = ("model-quality", "bias")
_WAIVABLE = (*MODEL_GATES, DEVICE_GATE)
VERDICT_FILE = "verdict.json"
_MOST_CHARACTERS = 1400
_MOST_NAMED = 5  # in a summary
_METADATA_CHARACTERS = 256  # of a model package's metadata
Threshold = float | tuple[float, float] | None


class Check(BaseModel):
    """One check of a gate."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: str  # a self-contained name, such as `DI customer_gender=female`
    value: float | None = None  # the measured number, or None if the check has no number
    low: float | None = None  # lower end of the 95 % interval of `value`, if there is one
    high: float | None = None  # upper end of that interval
    # The bound, or the (minimum, maximum) pair for `in_range`.
    threshold: Threshold = None
    # The comparison of `value` with `threshold`: `>=`, `<=`, `>`, `<`, `==`, `in_range`, or `none`
    # for a value that is only reported.
    comparison: str = "none"
    passed: bool  # the outcome
    reason: str = ""  # one sentence on why it passed or failed
    # What to try next; empty if the check passed. `try` in the file.
    try_: str = Field(default="", alias="try")
    # False if nothing could be judged, for the given `reason`: `passed` then lets the run continue
    # without a statement on the model. Serialised only if false.
    judged: bool = Field(True, exclude_if=bool)
    # The waiver of this failed check; serialised only if present.
    waiver: Waiver | None = Field(None, exclude_if=lambda waiver: waiver is None)

    @property
    def outcome(self) -> str:
        """Passed or failed."""
        return "passed" if self.passed else "failed"

    @property
    def spans_bound(self) -> bool:
        """Whether the value passed but the interval reaches beyond the bound."""
        if not (self.passed and self.judged) or self.low is None or self.high is None:
            return False
        match self.threshold, self.comparison:
            case (minimum, maximum), _:
                return self.low < minimum or self.high > maximum
            case float(bound), ">=" | ">":
                return self.low < bound
            case float(bound), "<=" | "<":
                return self.high > bound
        return False


class Verdict(BaseModel):
    """A gate's decision with its checks and inputs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate: str  # the gate's name, such as `data-quality`
    passed: bool  # True if every check passed
    checks: tuple[Check, ...]  # in order of evaluation
    inputs: dict[str, str]  # name -> hex SHA-256 of each file or folder that the checks read
    # A readable summary; for a failed gate each failed check with its number, interval, threshold
    # and what to try, a line each.
    summary: str
    # False if the settings switched the gate off: `passed` then lets the run continue without a
    # statement on the model. Serialised only if false.
    judged: bool = Field(True, exclude_if=bool)

    @property
    def outcome(self) -> str:
        """Passed, failed, or not judged."""
        if not self.judged:
            return "not judged"
        return "passed" if self.passed else "failed"

    @property
    def waived(self) -> tuple[Check, ...]:
        """The failed checks with a waiver."""
        return tuple(check for check in self.checks if check.waiver)

    @property
    def released(self) -> bool:
        """Whether the run may continue: it passed, or every failed check is waived."""
        return self.passed or all(check.passed or check.waiver for check in self.checks)


def bound(minimum: float | None, maximum: float | None) -> tuple[str, Threshold]:
    """Returns comparison and threshold of a check with a bound on one side or on both."""
    if minimum is not None and maximum is not None:
        return "in_range", (minimum, maximum)
    return ("<=", maximum) if minimum is None else (">=", minimum)


def not_judged(*, gate: str, reason: str) -> Verdict:
    """Returns the verdict of a gate that is switched off: the run continues, and records it."""
    check = Check(name="not judged", passed=True, reason=reason, judged=False)
    summary = f"{gate}: not judged: {reason}"
    return Verdict(
        gate=gate, passed=True, checks=(check,), inputs={}, summary=summary, judged=False
    )


def decide(*, gate: str, checks: Sequence[Check], inputs: Mapping[str, str]) -> Verdict:
    """Returns a verdict: passed only if there is a check and every check passed.

    An empty list of checks fails, since nothing was judged.
    """
    checks = tuple(checks) or (
        Check(name="no checks", passed=False, reason="nothing was checked", try_="add a check"),
    )
    passed = all(check.passed for check in checks)
    verdict = Verdict(gate=gate, passed=passed, checks=checks, inputs=dict(inputs), summary="")
    return _with_summary(verdict, checks)


def _with_summary(verdict: Verdict, checks: Sequence[Check]) -> Verdict:
    """Replaces a verdict's checks, without changing its outcome, and writes its summary."""
    failed = [check for check in checks if not check.passed]
    summary = verdict.summary
    if failed:
        summary = f"{verdict.gate}: {len(failed)} of {_count(len(checks))} failed"
        for number, check in enumerate(failed):  # as many lines as fit on a terminal
            line = f"- {describe(check)}"
            if len(summary) + len(line) > _MOST_CHARACTERS:
                summary += f"\n- and {len(failed) - number} more, in the verdict and the report"
                break
            summary += f"\n{line}"
    elif verdict.judged:
        unjudged = [check for check in checks if not check.judged]
        names = [f"{item.name} ({item.reason})" if item.reason else item.name for item in unjudged]
        spanning = [describe_number(check) for check in checks if check.spans_bound]
        summary = f"{verdict.gate}: {_count(len(checks) - len(unjudged))} passed"
        if spanning:
            first = _list_first(spanning)
            summary += f"; passed, but the interval spans the bound: {first}"
        summary += f"; not judged: {_list_first(names)}" if unjudged else ""
    return verdict.model_copy(update={"checks": tuple(checks), "summary": summary})


def _count(checks: int) -> str:
    return "1 check" if checks == 1 else f"{checks} checks"


def _list_first(names: Sequence[str]) -> str:
    omitted = len(names) - _MOST_NAMED
    listed = ", ".join(names[:_MOST_NAMED])
    return f"{listed} and {omitted} more" if omitted > 0 else listed


def describe_number(check: Check) -> str:
    """Formats a check's name, number, interval and threshold."""
    text = check.name
    if check.value is not None:
        text += f" = {check.value:.4g}"
    if check.low is not None and check.high is not None:
        text += f" [{check.low:.4g}, {check.high:.4g}]"
    if isinstance(check.threshold, tuple):
        text += f", required {check.threshold[0]:g} to {check.threshold[1]:g}"
    elif check.threshold is not None:
        text += f", required {check.comparison} {check.threshold:.4g}"
    return text


def describe(check: Check) -> str:
    """Formats a check in one line: name, number, interval, threshold, reason, what to try."""
    text = describe_number(check)
    if check.reason:
        text += f": {check.reason}"
    if check.waiver:
        waiver = check.waiver
        text += f". WAIVED by {waiver.owner} until {waiver.expires}: {waiver.reason}"
    elif check.try_:
        text += f". Try: {check.try_}"
    return text


def write_verdict(verdict: Verdict, folder: Path) -> Path:
    """Writes `verdict.json` into `folder` and returns its path."""
    path = folder / VERDICT_FILE
    write_json(path, verdict.model_dump(mode="json", by_alias=True))
    return path


def read_verdict(path: Path) -> Verdict:
    """Reads a verdict from a file, or from the `verdict.json` of a folder.

    Raises:
        InputError: if the file is missing or is not a verdict.
    """
    file = path / VERDICT_FILE if path.is_dir() else path
    try:
        return Verdict.model_validate(read_json(file))
    except ValidationError as error:
        raise InputError(f"{file} is not a verdict: {error.errors()[0]['msg']}") from error


def today() -> date:
    """Returns the day in UTC, by which waivers expire."""
    return datetime.now(UTC).date()


def waive(verdict: Verdict, waivers: Sequence[Waiver], *, on: date) -> Verdict:
    """Attaches waivers to failed checks of a gate that may have some; the verdict stays failed.

    A waiver is valid through its last day.

    Returns:
        The verdict, whose summary states what was waived, by whom and until when. The reason of a
        failed check states if its waiver has expired or names a similar check.
    """
    if verdict.gate not in _WAIVABLE:
        return verdict

    def apply(check: Check) -> Check:
        if check.passed:
            return check
        matches = [waiver for waiver in waivers if waiver.check == check.name]
        note = ""
        if matches:
            waiver = max(matches, key=lambda item: item.expires)
            if waiver.expires >= on:
                return check.model_copy(update={"waiver": waiver})
            note = f"the waiver of {waiver.owner} expired on {waiver.expires}"
        elif similar := get_close_matches(check.name, [item.check for item in waivers], n=1):
            note = f"the waiver of `{similar[0]}` is for another check"
        reason = "; ".join(filter(None, (check.reason, note)))
        return check.model_copy(update={"reason": reason})

    return _with_summary(verdict, [apply(check) for check in verdict.checks])


def gate_tags(verdicts: Sequence[Verdict], *, bias_not_judged: str) -> dict[str, str]:
    """Returns tags `gate.<gate>` -> `passed`, `waived`, `failed` or `not judged`, with reasons."""
    tags = {}
    for item in verdicts:
        gate = f"gate.{item.gate}"
        tags[gate] = "passed" if item.passed else "waived" if item.released else "failed"
        if item.waived and item.released:
            waivers = [(check.name, check.waiver) for check in item.waived if check.waiver]
            text = " + ".join(f"{name} by {by.owner} until {by.expires}" for name, by in waivers)
            # The characters that a model package's metadata allow.
            tags[f"{gate}.waived"] = re.sub(r"[^\w .:/=+@-]", "-", text)[:_METADATA_CHARACTERS]
        if not item.judged:
            tags |= {gate: "not judged", f"{gate}.reason": item.checks[0].reason}
    if bias_not_judged:
        tags |= {"gate.bias": "not judged", "gate.bias.reason": bias_not_judged}
    return tags
