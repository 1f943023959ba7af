"""A model card: built from a run's own files by SageMaker's schema, and written as Markdown.

It has no timestamp, so the same files give the same card. Source of the schema: "Model package
model card schema" in the Amazon SageMaker AI Developer Guide (model version details), read on
2026-11-25. In botocore a card is a plain string, so these records validate it: they have the keys,
types and lengths that SageMaker requires. Of its metrics, this project uses numbers, and a matrix
for the confusion of several classes.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from sashiko.base.files import canonical_json, sha256_bytes
from sashiko.base.yaml_models import Frozen, validate
from sashiko.bias.gates.estimates import (
    REPORTED_METRICS,
    BiasEstimate,
    comparable,
    sort_worst_first,
)
from sashiko.contract.manifest import Manifest
from sashiko.contract.model import Contract
from sashiko.evaluation.evaluation_record import Evaluation
from sashiko.evaluation.gates.verdict import DEVICE_GATE, Verdict, describe
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.explain.explanation_record import Explanations
from sashiko.settings.recipe import CardSection, RiskRating
from sashiko.settings.recipe_data import ModelSection
from sashiko.settings.recipe_train import ReweighingSection, TrainSection

CARD_FILE = "model-card.json"
_LONG = 2048
_WORST_SLICES = 10
_WORST_INTERSECTIONS = 10
_MOST_IN_MATRIX = 30  # classes; a card has 100,000 characters at most
_ESCAPED = "\\`*_{}[]<>#|"

_Text63 = Annotated[str, Field(min_length=1, max_length=63)]
_Text255 = Annotated[str, Field(min_length=1, max_length=255)]
_Text1024 = Annotated[str, Field(max_length=1024)]
_Text2048 = Annotated[str, Field(max_length=_LONG)]


class _Part(Frozen):
    """Allows SageMaker's key names that begin with `model_`, which pydantic protects."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class _ModelOverview(_Part):
    model_creator: _Text1024


class _IntendedUses(_Part):
    purpose_of_model: _Text2048
    intended_uses: _Text2048
    factors_affecting_model_efficiency: _Text2048
    risk_rating: RiskRating
    explanations_for_risk_rating: _Text2048


class _BusinessDetails(_Part):
    business_problem: _Text2048
    business_stakeholders: _Text2048


class _HyperParameter(_Part):
    name: _Text255
    value: _Text255


class _TrainingJobDetails(_Part):
    training_datasets: Annotated[tuple[_Text1024, ...], Field(max_length=15)]
    user_provided_hyper_parameters: Annotated[tuple[_HyperParameter, ...], Field(max_length=100)]


class _TrainingDetails(_Part):
    training_observations: _Text1024
    training_job_details: _TrainingJobDetails


class _SimpleMetric(_Part):
    name: _Text255
    type: Literal["number"] = "number"
    value: Annotated[float, Field(allow_inf_nan=False)]
    notes: _Text1024 | None = None  # its interval


class _MatrixMetric(_Part):
    name: _Text255
    type: Literal["matrix"] = "matrix"
    value: tuple[tuple[float, ...], ...]
    x_axis_name: tuple[_Text255, ...]  # of the columns
    y_axis_name: tuple[_Text255, ...]  # of the rows
    notes: _Text1024 | None = None


class _MetricGroup(_Part):
    name: _Text63
    metric_data: tuple[_SimpleMetric | _MatrixMetric, ...]


class _EvaluationDetails(_Part):
    name: _Text63
    evaluation_observation: Annotated[str, Field(max_length=2096)]
    datasets: Annotated[tuple[_Text1024, ...], Field(max_length=10)]
    metric_groups: tuple[_MetricGroup, ...]


class _AdditionalInformation(_Part):
    ethical_considerations: _Text2048
    caveats_and_recommendations: _Text2048
    custom_details: dict[str, _Text1024]


class ModelCard(_Part):
    """A whole card."""

    model_overview: _ModelOverview
    intended_uses: _IntendedUses
    business_details: _BusinessDetails
    training_details: _TrainingDetails
    evaluation_details: tuple[_EvaluationDetails, ...]
    additional_information: _AdditionalInformation


