"""A file whose label is a number, from `sashiko new --data` to a served value: in seconds."""

import csv
import io
import json
import random
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from scipy.stats import ks_2samp
from sklearn.metrics import (
    mean_absolute_error,
    median_absolute_error,
    r2_score,
    root_mean_squared_error,
)

from tests.e2e.project import Project
from tests.e2e.scaffold.projects import new

pytestmark = pytest.mark.slow

DAMAGES = {"a broken screen": 0.9, "a scratch": 0.3, "a dent in the lid": 0.5, "water": 0.75}
FILES = ("contracts/claims.odcs.yaml", "recipes/claims.yaml")


def _row(number: int, dice: random.Random) -> dict[str, str]:
    woman, damage, worth = dice.random() < 0.5, dice.choice([*DAMAGES]), dice.lognormvariate(6, 0.3)
    paid = DAMAGES[damage] * worth - 60 * woman * (dice.random() < 0.7) + dice.gauss(0, 15)
    return {
        "Claim No": f"K{number:05}", "Gender": "fm"[not woman], "Worth": f"{worth:.2f}",
        "Report": f"There is {damage}; the item was {dice.randint(1, 30)} months old.",
        "Paid": f"{paid:.2f}",
    }  # fmt: skip


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Claims of an insurer, and what it paid for each."""
    path = tmp_path_factory.mktemp("data") / "claims.csv"
    dice = random.Random(3)  # noqa: S311 - rows, no secrets
    made = [_row(number, dice) for number in range(2000)]
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(made[0]))
        writer.writeheader()
        writer.writerows(made)
    return path


def _contract(project: Project) -> str:
    return (project.root / FILES[0]).read_text()


def _bound(project: Project) -> float:
    """Returns the bound of the favourable values that the contract has."""
    return float(re.search(r"above: ([-0-9.]+)", _contract(project))[1])


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory, rows: Path, wheel: Path) -> Project:
    root = tmp_path_factory.mktemp("numbers") / "claims"
    options = ("--defaults", "--data", rows, "--label", "Paid", "--facet", "Gender")
    done = new(root, *options, wheel=wheel)
    assert done.returncode == 0, done.stderr
    return Project(root)


def test_the_draft_takes_the_number_for_the_label_and_leaves_the_bound_to_a_person(draft, rows):
    label = next(line for line in _contract(draft).splitlines() if "kind: number" in line)
    assert "column: paid" in label
    above = pd.read_csv(rows)["Paid"].median()
    assert _bound(draft) == pytest.approx(above, rel=0.01)
    assert "# review" in label
    refused = draft.sashiko("run")
    assert refused.returncode == 1
    assert "guesses to review" in refused.stderr


@pytest.fixture(scope="module")
def project(draft: Project) -> Project:
    """The project, whose draft somebody confirmed, made linear and ran."""
    for file in FILES:
        path = draft.root / file
        path.write_text(re.sub(r"  # review: .*", "", path.read_text()))
    path = draft.root / FILES[1]
    recipe = yaml.safe_load(path.read_text())
    del recipe["extends"]
    changes = {"model": {"family": "linear"}, "reweighing": {"facets": ["gender"], "strength": 1}}
    path.write_text(yaml.safe_dump(recipe | changes))
    done = draft.sashiko("run")
    assert done.returncode == 0, done.stderr
    return draft


@pytest.fixture(scope="module")
def predictions(project: Project, rows: Path) -> pd.DataFrame:
    """The test rows of the raw file with what the model says of them."""
    said = pd.read_parquet(project.output("Evaluate", "predictions") / "predictions.parquet")
    raw = pd.read_csv(rows)
    joined = said[said["split"] == "test"].merge(raw, left_on="key", right_on="Claim No")
    assert list(joined["value"]) == list(joined["Paid"])
    return joined


def test_quality_is_what_scikit_learn_says_of_the_rows(project, predictions: pd.DataFrame) -> None:
    file = project.output("Evaluate", "metrics") / "metrics.json"
    values = {name: one["value"] for name, one in json.loads(file.read_text())["candidate"].items()}
    observed, predicted = predictions["Paid"], predictions["score"]
    misses = (observed - predicted).abs()
    assert values == {
        "rmse": pytest.approx(root_mean_squared_error(observed, predicted)),
        "mae": pytest.approx(mean_absolute_error(observed, predicted)),
        "median_absolute_error": pytest.approx(median_absolute_error(observed, predicted)),
        "r2": pytest.approx(r2_score(observed, predicted)),
        "interval_coverage": pytest.approx((misses <= predictions["half_width"]).mean()),
    }


def test_bias_is_what_means_of_the_rows_say(project: Project, predictions: pd.DataFrame) -> None:
    items = json.loads((project.output("JudgeBias", "intervals") / "intervals.json").read_text())
    values = {item["metric"]: item["value"] for item in items if item["group"] == "f"}
    woman, bound = predictions["Gender"] == "f", _bound(project)
    above, said = predictions["Paid"] > bound, predictions["score"]
    right = (said > bound) == above
    misses = said - predictions["Paid"]
    expected = {
        "DI": (said > bound)[woman].mean() / (said > bound)[~woman].mean(),
        "AD": right[~woman].mean() - right[woman].mean(),
        "mean_prediction_difference": said[~woman].mean() - said[woman].mean(),
        "prediction_distance": ks_2samp(said[woman], said[~woman]).statistic,
        "mean_error": misses[woman].mean(),
        "mae": misses[woman].abs().mean(),
        "interval_coverage": (misses.abs() <= predictions["half_width"])[woman].mean(),
    }
    assert {name: values[name] for name in expected} == pytest.approx(expected)


def test_the_answer_is_the_value_and_its_interval_in_the_columns_unit(project, predictions, rows):
    approved = project.sashiko("model", "approve", "1", "--reason", "as good as an adjuster")
    assert approved.returncode == 0, approved.stderr
    answered = project.sashiko("predict", rows)
    assert answered.returncode == 0, answered.stderr
    answers = pd.read_csv(io.StringIO(answered.stdout))
    answers["key"] = pd.read_csv(rows)["Claim No"]
    joined = predictions.merge(answers, on="key")
    assert joined["value_y"].to_numpy() == pytest.approx(joined["score"].to_numpy(), rel=1e-5)
    width = (joined["high"] - joined["low"]).to_numpy() / 2
    assert width == pytest.approx(joined["half_width"].to_numpy())
