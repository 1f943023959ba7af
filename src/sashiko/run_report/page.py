"""Writes a run's report: one self-contained HTML file."""

from pathlib import Path

from sashiko.base.files import write_bytes
from sashiko.base.yaml_models import read_record
from sashiko.bias.report.fairness import fairness_section
from sashiko.registry.model_card import CARD_FILE, ModelCard
from sashiko.registry.versions import MARKDOWN_FILE
from sashiko.report.evidence import Evidence, Missing, read_evidence
from sashiko.report.gate_views import gate_views, verdicts
from sashiko.report.html import REPORT_FILE, render
from sashiko.report.views import Fact, Page, Section
from sashiko.run_report.data_section import data_section
from sashiko.run_report.decision import outcome
from sashiko.run_report.explanations import explanations_section
from sashiko.run_report.headline import summary
from sashiko.run_report.lineage import lineage_section, settings_section
from sashiko.run_report.quality_section import quality_section


def _card_section(evidence: Evidence) -> Section:
    card = evidence.read("Register", "registration", CARD_FILE, lambda p: read_record(ModelCard, p))
    if isinstance(card, Missing):
        return Section("card", "Model card", absent=f"No card. {card.why}")
    text = evidence.read("Register", "registration", MARKDOWN_FILE, Path.read_text)
    place = (
        "Its uses, risk, limits and contacts stand on the first screen. The same card is in the "
        "registry, beside the model and in its description."
    )
    problem = card.business_details.business_problem
    purpose = Fact("purpose", card.intended_uses.purpose_of_model)
    return Section(
        anchor="card",
        title="Model card",
        statements=(place,),
        facts=(purpose, Fact("problem", problem)),
        texts=() if isinstance(text, Missing) else (("The whole card, in Markdown", text),),
    )


def write_report(run_folder: Path, home: Path) -> Path:
    """Writes `report.html` into a run's folder and returns its path.

    Args:
        run_folder: `<home>/runs/<id>`, with `run.json`; every other file may be missing, and the
            report then says what is absent and why.
        home: the local state, which holds the store `s3/`.

    Raises:
        InputError: if `run.json` is missing or not valid, or the report cannot be written.
    """
    evidence = read_evidence(run_folder, home)
    gate_verdicts, recipe = verdicts(evidence), evidence.recipe
    name = evidence.run.pipeline if isinstance(recipe, Missing) else recipe.name
    page = Page(
        title=f"Run report: {name}",
        run_id=evidence.run.id,
        outcome=outcome(evidence, gate_verdicts),
        summary=summary(evidence, gate_verdicts),
        sections=(
            data_section(evidence),
            quality_section(evidence),
            fairness_section(evidence),
            explanations_section(evidence),
        ),
        gates=gate_views(gate_verdicts),
        records=(_card_section(evidence), lineage_section(evidence), settings_section(evidence)),
    )
    path = run_folder / REPORT_FILE
    write_bytes(path, render(page, template="sashiko.run_report/template.html.j2").encode())
    return path