@dataclass(frozen=True, kw_only=True)
class CardSources:
    """The sources of a card."""

    contract: Contract
    snapshot: Manifest
    evaluation: Evaluation
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
    source_execution: str = ""  # id of the execution whose results were reused, if any


def model_card(sources: CardSources) -> ModelCard:
    """Builds the card; texts that are too long for SageMaker are truncated."""
    card, contract, snapshot = sources.card, sources.contract, sources.snapshot
    splits = sources.evaluation.splits
    origin = f", from {snapshot.source.text}" if snapshot.source else ""
    version = f"{snapshot.table} as of {snapshot.as_of}, sha256 {snapshot.sha256}"
    data = _cut(f"{version}{origin}", 1024)
    source = sources.source_execution and f", on results of execution {sources.source_execution}"
    waived = [f"FAILED: {describe(check)}" for item in sources.verdicts for check in item.waived]
    return ModelCard(
        model_overview=_ModelOverview(
            model_creator=f"recipe {sources.recipe} at commit {sources.git_sha}{source}"
        ),
        intended_uses=_IntendedUses(
            purpose_of_model=_purpose(contract),
            intended_uses=(
                f"{card.text('intended_uses')}\nNot intended: {card.text('not_intended_uses')}"
            ),
            factors_affecting_model_efficiency=_cut(contract.limitations),
            risk_rating=card.risk_rating,
            explanations_for_risk_rating=card.text("explanations_for_risk_rating"),
        ),
        business_details=_BusinessDetails(
            business_problem=card.text("business_problem"),
            business_stakeholders=card.text("contacts"),
        ),
        training_details=_TrainingDetails(
            training_observations=_cut("; ".join(f"{k}: {v}" for k, v in splits.items()), 1024),
            training_job_details=_TrainingJobDetails(
                training_datasets=(data,),
                user_provided_hyper_parameters=tuple(_hyper_parameters(sources)),
            ),
        ),
        evaluation_details=(
            _EvaluationDetails(
                name="test split",
                evaluation_observation=_cut("\n".join(sources.evaluation.notes)),
                datasets=(data,),
                metric_groups=tuple(_groups(sources)),
            ),
        ),
        additional_information=_AdditionalInformation(
            ethical_considerations=_cut("\n".join(_bias(sources))),
            caveats_and_recommendations=_cut("\n".join([*waived, contract.limitations])),
            custom_details={key: _cut(text, 1024) for key, text in _details(sources).items()},
        ),
    )


def _purpose(contract: Contract) -> str:
    label, classes = contract.label, contract.classes
    if contract.is_number:
        return _cut(f"Predicts {label.column} (favourable: {classes[1]}) in: {contract.title}")
    if len(classes) == 2:
        told = f"{' or '.join(label.favourable)} from {classes[0]}"
    else:
        told = f"{', '.join(classes)}; favourable: {', '.join(label.favourable)};"
    return _cut(f"Tells {label.column}={told} in: {contract.title}")


def card_text(file_content: object) -> str:
    """Formats a card's JSON value on one line: SageMaker's pattern allows no line break.

    Raises:
        InputError: if it is not a card by SageMaker's schema.
    """
    card = validate(ModelCard, file_content, source=CARD_FILE)
    value = card.model_dump(mode="json", exclude_none=True)
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _hyper_parameters(sources: CardSources) -> Iterator[_HyperParameter]:
    # Of `train`, a linear model's training reads this alone.
    only = None if sources.model.pretrained else {"calibration"}
    values = sources.train.model_dump(mode="json", include=only)
    reweighing = sources.reweighing.model_dump(mode="json")
    values |= {f"reweighing_{key}": value for key, value in reweighing.items()}
    for name, value in values.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        yield _HyperParameter(name=name, value=_cut(text or "none", 255))


