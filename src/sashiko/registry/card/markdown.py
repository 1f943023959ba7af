"""The model card as Markdown."""

from collections.abc import Iterator

from sashiko.registry.card.card_content import Evaluation, MetricGroup, ModelCard

MARKDOWN_FILE = "model-card.md"
_ESCAPED = "\\`*_{}[]<>#|"


def card_markdown(card: ModelCard) -> str:
    """Formats a card as Markdown; markup in its texts is escaped."""
    return "\n".join([*_uses(card), *_training(card), *_evaluations(card), *_rest(card)]) + "\n"


def _uses(card: ModelCard) -> Iterator[str]:
    uses, business = card.intended_uses, card.business_details
    yield "# Model card"
    yield ""
    yield _plain(card.model_overview.model_creator)
    yield from _section("Purpose", uses.purpose_of_model)
    yield from _section("Intended uses", uses.intended_uses)
    yield from _section("Problem", business.business_problem)
    yield from _section("Contacts", business.business_stakeholders)
    yield from _section("Risk", f"{uses.risk_rating}. {uses.explanations_for_risk_rating}")


def _training(card: ModelCard) -> Iterator[str]:
    details = card.training_details
    job = details.training_job_details
    yield from _section("Training", details.training_observations)
    for data in job.training_datasets:
        yield f"- data: {_plain(data)}"
    for item in job.user_provided_hyper_parameters:
        yield f"- {_plain(item.name)}: {_plain(item.value)}"


def _evaluations(card: ModelCard) -> Iterator[str]:
    for evaluation in card.evaluation_details:
        yield from _section(f"Evaluation: {evaluation.name}", evaluation.evaluation_observation)
        yield from _tables(evaluation)


def _tables(evaluation: Evaluation) -> Iterator[str]:
    for group in evaluation.metric_groups:
        yield ""
        yield f"### {_plain(group.name)}"
        yield ""
        yield from _table(group)


def _table(group: MetricGroup) -> Iterator[str]:
    yield "| metric | value | |"
    yield "|---|---|---|"
    for metric in group.metric_data:
        yield f"| {_plain(metric.name)} | {metric.value:.4g} | {_plain(metric.notes or '')} |"


def _rest(card: ModelCard) -> Iterator[str]:
    more = card.additional_information
    yield from _section("Bias", more.ethical_considerations)
    yield from _section("Limits and recommendations", more.caveats_and_recommendations)
    yield from _section("What it rests on", "")
    for key, value in more.custom_details.items():
        yield f"- {_plain(key)}: {_plain(value)}"


def _section(title: str, text: str) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    if text:
        yield "  \n".join(_plain(line) for line in text.splitlines())
        yield ""


def _plain(text: str) -> str:
    escaped = "".join(f"\\{char}" if char in _ESCAPED else char for char in text)
    return " ".join(escaped.split())
