"""The top of the page: the outcome, its reasons, and the next commands."""

from dataclasses import replace

from pydantic import BaseModel, ConfigDict

from sashiko.base.yaml_models import read_record
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.gate_views import Verdicts, bias_notices, known
from sashiko.report.views import Outcome, OutcomeKind
from sashiko.report.words import check_view, mark

_WORDS = {
    "waiting": "WAITS FOR YOUR DECISION", "waived": "✕ REGISTERED, WAIVED",
    "blocked": "✕ BLOCKED", "failed": "✕ FAILED", "interrupted": "! INTERRUPTED",
    "partial": "– PART OF A SWEEP",
}  # fmt: skip


class Registration(BaseModel):
    """The fields of Register's `registration.json` that the report shows."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model_package_group: str
    version: int
    new: bool
    status: str


def outcome(evidence: Evidence, verdicts: Verdicts) -> Outcome:
    """Returns the outcome of the run, with the failed checks or the failed step."""
    run = evidence.run
    if run.status == "registered":
        return _registered(evidence, verdicts)
    if run.status == "blocked":
        return _blocked(evidence, verdicts)
    if run.status == "failed":
        return _failed(evidence)
    if run.status == "partial":
        ends = f"The run was to end with {run.until}: no model was judged on the test split"
        where = "What it was for stands in `sweeps/`, in the report of its sweep."
        headline = f"{ends}, and nothing was registered."
        return Outcome("interrupted", _WORDS["partial"], headline, details=(where,))
    stopped = "The run was stopped before its end"
    if run.status == "running":
        stopped = "When this page was written the run had not ended, or it had been killed"
    headline = f"{stopped}: no model was judged to the end or registered. {_sentence(run.reason)}"
    again = "The same command goes on where this run stopped: finished steps are cached."
    return Outcome("interrupted", _WORDS["interrupted"], headline.strip(), details=(again,))


def _registered(evidence: Evidence, verdicts: Verdicts) -> Outcome:
    waived = [(check, verdict.gate) for verdict in known(verdicts) for check in verdict.waived]
    kind: OutcomeKind = "waived" if waived else "waiting"
    judgement, complete = _judgement(evidence, verdicts)
    registration = evidence.read(
        "Register", "registration", "registration.json", lambda p: read_record(Registration, p)
    )
    if isinstance(registration, Missing):
        return Outcome(kind, _WORDS[kind], judgement, details=(registration.why,))
    name = f"{registration.model_package_group} version {registration.version}"
    note = "" if registration.new else " The same model was registered before, under this number."
    waits = registration.status == "PendingManualApproval"
    # Green is for an approved version with every check judged.
    if not waived and complete and registration.status == "Approved":
        kind = "registered"
    word = _WORDS[kind] if waived or waits else f"REGISTERED, {registration.status.upper()}"
    options = evidence.run.options("--recipe", "--home")
    return Outcome(
        kind=kind,
        word=word,
        # What to try stands under Checks: here somebody has decided not to.
        reasons=tuple(replace(check_view(check, gate=gate), advice="") for check, gate in waived),
        headline=f"{judgement} The model is in the registry as {name}.{note}",
        details=(
            "It serves nobody until a person approves it." if waits
            else f"When it was registered its status was {registration.status}.",
        ),
        commands=tuple(
            f'sashiko model {verb} {registration.version}{options} --by "your name" --reason "why"'
            for verb, status in (("approve", "Approved"), ("reject", "Rejected"))
            if registration.status != status
        ),
        to_sign=waits,
    )  # fmt: skip


def _judgement(evidence: Evidence, verdicts: Verdicts) -> tuple[str, bool]:
    """Describes the gates' verdicts, and says whether each check was judged and none is suspicious.

    An unreadable verdict never counts as passed.
    """
    judged = [verdict for verdict in known(verdicts) if verdict.judged]
    off = [verdict.gate for verdict in known(verdicts) if not verdict.judged]
    lost = len(verdicts) - len(judged) - len(off)
    if lost or not judged:
        return (
            "The run's record says that the gates let it through; this page cannot confirm it: "
            f"{lost} of {len(verdicts)} verdicts are missing.",
            False,
        )
    failed = [verdict.gate for verdict in judged if not verdict.passed]
    if failed:
        return (
            f"The {' and '.join(failed)} gate{'s' if len(failed) > 1 else ''} failed. The model is "
            "registered because each failed check is waived in the recipe.",
            False,
        )
    checks = [check for verdict in judged for check in verdict.checks]
    text = f"All {len(judged)} gates passed, with {sum(check.judged for check in checks)} checks"
    if spanning := [check.name for check in checks if check.spans_bound]:
        text += f"; {', '.join(spanning)} by the value alone, as the interval spans the bound"
    left_out = off + [check.name for check in checks if not check.judged]
    left_out += ["bias"] if bias_notices(evidence, verdicts) else []
    unjudged = f"; not judged: {', '.join(left_out)}" if left_out else ""
    suspects = [check.name for check in checks if mark(check).kind == "suspicious"]
    suspicious = f"; suspicious: {', '.join(suspects)}" if suspects else ""
    return f"{text}{unjudged}{suspicious}.", not left_out and not suspects


def _blocked(evidence: Evidence, verdicts: Verdicts) -> Outcome:
    failed = [verdict for verdict in known(verdicts) if not verdict.passed]
    reasons = tuple(
        check_view(check, gate=verdict.gate)
        for verdict in failed for check in verdict.checks if not check.passed
    )  # fmt: skip
    count = "One check" if len(reasons) == 1 else f"{len(reasons)} checks"
    gates = " and ".join(verdict.gate for verdict in failed)
    headline = f"{count} of the {gates} gate{'s' if len(failed) > 1 else ''} failed."
    if not reasons:
        headline = _sentence(evidence.run.reason or "a gate stopped the run")
    headline += " Nothing was registered."
    return Outcome("blocked", _WORDS["blocked"], headline, reasons=reasons)


def _failed(evidence: Evidence) -> Outcome:
    run, word = evidence.run, _WORDS["failed"]
    broken = next((step for step in run.steps if step.status == "failed"), None)
    if broken is None:
        return Outcome("failed", word, _sentence(run.reason or "the run failed"))
    reason = _sentence(broken.reason or run.reason)
    logs = f"sashiko runs logs {broken.name} --run {run.id}{run.options('--home')}"
    return Outcome(
        kind="failed",
        word=word,
        headline=f"Nothing was registered: step {broken.name} failed. {reason}".strip(),
        log=evidence.log_tail(broken),
        details=(
            "This is a fault of the run, not a judgement of the model.",
            f"The last lines of the step's log stand above; all of it: `{logs}`",
            "When it is mended, run it again with all that follows:",
        ),
        commands=(f"{run.command} --from {broken.name}",),
    )


def _sentence(text: str) -> str:
    text = text.strip()
    sentence = text if not text or text.endswith((".", "!", "?", ":")) else f"{text}."
    return sentence[:1].upper() + sentence[1:]