def _bias(sources: CardSources) -> Iterator[str]:
    """Yields the gate's summary, and the intersection with the worst DI of the predictions."""
    if sources.bias_not_judged:
        yield f"Bias not judged: {sources.bias_not_judged}"
        return
    yield from (item.summary for item in sources.verdicts if item.gate == "bias")
    ranked = sort_worst_first(sources.estimates, "DI")
    if not ranked:
        return
    compared = sum(map(comparable, ranked))
    text = (
        f"Intersections: {compared} of {len(ranked)} combinations of facets' groups can be judged"
    )
    if skipped := len(ranked) - compared:
        text += f", {skipped} have too few rows or are undefined"
    if compared:
        worst = ranked[0]
        text += (
            f". Worst off by DI: {worst.subgroup} with {worst.value:.4g} [{worst.low:.4g}, "
            f"{worst.high:.4g}], {worst.n_disadvantaged} rows; 95 % hold over {worst.looks} looks "
            "at once"
        )
    yield f"{text}."


def _details(sources: CardSources) -> dict[str, str]:
    contract, model, device = sources.contract, sources.model, "this run has no verdict on it"
    details = {
        "contract": f"{contract.id} {contract.version}",
        "contract_sha256": contract.sha256,
        "data": contract.description,
        "data_sha256": sources.snapshot.sha256,
        "data_as_of": sources.snapshot.as_of,
        **_base(model, number=contract.is_number),
        "git_sha": sources.git_sha,
        "device_check": f"Device not checked: {device}",
        "explanations": " ".join((*sources.explanations.warnings, *sources.explanations.notes)),
    }
    for item in sources.verdicts:
        if item.gate != DEVICE_GATE:
            details[f"gate {item.gate}"] = item.summary
        elif item.judged:
            check = item.checks[0]
            details["device_check"] = f"{item.summary}; {check.name} {check.reason}"
        else:
            details["device_check"] = f"Device not checked: {item.checks[0].reason}"
    return details


def _base(model: ModelSection, *, number: bool) -> dict[str, str]:
    if not model.pretrained:
        name = "tfidf-ridge-regression" if number else model.name
        return {"base_model": f"none: {name}, trained on these data alone"}
    return {
        "base_model": model.name,
        "base_model_licence": model.licence or "not stated",
        "base_model_sha256": sha256_bytes(canonical_json(model.files)),
    }


def _groups(sources: CardSources) -> Iterator[_MetricGroup]:
    evaluation = sources.evaluation
    for name, estimates in {"candidate": evaluation.gateable, **evaluation.others}.items():
        yield _group(name, map(_metric, estimates, estimates.values()))
    for name, leads in evaluation.leads.items():
        yield _group(f"lead over {name}", map(_metric, leads, leads.values()))
    yield from _class_groups(evaluation)
    if worst := evaluation.slices.judged[:_WORST_SLICES]:
        metric = evaluation.slices.metric
        names = [f"{metric} {item.column}={item.value} ({item.rows} rows)" for item in worst]
        figures = [item.metrics[metric] for item in worst]
        yield _group("worst slices", map(_metric, names, figures))
    if sources.estimates:
        single = [item for item in sources.estimates if not item.is_intersection]
        yield _group("bias", map(_bias_metric, single))
    for metric in (name for names in REPORTED_METRICS.values() for name in names):
        ranked = [item for item in sort_worst_first(sources.estimates, metric) if comparable(item)]
        if ranked:
            shown = map(_bias_metric, ranked[:_WORST_INTERSECTIONS])
            yield _group(f"worst intersections by {metric}", shown)


def _class_groups(evaluation: Evaluation) -> Iterator[_MetricGroup]:
    """Yields the recall of each class, and the confusion matrix unless it is very large."""
    if not evaluation.classes:
        return
    recalls = []
    for label, rates in zip(evaluation.labels, evaluation.classes, strict=True):
        few = "" if rates.judged else ", too few to judge"
        recalls.append(_metric(f"recall of {label} ({rates.rows} rows{few})", rates.recall))
    yield _group("recall by class", iter(recalls))
    if len(evaluation.labels) <= _MOST_IN_MATRIX:
        names = tuple(_cut(label, 255) for label in evaluation.labels)
        matrix = _MatrixMetric(
            name="confusion matrix", value=evaluation.matrix, x_axis_name=names, y_axis_name=names,
            notes="rows of each label (down) that are predicted as each class (across)",
        )  # fmt: skip
        yield _MetricGroup(name="confusion", metric_data=(matrix,))


