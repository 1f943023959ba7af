"""The model card, as it was registered."""

from pathlib import Path

from sashiko.base.yaml_models import read_record
from sashiko.registry.card.content import ModelCard
from sashiko.registry.card.markdown import MARKDOWN_FILE
from sashiko.registry.card.model_card import CARD_FILE
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.views import Fact, Section


def card_section(evidence: Evidence) -> Section:
    """Shows the card's own facts, and the whole card as text."""
    title = "Model card"
    card = evidence.read("Register", "registration", CARD_FILE, lambda p: read_record(ModelCard, p))
    if isinstance(card, Missing):
        return Section("card", title, absent=f"No card. {card.why}")
    text = evidence.read("Register", "registration", MARKDOWN_FILE, Path.read_text)
    return Section(
        anchor="card",
        title=title,
        statements=(
            "Its uses, risk, limits and contacts stand on the first screen. The same card is in "
            "the registry, beside the model and in its description.",
        ),
        facts=(
            Fact("purpose", card.intended_uses.purpose_of_model),
            Fact("problem", card.business_details.business_problem),
        ),
        texts=() if isinstance(text, Missing) else (("The whole card, in Markdown", text),),
    )
