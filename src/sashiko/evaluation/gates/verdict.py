"""The verdict of a gate: schema, writer and reader."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sashiko.base.files import read_json, write_json
from sashiko.errors import InputError
from sashiko.settings.waiver import Waiver

__all__ = ["Check"]

DEVICE_GATE = "device"
MODEL_GATES = ("model-quality", "bias")  # before the device
_FILE_NAME = "verdict.json"
_MOST_CHARACTERS = 1400
_MOST_NAMED = 5  # in a summary


class Check(BaseModel):
    """One check of a gate."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: str  # a self-contained name, such as `DI customer_gender=female`
    value: float | None = None  # the measured number, or None if the check has no number
    low: float | None = None  # lower end of the 95 % interval of `value`, if there is one
    high: float | None = None  # upper end of that interval
    # The bound, or the (minimum, maximum) pair for `in_range`.
    threshold: float | tuple[float, float] | None = None
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


def not_judged(*, gate: str, reason: str) -> Verdict:
    """Returns the verdict of a gate that is switched off: the run continues, and records it."""
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
    """Returns a verdict: passed only if there is a check and every check passed.

    An empty list of checks fails, since nothing was judged.
    """
    checks_or_failure = tuple(checks) or (
        Check(name="no checks", passed=False, reason="nothing was checked", try_="add a check"),
    )
    passed = all(check.passed for check in checks_or_failure)
    verdict = Verdict(
        gate=gate, passed=passed, checks=checks_or_failure, inputs=dict(inputs), summary=""
    )
    return with_summary(verdict, checks_or_failure)


def with_summary(verdict: Verdict, checks: Sequence[Check]) -> Verdict:
    """Replaces a verdict's checks, without changing its outcome, and writes its summary."""
    failed = [check for check in checks if not check.passed]
    if failed:
        lines = [f"{verdict.gate}: {len(failed)} of {_count(len(checks))} failed"]
        lines += [f"- {describe(check)}" for check in failed]
        summary = _truncate(lines)
    elif verdict.judged:
        unjudged = [_with_reason(check) for check in checks if not check.judged]
        spanning = [describe_number(check) for check in checks if check.spans_bound]
        judged = len(checks) - len(unjudged)
        summary = f"{verdict.gate}: {_count(judged)} passed"
        if spanning:
            summary += (
                f"; by the value alone, as the interval spans the bound: {_list_first(spanning)}"
            )
        summary += f"; not judged: {_list_first(unjudged)}" if unjudged else ""
    else:
        summary = verdict.summary
    return verdict.model_copy(update={"checks": tuple(checks), "summary": summary})


def _count(checks: int) -> str:
    return "1 check" if checks == 1 else f"{checks} checks"


def _with_reason(check: Check) -> str:
    return f"{check.name} ({check.reason})" if check.reason else check.name


def _list_first(names: Sequence[str]) -> str:
    omitted = len(names) - _MOST_NAMED
    listed = ", ".join(names[:_MOST_NAMED])
    return f"{listed} and {omitted} more" if omitted > 0 else listed


def _truncate(lines: Sequence[str]) -> str:
    """Truncates to as many lines as fit on a terminal."""
    text = ""
    for number, line in enumerate(lines):
        if len(text) + len(line) > _MOST_CHARACTERS and number:
            omitted = len(lines) - number
            return f"{text}\n- and {omitted} more, in the verdict and the report"
        text = f"{text}\n{line}" if text else line
    return text


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
