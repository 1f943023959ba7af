"""The accuracy of the model by the known truth of generated data."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.plugins import load
from sashiko.data.generators.base import Generator, TruthfulGenerator, order_of
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Ints
from sashiko.evaluation.metrics.quality import evaluate_scores
from sashiko.evaluation.record import Evaluation
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.predictions import Predictions
from sashiko.report.views import Fact
from sashiko.report.words import percent
from sashiko.settings.sources import GeneratorSource

_COLUMNS = ("label", "truth")


def truth_facts(evidence: Evidence) -> tuple[Fact, ...]:
    """Describes the accuracy by the generator's truth; empty if the data have none.

    The truth is made again here, from the recipe's seed: no file holds it and no step reads it. It
    counts only if the labels that the generator makes again are those of the test rows.
    """
    recipe = evidence.recipe
    sources = () if isinstance(recipe, Missing) else recipe.data.sources
    evaluation, predictions = evidence.evaluation, evidence.predictions
    if isinstance(evaluation, Missing) or isinstance(predictions, Missing):
        return ()
    for source in sources:
        truth = _truth(source, predictions) if isinstance(source, GeneratorSource) else None
        if truth is not None:
            return (
                Fact("accuracy by the truth", _comparison_text(evaluation, predictions, truth)),
            )
    return ()


def _truth(source: GeneratorSource, predictions: Predictions) -> Ints | None:
    """Returns each test row's truth; None if the generator has none, or has other rows."""
    try:
        generator: Generator = load("generators", source.generator, key="data.sources")
    except InputError:  # the project has it no longer
        return None
    if not isinstance(generator, TruthfulGenerator):
        return None
    keys = pa.array(predictions.keys, pa.string())
    labels, truth = np.full((2, len(keys)), -1, dtype=np.int64)
    for batch in generator.truth(order_of(source)):
        positions = pc.index_in(batch["key"], value_set=keys)
        among = positions.is_valid()
        rows = positions.filter(among).to_numpy()
        labels[rows], truth[rows] = (batch[name].filter(among).to_numpy() for name in _COLUMNS)
    return truth if (labels == predictions.labels).all() else None


def _comparison_text(evaluation: Evaluation, predictions: Predictions, truth: Ints) -> str:
    """Describes how many predictions and labels are right by the truth."""
    metrics = evaluate_scores(
        truth,
        predictions.predicted.astype(np.float64),
        threshold=1.0,
        replicates=evaluation.bootstrap_replicates,
        seed=0,
    )["accuracy"]
    ends = "" if metrics.low is None or metrics.high is None else (
        f" [{percent(metrics.low)}, {percent(metrics.high)}]"
    )  # fmt: skip
    agreed = percent(float((truth == predictions.labels).mean()))
    return (
        f"{percent(metrics.value or 0.0)}{ends}. The data are synthetic, so a fair decision is "
        "known of each row; the labels, with chance and any planted bias in them, agree with it on "
        f"{agreed}. Neither training nor any gate knows it."
    )
