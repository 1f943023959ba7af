"""Writes a run's report: one self-contained HTML file."""

from collections.abc import Iterator
from pathlib import Path

from sashiko.bias.report.fairness import fairness_annex, fairness_section
from sashiko.evaluation import evaluation_record as record
from sashiko.report.evidence import Evidence, Missing, read_evidence
from sashiko.report.gate_views import Verdicts, gate_tables, verdicts
from sashiko.report.html import REPORT_FILE, write_page
from sashiko.report.views import Chapter, Fact, Page, Section
from sashiko.run_report.data_section import data_section
from sashiko.run_report.decision import outcome
from sashiko.run_report.explanations import explanations_section
from sashiko.run_report.headline import first_unjudged, harms, tiles, unjudged
from sashiko.run_report.lineage import lineage_section, settings_section
from sashiko.run_report.quality_section import quality_section, quality_warnings, training_section
from sashiko.steps.evaluation_notes import limits


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
