"""The model card, as it was registered."""

from pathlib import Path

from sashiko.card.content import ModelCard
from sashiko.card.making import CARD_FILE
from sashiko.card.markdown import MARKDOWN_FILE
from sashiko.report.evidence import Evidence, Missing, json_record
from sashiko.report.views import Fact, Section


def card_section(evidence: Evidence) -> Section:
    """Shows what the card says that no figure does, and the whole card as text."""
    title = "Model card"
    card = evidence.read("Register", "registration", CARD_FILE, lambda p: json_record(ModelCard, p))
    if isinstance(card, Missing):
        return Section("card", title, absent=f"No card. {card.why}")
    uses, business = card.intended_uses, card.business_details
    text = evidence.read("Register", "registration", MARKDOWN_FILE, _text)
    return Section(
        anchor="card",
        title=title,
        statements=("The same card is in the registry, beside the model and in its description.",),
        facts=(
            Fact("purpose", uses.purpose_of_model),
            Fact("intended uses", uses.intended_uses),
            Fact("problem", business.business_problem),
            Fact("contacts", business.business_stakeholders),
            Fact("risk", f"{uses.risk_rating}. {uses.explanations_for_risk_rating}"),
            Fact("limits", card.additional_information.caveats_and_recommendations),
        ),
        texts=() if isinstance(text, Missing) else (("The whole card, in Markdown", text),),
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
