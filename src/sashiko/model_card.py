"""The model card: what a person reads before approving, in SageMaker's schema of a package's card.

Source: "Model package model card schema" in SageMaker's developer guide: that of a model card
without `model_package_details`, and of `model_overview` creator and artifact alone. Every figure
comes from the run's own files, and there is no time in it, so the same files give the same card.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sashiko.contract.manifest import Manifest
from sashiko.contract.model import Contract
from sashiko.evaluation import Estimates, Evaluation, SliceFigures
from sashiko.explain.record import Explanations
from sashiko.gates.estimates import BiasEstimate
from sashiko.gates.verdict import DEVICE_GATE, Verdict

CARD_FILE = "model-card.json"
_NAME = 63  # of an evaluation, and of a group of metrics
_WORST_SLICES = 10
_SHORT = 1024
_LONG = 2048


@dataclass(frozen=True, kw_only=True)
class CardSources:
    """What a card is made of.

    Attributes:
        contract: of the data.
        snapshot: what was learned from.
        evaluation: the figures of the model's quality.
        estimates: the bias metrics; none where bias was not judged.
        explanations: what moves the score; figures and names of columns, no word of a row.
        verdicts: of every gate.
        recipe: its name.
        git_sha: the commit that the run was started from.
        bias_not_judged: the recipe's reason; empty where bias was judged.
    """

    contract: Contract
    snapshot: Manifest
    evaluation: Evaluation
    estimates: Sequence[BiasEstimate]
    explanations: Explanations
    verdicts: Sequence[Verdict]
    recipe: str
    git_sha: str
    bias_not_judged: str


def model_card(sources: CardSources) -> dict[str, Any]:
    """Makes the card's content."""
    contract, snapshot = sources.contract, sources.snapshot
    label = contract.label
    return {
        "model_overview": {
            "model_creator": f"recipe {sources.recipe} at commit {sources.git_sha}",
        },
        "intended_uses": {
            "purpose_of_model": _cut(
                f"Tells {label.column}={label.positive} from {label.negative} in: {contract.title}",
                _LONG,
            ),
            "intended_uses": _cut(contract.description, _LONG),
            "factors_affecting_model_efficiency": _cut(contract.limitations, _LONG),
            "risk_rating": "Unknown",  # a person's to say
        },
        "training_details": {"training_observations": _cut(_rows(sources.evaluation), _SHORT)},
        "evaluation_details": [
            {
                "name": "test split",
                "evaluation_observation": _cut("\n".join(sources.evaluation.notes), _LONG),
                "metric_groups": list(_groups(sources)),
            }
        ],
        "additional_information": {
            "ethical_considerations": _cut(_bias(sources), _LONG),
            "caveats_and_recommendations": _cut(contract.limitations, _LONG),
            "custom_details": {
                "contract": f"{contract.id} {contract.version}",
                "contract_sha256": contract.sha256,
                "data_sha256": snapshot.sha256,
                "data_as_of": snapshot.as_of,
                "git_sha": sources.git_sha,
                "device_check": _cut(_device(sources), _SHORT),
                "explanations": _cut(_explained(sources.explanations), _SHORT),
            },
        },
    }


def card_text(card: Mapping[str, Any]) -> str:
    """Writes a card on one line: SageMaker's pattern of its content knows no line break."""
    return json.dumps(card, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _rows(evaluation: Evaluation) -> str:
    return "; ".join(
        f"{name}: {split.rows} rows, {split.positives} positive"
        for name, split in evaluation.splits.items()
    )


def _bias(sources: CardSources) -> str:
    if sources.bias_not_judged:
        return f"Bias not judged: {sources.bias_not_judged}"
    return "\n".join(item.summary for item in sources.verdicts if item.gate == "bias")


def _device(sources: CardSources) -> str:
    for item in sources.verdicts:
        if item.gate == DEVICE_GATE and item.judged:
            return f"{item.summary}; {item.checks[0].name} {item.checks[0].reason}"
        if item.gate == DEVICE_GATE:
            return f"Device not checked: {item.checks[0].reason}"
    return "Device not checked: this run has no verdict of it"


def _explained(found: Explanations) -> str:
    return " ".join((*found.warnings, *found.notes))


def _groups(sources: CardSources) -> Iterator[dict[str, Any]]:
    evaluation = sources.evaluation
    for name, estimates in {"candidate": evaluation.candidate, **evaluation.others}.items():
        yield _group(name, _quality(estimates))
    for name, leads in evaluation.leads.items():
        yield _group(f"lead over {name}", _quality(leads))
    if worst := evaluation.slices.judged[:_WORST_SLICES]:
        yield _group("worst slices", _slices(worst, evaluation.slices.metric))
    if sources.estimates:
        yield _group("bias", _bias_metrics(sources.estimates))


def _group(name: str, metrics: Iterator[dict[str, Any]]) -> dict[str, Any]:
    return {"name": _cut(name, _NAME), "metric_data": list(metrics)}


def _quality(estimates: Estimates) -> Iterator[dict[str, Any]]:
    for name, item in estimates.items():
        yield from _metric(name, item.value, low=item.low, high=item.high)


def _slices(worst: Sequence[SliceFigures], metric: str) -> Iterator[dict[str, Any]]:
    for item in worst:
        found = item.metrics[metric]
        name = f"{metric} {item.column}={item.value} ({item.rows} rows)"
        yield from _metric(name, found.value, low=found.low, high=found.high)


def _bias_metrics(estimates: Sequence[BiasEstimate]) -> Iterator[dict[str, Any]]:
    for item in estimates:
        name = f"{item.stage} {item.metric} {item.facet}={item.group}"
        yield from _metric(name, item.value, low=item.low, high=item.high)


def _metric(
    name: str, value: float | None, *, low: float | None, high: float | None
) -> Iterator[dict[str, Any]]:
    """Yields a number; what is undefined has none, and the schema no place to say so."""
    if value is None:
        return
    metric = {"name": _cut(name, 255), "type": "number", "value": value}
    if low is not None and high is not None:
        metric["notes"] = f"95 % interval {low:.4g} to {high:.4g}"
    yield metric


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
