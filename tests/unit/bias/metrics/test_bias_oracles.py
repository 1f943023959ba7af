"""Comparison with fairlearn and aif360, by their names and signs, on the same rows."""

import warnings

import numpy as np
import pandas as pd
import pytest

from sashiko.bias.metrics.clarify_metrics import measure
from tests.unit.evaluation.metrics.tables import binary_counts


@pytest.fixture(scope="module", params=[0, 1, 2])
def rows(request: pytest.FixtureRequest) -> pd.DataFrame:
    generator = np.random.default_rng(request.param)
    group = generator.random(400) < 0.4
    label = generator.random(400) < np.where(group, 0.3, 0.55)
    predicted = generator.random(400) < np.where(label, 0.7, 0.25) - 0.1 * group
    return pd.DataFrame({"group": group, "label": label, "predicted": predicted}).astype(int)


def value(rows: pd.DataFrame, name: str) -> float:
    columns = (rows[column].to_numpy() == 1 for column in ("group", "label", "predicted"))
    return measure(name, binary_counts(*columns)).value


def test_fairlearns_rates_by_group_give_our_metrics(rows: pd.DataFrame) -> None:
    fairlearn = pytest.importorskip("fairlearn.metrics")
    scores = pytest.importorskip("sklearn.metrics")

    def specificity(truth, predicted):
        return scores.recall_score(truth, predicted, pos_label=0)

    def rejected_rightly(truth, predicted):
        return scores.precision_score(truth, predicted, pos_label=0)

    frame = fairlearn.MetricFrame(
        metrics={
            "DPPL": fairlearn.selection_rate,
            "RD": scores.recall_score,
            "SD": specificity,
            "DAR": scores.precision_score,
            "DRR": rejected_rightly,
            "AD": scores.accuracy_score,
            "n": fairlearn.count,
        },
        y_true=rows["label"],
        y_pred=rows["predicted"],
        sensitive_features=rows["group"],
    )
    by_group = frame.by_group
    for name in ("DPPL", "RD", "DAR", "AD"):
        assert value(rows, name) == pytest.approx(by_group[name][0] - by_group[name][1])
    for name in ("SD", "DRR"):
        assert value(rows, name) == pytest.approx(by_group[name][1] - by_group[name][0])
    assert value(rows, "DI") == pytest.approx(by_group["DPPL"][1] / by_group["DPPL"][0])
    n_a, n_d = by_group["n"]
    assert value(rows, "CI") == pytest.approx((n_a - n_d) / (n_a + n_d))
    ratio = fairlearn.demographic_parity_ratio(
        rows["label"], rows["predicted"], sensitive_features=rows["group"]
    )
    assert min(value(rows, "DI"), 1 / value(rows, "DI")) == pytest.approx(ratio)


def test_aif360s_metrics_have_our_values_and_the_other_sign(rows: pd.DataFrame) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        datasets = pytest.importorskip("aif360.datasets")
        metrics = pytest.importorskip("aif360.metrics")

    def dataset(column: str):
        frame = rows[["group"]].assign(label=rows[column])
        return datasets.BinaryLabelDataset(
            df=frame, label_names=["label"], protected_attribute_names=["group"]
        )

    sides = {"unprivileged_groups": [{"group": 1}], "privileged_groups": [{"group": 0}]}
    labels = metrics.BinaryLabelDatasetMetric(dataset("label"), **sides)
    assert value(rows, "DPL") == pytest.approx(-labels.mean_difference())
    theirs = metrics.ClassificationMetric(dataset("label"), dataset("predicted"), **sides)
    assert value(rows, "DPPL") == pytest.approx(-theirs.statistical_parity_difference())
    assert value(rows, "DI") == pytest.approx(theirs.disparate_impact())
    assert value(rows, "RD") == pytest.approx(-theirs.equal_opportunity_difference())
    assert value(rows, "SD") == pytest.approx(-theirs.false_positive_rate_difference())
    assert value(rows, "AD") == pytest.approx(theirs.error_rate_difference())
    assert value(rows, "DAR") == pytest.approx(theirs.false_discovery_rate_difference())
    assert value(rows, "DRR") == pytest.approx(-theirs.false_omission_rate_difference())
    assert value(rows, "GE") == pytest.approx(theirs.generalized_entropy_index(alpha=2))
