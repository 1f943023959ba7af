"""Writes a run's report: one self-contained HTML file."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from sashiko.base.yaml_models import Excerpt, read_record
from sashiko.bias.report.fairness import fairness_annex, fairness_section
from sashiko.errors import InputError
from sashiko.evaluation import evaluation_record as record
from sashiko.pipeline.local_models import open_local
from sashiko.registry.versions import Decision
from sashiko.report.evidence import Evidence, Missing, read_evidence
from sashiko.report.gate_views import Verdicts, bias_notices, gate_tables, known, verdicts
from sashiko.report.html import REPORT_FILE, write_page
from sashiko.report.views import Chapter, Fact, Outcome, OutcomeKind, Page, Section
from sashiko.report.words import check_view, mark
from sashiko.run_report.explanations import explanations_section
from sashiko.run_report.headline import first_unjudged, harms, open_points, tiles, unjudged
from sashiko.run_report.lineage import data_section, lineage_section, settings_section
from sashiko.run_report.quality_section import quality_section, quality_warnings, training_section
from sashiko.steps.evaluation_notes import limits

_MOST_REASONS = 3  # of the failed checks on the first screen


class Registration(Excerpt):
    """The fields of Register's `registration.json` that the report shows."""

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
        last = run.until.replace(",", ", ")
        ends = f"The run was to stop after {last}: no model was judged on the test split"
        where = "Its result is in the report of its sweep, below `sweeps/`."
        headline = f"{ends}, and nothing was registered."
        return Outcome("interrupted", "Part of a sweep", headline, details=(where,))
    stopped = "The run was stopped before its end"
    if run.status == "running":
        stopped = "When this page was written the run had not ended, or it had been killed"
    headline = f"{stopped}: no model was fully judged or registered. {_sentence(run.reason)}"
    again = "The same command continues where this run stopped: finished steps are cached."
    return Outcome("interrupted", "Interrupted", headline.strip(), details=(again,))


def _registered(evidence: Evidence, verdicts: Verdicts) -> Outcome:
    waived = [check for verdict in known(verdicts) for check in verdict.waived]
    judgement, complete = _judgement(evidence, verdicts)
    registration = evidence.read(
        "Register", "registration", "registration.json", lambda p: read_record(Registration, p)
    )
    if isinstance(registration, Missing):
        why = f"{judgement} {registration.why}"
        return Outcome("waived" if waived else "waiting", "Waits for your decision", why)
    group, version = registration.model_package_group, registration.version
    last = _last_decision(evidence, registration)
    status = last.status if last else registration.status
    note = "" if registration.new else " The same model was registered before, under this number."
    waits = status == "PendingManualApproval"
    then = " and serves nobody until a person approves it" if waits else ""
    kind: OutcomeKind = "waived" if waived else "waiting"
    # Green is for an approved version with every check judged.
    if not waived and complete and status == "Approved":
        kind = "registered"
    word = "Waits for your decision" if waits else status
    if last:
        word += f" by {last.by}" + (f" on {last.time[:10]}" if last.time else "")
    if waived:
        word += ", with failed checks waived"
    options = evidence.run.options("--recipe", "--home")
    return Outcome(
        kind=kind,
        word=word,
        # What to try stands under Checks: here somebody has decided not to.
        reasons=tuple(replace(check_view(check), advice="") for check in waived),
        headline=f"{judgement} The model is in the registry as {group} version {version}{then}."
        f"{note}",
        details=(f"Reason of the decision: {last.reason}",) if last and last.reason else (),
        commands=tuple(
            f'sashiko model {verb} {version}{options} --by "your name" --reason "why"'
            for verb, decided in (("approve", "Approved"), ("reject", "Rejected"))
            if status != decided
        ),
        points=open_points(evidence, verdicts),
        to_sign=waits,
    )


def _last_decision(evidence: Evidence, registration: Registration) -> Decision | None:
    """Reads a person's last decision on the version from this machine's registry, if any."""
    home, ended = evidence.folder.parents[1], evidence.run.end
    database = home / "mlflow.db"
    if not database.is_file():
        return None
    # Each decision is written there. Without one since the run, MLflow need not be imported.
    waits = registration.status == "PendingManualApproval"
    if waits and ended and database.stat().st_mtime <= datetime.fromisoformat(ended).timestamp():
        return None
    registry = open_local(home, recipe=evidence.run.pipeline)
    try:
        version = registry.version(registration.model_package_group, registration.version)
        return next(iter(reversed(registry.decisions(version))), None)
    except InputError:  # the version was deleted
        return None


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
    left_out = [*off, *(check.name for check in checks if not check.judged)]
    left_out += ["bias"] if bias_notices(evidence, verdicts) else []
    suspicious = any(mark(check).kind == "suspicious" for check in checks)
    text = f"All {len(judged)} gates passed, with {sum(check.judged for check in checks)} checks"
    if left_out:
        text += f"; not judged: {', '.join(left_out)}"
    return f"{text}.", not (left_out or suspicious)


