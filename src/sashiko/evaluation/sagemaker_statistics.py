"""`statistics.json`: the quality of several classes or of a number, by SageMaker's names.

Source of names and layout: "Model Quality Metrics" in the Amazon SageMaker Developer Guide,
`multiclass_classification_metrics` and `regression_metrics`. A metric by class is weighted by the
class's share of the rows; one that is undefined, such as the precision of a class that is never
predicted, counts as 0.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats, Ints, ModelScores, Truth, ratio
from sashiko.evaluation.metrics.quality import resample
from sashiko.evaluation.metrics.uncertainty import resampled_counts

STATISTICS_FILE: Final = "statistics.json"
_BETAS = {"f0_5": 0.5, "f1": 1.0, "f2": 2.0}


def multiclass_statistics(
    matrix: Ints, labels: Sequence[str], *, replicates: int, seed: int
) -> dict[str, Any]:
    """Returns the metrics of a confusion matrix, as SageMaker's registry and Studio read them.

    Each has its standard deviation over bootstrap resamples of the rows. `best_constant_classifier`
    always predicts the label that most rows have.

    Args:
        matrix: rows of each label (first axis) that are predicted as each class, int64, shape
            (classes, classes), at least one row.
        labels: of the classes.
        replicates: the number of resamples.
        seed: of the bootstrap.
    """
    resamples = np.concatenate(list(resampled_counts(matrix, replicates=replicates, seed=seed)))
    counts = np.concatenate([matrix[None], resamples]).astype(np.float64)
    constant = np.zeros_like(counts)
    constant[:, :, int(matrix.sum(axis=1).argmax())] = counts.sum(axis=2)
    metrics = _weighted(counts)
    for name, values in _weighted(constant).items():
        metrics[f"{name}_best_constant_classifier"] = values
    confusion = {
        label: dict(zip(labels, row, strict=True))
        for label, row in zip(labels, matrix.tolist(), strict=True)
    }
    return {
        "multiclass_classification_metrics": {"confusion_matrix": confusion, **_figures(metrics)}
    }


def regression_statistics(
    values: Truth, model: ModelScores, *, replicates: int, seed: int
) -> dict[str, Any]:
    """Returns the errors of a predicted number, as SageMaker's registry and Studio read them.

    Each has its standard deviation over bootstrap resamples of the rows. R2 is left out where it is
    undefined.

    Args:
        values: observed, shape (rows,), at least one row.
        model: the predicted values.
        replicates: the number of resamples.
        seed: of the bootstrap.
    """
    (resampled,) = resample(values, [model], replicates=replicates, seed=seed)
    metrics = {
        name: np.append(resampled.values[name], resampled.draws[name])
        for name in ("mae", "rmse", "r2")
        if not np.isnan(resampled.values[name])
    }
    metrics["mse"] = metrics["rmse"] ** 2
    return {"regression_metrics": _figures(metrics)}


def _figures(metrics: Mapping[str, Floats]) -> dict[str, dict[str, float]]:
    """Returns each metric's first value, and the standard deviation of the others, less NaN."""
    draws = {name: values[1:][~np.isnan(values[1:])] for name, values in metrics.items()}
    return {
        name: {"value": float(values[0]), "standard_deviation": float(draws[name].std(ddof=1))}
        for name, values in metrics.items()
    }


def _weighted(counts: Floats) -> dict[str, Floats]:
    """Returns name -> values of shape (matrices,), for matrices of shape (matrices, K, K)."""
    right, labelled = np.diagonal(counts, axis1=1, axis2=2), counts.sum(axis=2)
    rows = labelled.sum(axis=1)
    recalls = np.nan_to_num(ratio(right, labelled))
    precisions = np.nan_to_num(ratio(right, counts.sum(axis=1)))
    by_class = {"recall": recalls, "precision": precisions}
    for name, beta in _BETAS.items():
        both = beta**2 * precisions + recalls
        by_class[name] = np.nan_to_num(ratio((1 + beta**2) * precisions * recalls, both))
    return {
        "accuracy": right.sum(axis=1) / rows,
        **{
            f"weighted_{name}": (values * labelled).sum(axis=1) / rows
            for name, values in by_class.items()
        },
    }
