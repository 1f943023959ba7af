"""SageMaker's names of the quality of several classes, against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from sashiko.evaluation.sagemaker_statistics import multiclass_statistics

LABELS = ("Kredit, Darlehen", "Konto", 'Karte "Gold"', "Überweisung")
FIGURES = ("accuracy", "weighted_recall", "weighted_precision", "weighted_f0_5", "weighted_f1",
           "weighted_f2")  # fmt: skip


def expected(labels, predicted) -> dict[str, float]:
    figures = {"accuracy": oracle.accuracy_score(labels, predicted)}
    for name, beta in (("f0_5", 0.5), ("f1", 1.0), ("f2", 2.0)):
        precision, recall, f, _ = oracle.precision_recall_fscore_support(
            labels, predicted, beta=beta, average="weighted", zero_division=0
        )
        figures |= {"weighted_precision": precision, "weighted_recall": recall}
        figures[f"weighted_{name}"] = f
    return figures


def test_the_figures_are_scikit_learns_and_those_of_the_best_constant_too() -> None:
    generator = np.random.default_rng(0)
    labels = generator.choice(4, 500, p=[0.5, 0.3, 0.15, 0.05])
    predicted = np.where(generator.random(500) < 0.7, labels, generator.integers(0, 3, 500))
    matrix = oracle.confusion_matrix(labels, predicted)
    made = multiclass_statistics(matrix, LABELS, replicates=400, seed=0)
    statistics = made["multiclass_classification_metrics"]
    constant = expected(labels, np.zeros(500, dtype=int))
    assert set(statistics) == {
        "confusion_matrix", *FIGURES, *(f"{name}_best_constant_classifier" for name in FIGURES)
    }  # fmt: skip
    for name, value in expected(labels, predicted).items():
        assert statistics[name]["value"] == pytest.approx(value), name
        of_constant = statistics[f"{name}_best_constant_classifier"]
        assert of_constant["value"] == pytest.approx(constant[name]), name
    assert statistics["confusion_matrix"][LABELS[1]][LABELS[0]] == matrix[1, 0]
    # That of a share of 500 rows, by its formula.
    accuracy = statistics["accuracy"]
    error = np.sqrt(accuracy["value"] * (1 - accuracy["value"]) / 500)
    assert accuracy["standard_deviation"] == pytest.approx(error, rel=0.1)
