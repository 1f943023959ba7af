"""The rest of the first screen: intended use, key figures, and unjudged checks."""

from collections.abc import Iterator

from sashiko.evaluation.gates.verdict import Verdict
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.gates import Verdicts, bias_notices, gate_mark, known
from sashiko.report.views import Cell, Fact, Mark, Row, Summary, Table, row
from sashiko.report.words import check_view
from sashiko.run_report.headline import headline_figures, small_groups, small_intersections
from sashiko.run_report.quality import quality_warnings

_SHORT_DIGEST = 12


def summary(evidence: Evidence, verdicts: Verdicts) -> Summary:
    """Builds the summary for the approval of the model."""
    return Summary(
        facts=(*_purpose(evidence), *_origin(evidence)),
        figures=headline_figures(evidence, verdicts),
        gates=_gates(verdicts),
        unjudged=tuple(_unjudged(evidence, verdicts)),
        spanning=tuple(_spanning(verdicts)),
        warnings=quality_warnings(evidence),
    )


def _purpose(evidence: Evidence) -> Iterator[Fact]:
    recipe, contract = evidence.recipe, evidence.contract
    if isinstance(recipe, Missing):
        yield Fact("meant for", f"not known: {recipe.why}")
    else:
        card = recipe.card
        yield Fact("meant for", card.text("intended_uses"))
        yield Fact("not meant for", card.text("not_intended_uses"))
        risk = "not rated" if card.risk_rating == "Unknown" else card.risk_rating
        yield Fact("risk", f"{risk}. {card.explanations_for_risk_rating}".strip())
        yield Fact("who answers for it", card.text("contacts"))
    if not isinstance(contract, Missing):
        limits = " ".join(contract.limitations.split()) or "The contract states none."
        yield Fact("known limits of the data", limits)


def _origin(evidence: Evidence) -> Iterator[Fact]:
    yield Fact("data", _data(evidence))
    source = evidence.source
    commit = f"not known: {source.why}" if isinstance(source, Missing) else source.git_sha[:12]
    if not isinstance(source, Missing) and source.dirty:
        commit += " with uncommitted changes"
    recipe = evidence.recipe
    base = "" if isinstance(recipe, Missing) else f", from {recipe.model.name}"
    yield Fact("made by", f"run {evidence.run.id} of commit {commit}{base}")


def _data(evidence: Evidence) -> str:
    contract = evidence.contract
    name = f"contract not known: {contract.why}" if isinstance(contract, Missing) else (
        f"{contract.id}, version {contract.version}"
    )  # fmt: skip
    manifest = evidence.manifest("Snapshot")
    if isinstance(manifest, Missing):
        return f"{name}. {manifest.why}"
    return (
        f"{name}, as of {manifest.as_of[:_SHORT_DIGEST]}, {manifest.rows:,} rows, "
        f"sha256 {manifest.sha256[:_SHORT_DIGEST]}…"
    )


def _gates(verdicts: Verdicts) -> Table:
    return Table(
        title="Gates",
        columns=("gate", "outcome", "checks"),
        rows=tuple(_gate(step, verdict) for step, verdict in verdicts.items()),
        absent="" if verdicts else "No gate is known: nothing was judged.",
    )


def _gate(step: str, verdict: Verdict | Missing) -> Row:
    if isinstance(verdict, Missing) or not verdict.judged:
        name = step if isinstance(verdict, Missing) else verdict.gate
        return row(name, Cell("", mark=Mark("unjudged")), "none")
    judged = [check for check in verdict.checks if check.judged]
    failed = sum(not check.passed for check in judged)
    count = f"{failed} of {len(judged)} failed" if failed else f"{len(judged)}"
    if verdict.waived:
        count += f", {len(verdict.waived)} waived"
    mark = Cell("", mark=gate_mark(verdict))
    return row(verdict.gate, mark, count, style="" if verdict.passed else "failed")


def _unjudged(evidence: Evidence, verdicts: Verdicts) -> Iterator[str]:
    """Yields the unjudged checks, so that they do not read as passed."""
    if not verdicts:
        yield "The model: no gate is known."
    for step, verdict in verdicts.items():
        if isinstance(verdict, Missing):
            yield verdict.why if step in verdict.why else f"{step}: {verdict.why}"
            continue
        for check in verdict.checks:
            if not check.judged:
                subject = check.name if verdict.judged else "every check"
                yield f"{verdict.gate}, {subject}: {check.reason}"
    yield from bias_notices(evidence, verdicts)
    names = {check.name for item in known(verdicts) for check in item.checks if not check.judged}
    few = [name for name in small_groups(evidence) if name not in names]
    if groups := ", ".join(filter(None, [*few, small_intersections(evidence)])):
        yield f"Too few rows to judge: {groups}"


def _spanning(verdicts: Verdicts) -> Iterator[str]:
    """Yields the checks that passed by value while their interval spans the bound."""
    for verdict in known(verdicts):
        for check in verdict.checks:
            if check.spans_bound:
                view = check_view(check, gate=verdict.gate)
                yield (
                    f"{view.gate}, {view.name}: {view.value} {view.interval}, "
                    f"required {view.required}"
                )
