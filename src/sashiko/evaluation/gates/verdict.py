"""The verdict: one schema for every gate, written and read here only."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sashiko.core.files import read_json, write_json
from sashiko.errors import InputError
from sashiko.settings.waiver import Waiver

DEVICE_GATE = "device"
MODEL_GATES = ("model-quality", "bias")  # before the device
_FILE_NAME = "verdict.json"
_MOST_CHARACTERS = 1400
_MOST_NAMED = 5  # in a summary


class Check(BaseModel):
    """One thing that a gate looked at.

    Attributes:
        name: what was checked, readable on its own, such as `DI customer_gender=female`.
        value: the measured number, or None where the check has no number.
        low: lower end of the 95 % interval of `value`, where there is one.
        high: upper end of that interval.
        threshold: the bound, or the (minimum, maximum) pair for `in_range`.
        comparison: how `value` is held against `threshold`: `>=`, `<=`, `>`, `<`, `==`,
            `in_range`, or `none` for what is reported and not judged.
        passed: the outcome.
        reason: one sentence on why it passed or failed.
        try_: what a person can try next; empty when the check passed. `try` in the file.
        judged: False where nothing could be judged, as `reason` says: `passed` then lets the run
            go on, and says nothing of the model. Written out only then.
        waiver: who answers for this failed check, and until when; written out only then.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    threshold: float | tuple[float, float] | None = None
    comparison: str = "none"
    passed: bool
    reason: str = ""
    try_: str = Field(default="", alias="try")
    judged: bool = Field(True, exclude_if=bool)
    waiver: Waiver | None = Field(None, exclude_if=lambda waiver: waiver is None)

    @property
    def outcome(self) -> str:
        """Passed or failed."""
        return "passed" if self.passed else "failed"

    @property
    def spans_bound(self) -> bool:
        """Whether it passed by its value alone: the interval reaches beyond the bound."""
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
    """A gate's decision, with all it rests on.

    Attributes:
        gate: the gate's name, such as `data-quality`.
        passed: True if every check passed.
        checks: in the order in which they were made.
        inputs: name -> hex SHA-256 of each file or folder that the checks read.
        summary: what a person reads first; for a failed gate each failed check with its number,
            interval, threshold and what to try, a line each.
        judged: False where the settings switched the gate off: `passed` then lets the run go on,
            and says nothing of the model. Written out only then.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate: str
    passed: bool
    checks: tuple[Check, ...]
    inputs: dict[str, str]
    summary: str
    judged: bool = Field(True, exclude_if=bool)

    @property
    def outcome(self) -> str:
        """Passed, failed, or not judged."""
        if not self.judged:
            return "not judged"
        return "passed" if self.passed else "failed"

    @property
    def waived(self) -> tuple[Check, ...]:
        """The failed checks that somebody answers for."""
        return tuple(check for check in self.checks if check.waiver)

    @property
    def released(self) -> bool:
        """Whether the run may go on: it passed, or every failed check is waived."""
        return self.passed or all(check.passed or check.waiver for check in self.checks)


def not_judged(*, gate: str, reason: str) -> Verdict:
    """Makes the verdict of a gate that is switched off: the run goes on, and says so for good.

    Args:
        gate: the gate's name.
        reason: who switched it off, and where.
    """
    check = Check(name="not judged", passed=True, reason=reason, judged=False)
    return Verdict(
        gate=gate,
        passed=True,
        checks=(check,),
        inputs={},
        summary=f"{gate}: not judged: {reason}",
        judged=False,
    )


def decide(*, gate: str, checks: Sequence[Check], inputs: Mapping[str, str]) -> Verdict:
    """Makes a verdict: passed only if there is a check and every check passed.

    Args:
        gate: the gate's name.
        checks: what was looked at; none at all is a failure, as nothing was judged.
        inputs: name -> hex SHA-256 of what was read.

    Returns:
        The verdict with its summary.
    """
    made = tuple(checks) or (
        Check(name="no checks", passed=False, reason="nothing was checked", try_="add a check"),
    )
    passed = all(check.passed for check in made)
    verdict = Verdict(gate=gate, passed=passed, checks=made, inputs=dict(inputs), summary="")
    return summarised(verdict, made)


def summarised(verdict: Verdict, checks: Sequence[Check]) -> Verdict:
    """Puts checks into a verdict, whose outcome they do not change, and sums them up in words."""
    failed = [check for check in checks if not check.passed]
    if failed:
        lines = [f"{verdict.gate}: {len(failed)} of {_count(len(checks))} failed"]
        lines += [f"- {describe(check)}" for check in failed]
        summary = _shortened(lines)
    elif verdict.judged:
        unjudged = [_with_reason(check) for check in checks if not check.judged]
        spanning = [describe_number(check) for check in checks if check.spans_bound]
        made = len(checks) - len(unjudged)
        summary = f"{verdict.gate}: {_count(made)} passed"
        if spanning:
            summary += f"; by the value alone, as the interval spans the bound: {_some(spanning)}"
        summary += f"; not judged: {_some(unjudged)}" if unjudged else ""
    else:
        summary = verdict.summary
    return verdict.model_copy(update={"checks": tuple(checks), "summary": summary})


def _count(checks: int) -> str:
    return "1 check" if checks == 1 else f"{checks} checks"


def _with_reason(check: Check) -> str:
    return f"{check.name} ({check.reason})" if check.reason else check.name


def _some(names: Sequence[str]) -> str:
    left = len(names) - _MOST_NAMED
    named = ", ".join(names[:_MOST_NAMED])
    return f"{named} and {left} more" if left > 0 else named


def _shortened(lines: Sequence[str]) -> str:
    """Keeps as many lines as a person reads at once on a terminal."""
    kept = ""
    for number, line in enumerate(lines):
        if len(kept) + len(line) > _MOST_CHARACTERS and number:
            left = len(lines) - number
            return f"{kept}\n- and {left} more, in the verdict and the report"
        kept = f"{kept}\n{line}" if kept else line
    return kept


def describe_number(check: Check) -> str:
    """Says what a check measured: name, number, interval, threshold."""
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
    """Says a check in one line: name, number, interval, threshold, reason, what to try."""
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
    path = folder / _FILE_NAME
    write_json(path, verdict.model_dump(mode="json", by_alias=True))
    return path


def read_verdict(path: Path) -> Verdict:
    """Reads a verdict from a file, or from the `verdict.json` of a folder.

    Raises:
        InputError: if the file is missing or is not a verdict.
    """
    file = path / _FILE_NAME if path.is_dir() else path
    try:
        return Verdict.model_validate(read_json(file))
    except ValidationError as error:
        raise InputError(f"{file} is not a verdict: {error.errors()[0]['msg']}") from error