def _blocked(evidence: Evidence, verdicts: Verdicts) -> Outcome:
    failed = [verdict for verdict in known(verdicts) if not verdict.passed]
    reasons = tuple(
        check_view(check)
        for verdict in failed for check in verdict.checks if not check.passed
    )  # fmt: skip
    count = "One check" if len(reasons) == 1 else f"{len(reasons)} checks"
    gates = " and ".join(verdict.gate for verdict in failed)
    headline = f"{count} of the {gates} gate{'s' if len(failed) > 1 else ''} failed."
    if not reasons:
        headline = _sentence(evidence.run.reason or "a gate stopped the run")
    headline += " Nothing was registered."
    if (rest := len(reasons) - _MOST_REASONS) > 0:
        headline += f" The first {_MOST_REASONS} are listed here; {rest} more are under Checks."
    word = f"Blocked by the {gates} gate{'s' if len(failed) > 1 else ''}" if failed else "Blocked"
    return Outcome("blocked", word, headline, reasons=reasons[:_MOST_REASONS])


def _failed(evidence: Evidence) -> Outcome:
    run = evidence.run
    broken = next((step for step in run.steps if step.status == "failed"), None)
    if broken is None:
        return Outcome("failed", "Failed", _sentence(run.reason or "the run failed"))
    reason = _sentence(broken.reason or run.reason)
    logs = f"sashiko runs logs {broken.name} {run.id}{run.options('--home')}"
    return Outcome(
        kind="failed",
        word=f"Failed at step {broken.name}",
        headline=f"Nothing was registered. {reason}".strip(),
        log=evidence.log_tail(broken),
        details=(
            "This is a fault of the run, not a judgement of the model.",
            f"The last lines of the step's log are above; for the whole log: `{logs}`",
            "Once it is fixed, run it again with all later steps:",
        ),
        commands=(f"{run.command} --from {broken.name}",),
    )


def _sentence(text: str) -> str:
    text = text.strip()
    sentence = text if not text or text.endswith((".", "!", "?", ":")) else f"{text}."
    return sentence[:1].upper() + sentence[1:]


def write_report(run_folder: Path, home: Path, *, with_rows: bool = False) -> Path:
    """Writes `report.html` into a run's folder and returns its path.

    Args:
        run_folder: `<home>/runs/<id>`, with `run.json`; every other file may be missing, and the
            report then says what is absent and why.
        home: the local state, which holds the store `s3/`.
        with_rows: whether it has texts and keys of test rows, as a reader of the data may see them.

    Raises:
        InputError: if `run.json` is missing or not valid, or the report cannot be written.
    """
    evidence = read_evidence(run_folder, home)
    gates, recipe = verdicts(evidence), evidence.recipe
    name = evidence.run.pipeline if isinstance(recipe, Missing) else recipe.name
    card = (
        *_uses(evidence),
        data_section(evidence),
        training_section(evidence),
        quality_section(evidence),
        fairness_section(evidence),
        explanations_section(evidence, with_rows=with_rows),
        Section("limitations", "Limitations", statements=tuple(_limitations(evidence, gates))),
    )
    page = Page(
        title=f"Run report: {name}",
        subject=f"run {evidence.run.id}",
        outcome=outcome(evidence, gates),
        tiles=tiles(evidence, gates),
        harms=harms(evidence, gates),
        unjudged=first_unjudged(evidence, gates),
        chapters=(Chapter("Model card", card), Chapter("Annex", tuple(_annex(evidence, gates)))),
        source=f"the files of run `{evidence.run.id}` and what its steps left in the local store",
    )
    return write_page(page, run_folder / REPORT_FILE)


def _uses(evidence: Evidence) -> tuple[Section, Section]:
    """Returns what the recipe says the model is for, and what it is not for."""
    titles, recipe = ("Intended use", "Out of scope"), evidence.recipe
    if isinstance(recipe, Missing):
        absent = f"Not known: {recipe.why}"
        return Section("use", titles[0], absent=absent), Section("scope", titles[1], absent=absent)
    card = recipe.card
    risk = "not rated" if card.risk_rating == "Unknown" else card.risk_rating
    facts = (
        Fact("meant for", card.text("intended_uses")),
        Fact("problem that it solves", card.text("business_problem")),
        Fact("risk", f"{risk}. {card.explanations_for_risk_rating}".strip()),
        Fact("who answers for it", card.text("contacts")),
    )
    scope = Section("scope", titles[1], statements=(card.text("not_intended_uses"),))
    return Section("use", titles[0], facts=facts), scope


def _limitations(evidence: Evidence, gates: Verdicts) -> Iterator[str]:
    """Yields what limits the data, the figures and their explanations, and what nobody judged."""
    if not isinstance(evidence.contract, Missing):
        limits_of_data = " ".join(evidence.contract.limitations.split())
        yield f"Of the data: {limits_of_data or 'the contract states none.'}"
    yield from quality_warnings(evidence)
    decision = evidence.read("Evaluate", "decision", record.DECISION_FILE, record.read_decision)
    if not isinstance(evidence.evaluation, Missing) and not isinstance(decision, Missing):
        yield from limits(evidence.evaluation, decision)
    if not isinstance(evidence.explanations, Missing):
        yield from evidence.explanations.warnings
    yield from (f"Not judged: {text}" for text in unjudged(evidence, gates))


def _annex(evidence: Evidence, gates: Verdicts) -> Iterator[Section]:
    none = "" if gates else "The pipeline has no gate: nothing was judged."
    yield Section("gates", "Checks", absent=none, tables=gate_tables(gates))
    tables = fairness_annex(evidence)
    absent = "" if tables else "No bias metric was measured."
    yield Section("metrics", "All bias metrics", absent=absent, tables=tables)
    yield lineage_section(evidence)
    yield settings_section(evidence)
