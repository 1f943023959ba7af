"""Builds a model card from a run's own files.

It has no timestamp, so the same files give the same card.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sashiko.base.files import canonical_json, sha256_bytes
from sashiko.base.yaml_models import validate
from sashiko.bias.gates.estimates import (
    REPORTED_METRICS,
    BiasEstimate,
    comparable,
    sort_worst_first,
)
from sashiko.contract.manifest import Manifest
from sashiko.contract.model import Contract
from sashiko.evaluation.evaluation_record import Estimates, SliceFigures
from sashiko.evaluation.evaluation_record import Evaluation as Evaluated
from sashiko.evaluation.gates.verdict import DEVICE_GATE, Verdict, describe
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.explain.explanation_record import Explanations
from sashiko.registry.card.card_content import (
    AdditionalInformation,
    BusinessDetails,
    Evaluation,
    HyperParameter,
    IntendedUses,
    MetricGroup,
    ModelCard,
    ModelOverview,
    SimpleMetric,
    TrainingDetails,
    TrainingJobDetails,
)
from sashiko.settings.card import CardSection
from sashiko.settings.recipe_data import ModelSection
from sashiko.settings.recipe_train import ReweighingSection, TrainSection

CARD_FILE = "model-card.json"
_LONG = 2048
_WORST_SLICES = 10
_WORST_INTERSECTIONS = 10


@dataclass(frozen=True, kw_only=True)
class CardSources:
    """The sources of a card."""

    contract: Contract
    snapshot: Manifest
    evaluation: Evaluated
    estimates: Sequence[BiasEstimate]  # the bias metrics; empty if bias was not judged
    explanations: Explanations
    verdicts: Sequence[Verdict]
    recipe: str
    card: CardSection
    train: TrainSection
    reweighing: ReweighingSection
    model: ModelSection
    git_sha: str
    bias_not_judged: str  # the recipe's reason; empty if bias was judged


def model_card(sources: CardSources) -> ModelCard:
    """Builds the card; texts that are too long for SageMaker are truncated."""
    card, snapshot = sources.card, sources.snapshot
    data = f"{snapshot.table} as of {snapshot.as_of}, sha256 {snapshot.sha256}"
    return ModelCard(
        model_overview=ModelOverview(
            model_creator=f"recipe {sources.recipe} at commit {sources.git_sha}"
        ),
        intended_uses=_uses(sources),
        business_details=BusinessDetails(
            business_problem=card.text("business_problem"),
            business_stakeholders=card.text("contacts"),
        ),
        training_details=TrainingDetails(
            training_observations=_cut(_rows(sources.evaluation), 1024),
            training_job_details=TrainingJobDetails(
                training_datasets=(_cut(data, 1024),),
                user_provided_hyper_parameters=tuple(_hyper_parameters(sources)),
            ),
        ),
        evaluation_details=(
            Evaluation(
                name="test split",
                evaluation_observation=_cut("\n".join(sources.evaluation.notes), _LONG),
                datasets=(_cut(data, 1024),),
                metric_groups=tuple(_groups(sources)),
            ),
        ),
        additional_information=AdditionalInformation(
            ethical_considerations=_cut(_bias(sources), _LONG),
            caveats_and_recommendations=_cut(_limits(sources), _LONG),
            custom_details=_details(sources),
        ),
    )


def card_text(file_content: object) -> str:
    """Formats a card's JSON value on one line: SageMaker's pattern allows no line break.

    Raises:
        InputError: if it is not a card by SageMaker's schema.
    """
    card = validate(ModelCard, file_content, source=CARD_FILE)
    value = card.model_dump(mode="json", exclude_none=True)
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _uses(sources: CardSources) -> IntendedUses:
    card, contract = sources.card, sources.contract
    label = contract.label
    return IntendedUses(
        purpose_of_model=_cut(
            f"Tells {label.column}={label.positive} from {label.negative} in: {contract.title}",
            _LONG,
        ),
        intended_uses=(
            f"{card.text('intended_uses')}\nNot intended: {card.text('not_intended_uses')}"
        ),
        factors_affecting_model_efficiency=_cut(contract.limitations, _LONG),
        risk_rating=card.risk_rating,
        explanations_for_risk_rating=card.text("explanations_for_risk_rating"),
    )


def _rows(evaluation: Evaluated) -> str:
    return "; ".join(f"{name}: {split}" for name, split in evaluation.splits.items())


def _hyper_parameters(sources: CardSources) -> Iterator[HyperParameter]:
    values = sources.train.model_dump(mode="json")
    values |= {
        f"reweighing_{key}": value
        for key, value in sources.reweighing.model_dump(mode="json").items()
    }
    for name, value in values.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        yield HyperParameter(name=name, value=_cut(text or "none", 255))


def _bias(sources: CardSources) -> str:
    if sources.bias_not_judged:
        return f"Bias not judged: {sources.bias_not_judged}"
    summaries = [item.summary for item in sources.verdicts if item.gate == "bias"]
    return "\n".join([*summaries, *_worst_off(sources.estimates)])


def _worst_off(estimates: Sequence[BiasEstimate]) -> Iterator[str]:
    """Describes the intersection with the worst DI of the predictions."""
    ranked = sort_worst_first(estimates, "DI")
    compared = sum(map(comparable, ranked))
    if not ranked:
        return
    skipped = len(ranked) - compared
    coverage = f"{compared} of {len(ranked)} combinations of facets' groups can be judged"
    coverage += f", {skipped} have too few rows or are undefined" if skipped else ""
    if not compared:
        yield f"Intersections: {coverage}."
        return
    worst = ranked[0]
    yield (
        f"Intersections: {coverage}. Worst off by DI: {worst.subgroup} with {worst.value:.4g} "
        f"[{worst.low:.4g}, {worst.high:.4g}], {worst.n_disadvantaged} rows; 95 % hold over "
        f"{worst.looks} looks at once."
    )


def _limits(sources: CardSources) -> str:
    """Returns the limitations, after the failed checks that are waived."""
    waived = [check for item in sources.verdicts for check in item.waived]
    return "\n".join(
        [*(f"FAILED: {describe(check)}" for check in waived), sources.contract.limitations]
    )


def _details(sources: CardSources) -> dict[str, str]:
    contract = sources.contract
    details = {
        "contract": f"{contract.id} {contract.version}",
        "contract_sha256": contract.sha256,
        "data": contract.description,
        "data_sha256": sources.snapshot.sha256,
        "data_as_of": sources.snapshot.as_of,
        "base_model": sources.model.name,
        "base_model_licence": sources.model.licence or "not stated",
        "base_model_sha256": sha256_bytes(canonical_json(sources.model.files)),
        "git_sha": sources.git_sha,
        "device_check": _device(sources),
        "explanations": " ".join((*sources.explanations.warnings, *sources.explanations.notes)),
    }
    details |= {
        f"gate {item.gate}": item.summary for item in sources.verdicts if item.gate != DEVICE_GATE
    }
    return {key: _cut(text, 1024) for key, text in details.items()}


def _device(sources: CardSources) -> str:
    for item in sources.verdicts:
        if item.gate == DEVICE_GATE and item.judged:
            return f"{item.summary}; {item.checks[0].name} {item.checks[0].reason}"
        if item.gate == DEVICE_GATE:
            return f"Device not checked: {item.checks[0].reason}"
    return "Device not checked: this run has no verdict of it"


def _groups(sources: CardSources) -> Iterator[MetricGroup]:
    evaluation = sources.evaluation
    for name, estimates in {"candidate": evaluation.gateable, **evaluation.others}.items():
        yield MetricGroup(name=_cut(name, 63), metric_data=tuple(_quality(estimates)))
    for name, leads in evaluation.leads.items():
        yield MetricGroup(name=_cut(f"lead over {name}", 63), metric_data=tuple(_quality(leads)))
    if worst := evaluation.slices.judged[:_WORST_SLICES]:
        metric = evaluation.slices.metric
        yield MetricGroup(name="worst slices", metric_data=tuple(_slices(worst, metric)))
    if sources.estimates:
        single = [item for item in sources.estimates if not item.is_intersection]
        yield MetricGroup(name="bias", metric_data=tuple(_bias_metrics(single)))
    for metric in (name for names in REPORTED_METRICS.values() for name in names):
        ranked = [item for item in sort_worst_first(sources.estimates, metric) if comparable(item)]
        if ranked:
            metrics = tuple(_bias_metrics(ranked[:_WORST_INTERSECTIONS]))
            yield MetricGroup(name=f"worst intersections by {metric}", metric_data=metrics)


def _quality(estimates: Estimates) -> Iterator[SimpleMetric]:
    for name, item in estimates.items():
        yield from _metric(name, item)


def _slices(worst: Sequence[SliceFigures], metric: str) -> Iterator[SimpleMetric]:
    for item in worst:
        name = f"{metric} {item.column}={item.value} ({item.rows} rows)"
        yield from _metric(name, item.metrics[metric])


def _bias_metrics(estimates: Sequence[BiasEstimate]) -> Iterator[SimpleMetric]:
    for item in estimates:
        yield from _metric(f"{item.stage} {item.metric} {item.subgroup}", item, looks=item.looks)


def _metric(
    name: str, figure: Estimate | BiasEstimate, *, looks: int = 1
) -> Iterator[SimpleMetric]:
    """Yields a metric, or nothing if it is undefined: the schema has no value for that."""
    if figure.value is None:
        return
    low, high = figure.low, figure.high
    at_once = f", over {looks} looks at once" if looks > 1 else ""
    notes = f"95 % interval {low:.4g} to {high:.4g}{at_once}" if low is not None else None
    yield SimpleMetric(name=_cut(name, 255), value=figure.value, notes=notes)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