def _group(name: str, metrics: Iterator[_SimpleMetric | None]) -> _MetricGroup:
    """Leaves out what is undefined: the schema has no value for that."""
    return _MetricGroup(name=_cut(name, 63), metric_data=tuple(filter(None, metrics)))


def _bias_metric(item: BiasEstimate) -> _SimpleMetric | None:
    return _metric(f"{item.stage} {item.metric} {item.subgroup}", item, looks=item.looks)


def _metric(name: str, figure: Estimate | BiasEstimate, *, looks: int = 1) -> _SimpleMetric | None:
    if figure.value is None:
        return None
    low, high = figure.low, figure.high
    at_once = f", over {looks} looks at once" if looks > 1 else ""
    notes = f"95 % interval {low:.4g} to {high:.4g}{at_once}" if low is not None else None
    return _SimpleMetric(name=_cut(name, 255), value=figure.value, notes=notes)


def _cut(text: str, limit: int = _LONG) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def card_markdown(card: ModelCard) -> str:
    """Formats a card as Markdown; markup in its texts is escaped."""
    return "\n".join(_lines(card)) + "\n"


def _lines(card: ModelCard) -> Iterator[str]:
    uses, business, more = card.intended_uses, card.business_details, card.additional_information
    yield from ("# Model card", "", _plain(card.model_overview.model_creator))
    yield from _section("Purpose", uses.purpose_of_model)
    yield from _section("Intended uses", uses.intended_uses)
    yield from _section("Problem", business.business_problem)
    yield from _section("Contacts", business.business_stakeholders)
    yield from _section("Risk", f"{uses.risk_rating}. {uses.explanations_for_risk_rating}")
    yield from _section("Training", card.training_details.training_observations)
    job = card.training_details.training_job_details
    for data in job.training_datasets:
        yield f"- data: {_plain(data)}"
    for item in job.user_provided_hyper_parameters:
        yield f"- {_plain(item.name)}: {_plain(item.value)}"
    for evaluation in card.evaluation_details:
        yield from _section(f"Evaluation: {evaluation.name}", evaluation.evaluation_observation)
        for group in evaluation.metric_groups:
            yield from ("", f"### {_plain(group.name)}", "")
            numbers = [item for item in group.metric_data if isinstance(item, _SimpleMetric)]
            if numbers:
                yield from ("| metric | value | |", "|---|---|---|")
            for metric in numbers:
                notes = _plain(metric.notes or "")
                yield f"| {_plain(metric.name)} | {metric.value:.4g} | {notes} |"
            for matrix in group.metric_data:
                if isinstance(matrix, _MatrixMetric):
                    yield from _matrix(matrix)
    yield from _section("Bias", more.ethical_considerations)
    yield from _section("Limits and recommendations", more.caveats_and_recommendations)
    yield from _section("What it rests on", "")
    for key, value in more.custom_details.items():
        yield f"- {_plain(key)}: {_plain(value)}"


def _matrix(metric: _MatrixMetric) -> Iterator[str]:
    yield from (f"{_plain(metric.name)}: {_plain(metric.notes or '')}", "")
    names = " | ".join(map(_plain, metric.x_axis_name))
    yield from (f"| | {names} |", "|---" * (len(metric.x_axis_name) + 1) + "|")
    for name, values in zip(metric.y_axis_name, metric.value, strict=True):
        yield f"| {_plain(name)} | {' | '.join(f'{value:,.0f}' for value in values)} |"


def _section(title: str, text: str) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    if text:
        yield from ("  \n".join(map(_plain, text.splitlines())), "")


def _plain(text: str) -> str:
    escaped = "".join(f"\\{char}" if char in _ESCAPED else char for char in text)
    return " ".join(escaped.split())
