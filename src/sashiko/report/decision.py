"""The top of the page: what was decided and why, what ran, and what the data are."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from sashiko.gates.verdict import Verdict
from sashiko.report.evidence import Evidence, Missing, json_record
from sashiko.report.gates import Verdicts, bias_not_judged, device_not_checked, waived_checks
from sashiko.report.views import Fact, Outcome, OutcomeKind
from sashiko.report.words import check_view, duration

_WORDS = {
    "registered": "✓ REGISTERED",
    "waived": "✕ REGISTERED, WAIVED",
    "blocked": "✕ BLOCKED",
    "failed": "✕ FAILED",
    "interrupted": "! INTERRUPTED",
}


class Registration(BaseModel):
    """What the report tells of Register's `registration.json`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model_package_group: str
    version: int
    new: bool
    status: str


def outcome(evidence: Evidence, found: Verdicts) -> Outcome:
    """Says what came of the run, with the checks that stopped it or the step that broke."""
    match evidence.run.status:
        case "registered":
            return _registered(evidence, found)
        case "blocked":
            return _blocked(evidence, found)
        case "failed":
            return _failed(evidence)
    return _interrupted(evidence)


def run_facts(evidence: Evidence) -> tuple[Fact, ...]:
    """Names the run, and what went into it."""
    run, recipe, contract, source = (
        evidence.run, evidence.recipe, evidence.contract, evidence.source,
    )  # fmt: skip
    facts = [Fact("run", run.id, code=True)]
    if not isinstance(recipe, Missing):
        facts += [Fact("recipe", recipe.name), Fact("model", recipe.model.name)]
    if not isinstance(contract, Missing):
        facts.append(Fact("data contract", f"{contract.id}, version {contract.version}"))
    if not isinstance(source, Missing):
        dirty = " with uncommitted changes" if source.dirty else ""
        facts.append(Fact("git commit", f"{source.git_sha[:12]}{dirty}"))
    if unjudged := bias_not_judged(evidence):
        facts.append(Fact("fairness", unjudged))
    facts.append(Fact("started", f"{datetime.fromisoformat(run.start):%d %B %Y, %H:%M} UTC"))
    if run.seconds is not None:
        facts.append(Fact("took", duration(run.seconds)))
    facts.append(Fact("pipeline", run.pipeline))
    return tuple(facts)


def about_data(evidence: Evidence) -> tuple[str, ...]:
    """Says what the data are and are not, in the contract's own words."""
    contract = evidence.contract
    if isinstance(contract, Missing):
        return ()
    texts = (f"About the data: {contract.description}", f"Limits: {contract.limitations}")
    return tuple(" ".join(text.split()) for text in texts)


def _registered(evidence: Evidence, found: Verdicts) -> Outcome:
    made = [item for item in found.values() if isinstance(item, Verdict) and item.judged]
    checks = [check for verdict in made for check in verdict.checks]
    left_out = [check.name for check in checks if not check.judged]
    waived = waived_checks(found)
    kind: OutcomeKind = "waived" if waived else "registered"
    passed = f"All {len(made)} gates passed, with {len(checks) - len(left_out)} checks."
    if waived:
        failed = [verdict.gate for verdict in made if not verdict.passed]
        passed = (
            f"The {' and '.join(failed)} gate{'s' if len(failed) > 1 else ''} failed. The model is "
            "registered because each failed check is waived in the recipe."
        )
    if left_out:
        passed += f" Not judged: {', '.join(left_out)}."
    if unjudged := bias_not_judged(evidence):
        passed += f" {_sentence(unjudged)}"
    if unchecked := device_not_checked(found):
        passed += f" {_sentence(unchecked)}"
    registration = evidence.read(
        "Register", "registration", "registration.json", lambda p: json_record(Registration, p)
    )
    if isinstance(registration, Missing):
        return Outcome(kind, _WORDS[kind], passed, details=(registration.why,))
    name = f"{registration.model_package_group} version {registration.version}"
    known = "" if registration.new else " The same model was registered before, under this number."
    waits = registration.status == "PendingManualApproval"
    return Outcome(
        kind=kind,
        word=_WORDS[kind],
        reasons=tuple(
            check_view(check, gate=verdict.gate) for verdict in made for check in verdict.waived
        ),
        headline=f"{passed} The model is in the registry as {name}.{known}",
        details=(
            "It serves nobody until a person approves it. Read this page to its end, then approve "
            "it, or reject it by the same command with `reject`:",
        )
        if waits
        else (f"Its status is {registration.status}.",),
        command=_approval(evidence, registration.version) if waits else "",
    )


def _approval(evidence: Evidence, version: int) -> str:
    chosen = _recipe_option(evidence)
    return f'sashiko model approve {version}{chosen} --by "your name" --reason "why"'


def _blocked(evidence: Evidence, found: Verdicts) -> Outcome:
    failed = [v for v in found.values() if isinstance(v, Verdict) and not v.passed]
    reasons = tuple(
        check_view(check, gate=verdict.gate)
        for verdict in failed
        for check in verdict.checks
        if not check.passed
    )
    count = "One check" if len(reasons) == 1 else f"{len(reasons)} checks"
    gates = " and ".join(verdict.gate for verdict in failed)
    headline = f"{count} of the {gates} gate{'s' if len(failed) > 1 else ''} failed."
    if not reasons:
        headline = _sentence(evidence.run.reason or "a gate stopped the run")
    return Outcome(
        kind="blocked",
        word=_WORDS["blocked"],
        headline=f"{headline} Nothing was registered.",
        reasons=reasons,
    )


def _failed(evidence: Evidence) -> Outcome:
    broken = next((step for step in evidence.run.steps if step.status == "failed"), None)
    if broken is None:
        return Outcome(
            "failed", _WORDS["failed"], _sentence(evidence.run.reason or "the run failed")
        )
    reason = broken.reason or evidence.run.reason
    return Outcome(
        kind="failed",
        word=_WORDS["failed"],
        headline=f"Nothing was registered: step {broken.name} failed. {_sentence(reason)}".strip(),
        log=evidence.log_tail(broken),
        details=(
            "This is a fault of the run, not a judgement of the model.",
            f"The last lines of the step's log stand above; all of it: `sashiko runs logs "
            f"{broken.name} --run {evidence.run.id}`",
            "When it is mended, run it again with all that follows:",
        ),
        command=f"{evidence.run.command} --from {broken.name}",
    )


def _sentence(text: str) -> str:
    """Begins with a capital and ends with a full stop."""
    text = text.strip()
    ended = text if not text or text.endswith((".", "!", "?", ":")) else f"{text}."
    return ended[:1].upper() + ended[1:]


def _recipe_option(evidence: Evidence) -> str:
    recipe = evidence.recipe
    return "" if isinstance(recipe, Missing) else f" --recipe {recipe.name}"


def _interrupted(evidence: Evidence) -> Outcome:
    stopped = "The run was stopped before its end"
    if evidence.run.status == "running":
        stopped = "When this page was written the run had not ended, or it had been killed"
    reason = _sentence(evidence.run.reason)
    return Outcome(
        kind="interrupted",
        word=_WORDS["interrupted"],
        headline=f"{stopped}: no model was judged to the end or registered. {reason}".strip(),
        details=("The same command goes on where this run stopped: finished steps are cached.",),
    )
