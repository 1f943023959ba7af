"""The rest of the first screen: what the model is for, what decides, and what nobody judged."""

from collections.abc import Iterator

from sashiko.evaluation.gates.verdict import Verdict
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.gates import Verdicts, bias_notices, gate_mark
from sashiko.report.headline import headline_figures, small_groups, small_intersections
from sashiko.report.views import Cell, Fact, Mark, Row, Summary, Table
from sashiko.report.words import check_view

_SHORT_DIGEST = 12


def summary(evidence: Evidence, found: Verdicts) -> Summary:
    """Gathers what somebody needs to approve the model or to refuse it."""
    return Summary(
        facts=(*_purpose(evidence), *_origin(evidence)),
        figures=headline_figures(evidence, found),
        gates=_gates(found),
        unjudged=tuple(_unjudged(evidence, found)),
        spanning=tuple(_spanning(found)),
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
    named = f"contract not known: {contract.why}" if isinstance(contract, Missing) else (
        f"{contract.id}, version {contract.version}"
    )  # fmt: skip
    found = evidence.manifest("Snapshot")
    if isinstance(found, Missing):
        return f"{named}. {found.why}"
    return (
        f"{named}, as of {found.as_of[:_SHORT_DIGEST]}, {found.rows:,} rows, "
        f"sha256 {found.sha256[:_SHORT_DIGEST]}…"
    )


def _gates(found: Verdicts) -> Table:
    return Table(
        title="Gates",
        columns=(Cell("gate"), Cell("outcome"), Cell("checks")),
        rows=tuple(_gate(step, verdict) for step, verdict in found.items()),
        absent="" if found else "No gate is known: nothing was judged.",
    )


def _gate(step: str, verdict: Verdict | Missing) -> Row:
    if isinstance(verdict, Missing) or not verdict.judged:
        name = step if isinstance(verdict, Missing) else verdict.gate
        return Row((Cell(name), Cell("", mark=Mark("unjudged")), Cell("none")))
    judged = [check for check in verdict.checks if check.judged]
    failed = sum(not check.passed for check in judged)
    counted = f"{failed} of {len(judged)} failed" if failed else f"{len(judged)}"
    if verdict.waived:
        counted += f", {len(verdict.waived)} waived"
    cells = (Cell(verdict.gate), Cell("", mark=gate_mark(verdict)), Cell(counted))
    return Row(cells, style="" if verdict.passed else "failed")


def _unjudged(evidence: Evidence, found: Verdicts) -> Iterator[str]:
    """Says what nobody judged, so that silence is not taken for a pass."""
    if not found:
        yield "The model: no gate is known."
    for step, verdict in found.items():
        if isinstance(verdict, Missing):
            yield verdict.why if step in verdict.why else f"{step}: {verdict.why}"
            continue
        for check in verdict.checks:
            if not check.judged:
                what = check.name if verdict.judged else "every check"
                yield f"{verdict.gate}, {what}: {check.reason}"
    yield from bias_notices(evidence, found)
    said = {check.name for item in found.values() if isinstance(item, Verdict)
            for check in item.checks if not check.judged}  # fmt: skip
    few = [name for name in small_groups(evidence) if name not in said]
    if named := ", ".join(filter(None, [*few, small_intersections(evidence)])):
        yield f"Too few rows to judge: {named}"


def _spanning(found: Verdicts) -> Iterator[str]:
    """Says what passed by its value alone, so that a lucky draw is not taken for a proof."""
    for verdict in found.values():
        if isinstance(verdict, Missing):
            continue
        for check in verdict.checks:
            if check.spans_bound:
                view = check_view(check, gate=verdict.gate)
                yield (
                    f"{view.gate}, {view.name}: {view.value} {view.interval}, "
                    f"required {view.required}"
                )
