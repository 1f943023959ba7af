"""A German file with three classes, from the file to a registered version: linear, in seconds."""

import csv
import json
import random
from collections.abc import Callable

import pandas as pd
import pytest
import yaml
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss

from tests.e2e.project import Project
from tests.e2e.test_own_data import confirm, files
from tests.e2e.tiny import copy_repository

pytestmark = pytest.mark.slow

PARTLY = 'teilweise genehmigt, „gekürzt"'
LABELS = ["abgelehnt", "genehmigt", PARTLY]  # as their indices are: the last two sound good
JOBS = {"feste Stelle": 1.0, "befristet": 0.0, "ohne Arbeit": -1.0}


def _row(number: int, dice: random.Random) -> dict[str, str]:
    woman, job, income = dice.random() < 0.5, dice.choice([*JOBS]), dice.lognormvariate(7.8, 0.4)
    score = income / 2500 + JOBS[job] + dice.gauss(0, 0.5) - 0.5 * woman
    label = LABELS[1] if score > 1.6 else PARTLY if score > 0.6 else LABELS[0]
    text = f"{job}, seit {dice.randint(1, 30)} Jahren; Wunsch {number}"
    return {
        "Nr": f"A{number:05}", "Geschlecht": "mw"[woman], "Lage": text, "Bescheid": label,
        "Einkommen": f"{income:.2f}".replace(".", ","),
    }  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A repository with the file, whose draft somebody confirmed, and made linear."""
    made = copy_repository(tmp_path_factory.mktemp("classes") / "repository")
    dice = random.Random(3)  # noqa: S311 - rows, no secrets
    rows = [_row(number, dice) for number in range(2000)]
    with (made.root / "antraege.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    options = ("--label", "Bescheid", "--facet", "Geschlecht")
    drafted = made.sashiko("contract", "init", "antraege.csv", *options)
    assert drafted.returncode == 0, drafted.stderr
    for file in files("antraege"):
        confirm(made, file)
    recipe = yaml.safe_load((made.root / files("antraege")[1]).read_text())
    del recipe["extends"]
    gates = [gate for gate in recipe["quality"]["gates"] if "tfidf" not in str(gate)]
    changes = {"model": {"family": "linear"}, "quality": {"gates": gates}}
    reweighed = {"reweighing": {"facets": ["geschlecht"], "strength": 1}}
    text = yaml.safe_dump(recipe | changes | reweighed)
    (made.root / files("antraege")[1]).write_text(text)
    done = made.sashiko("run", "--recipe", "antraege")
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def rows(project: Project) -> pd.DataFrame:
    """The test rows of the raw file with what the model says of them."""
    said = pd.read_parquet(project.output("Evaluate", "predictions") / "predictions.parquet")
    raw = pd.read_csv(project.root / "antraege.csv", sep=";", dtype=str)
    joined = said[said["split"] == "test"].merge(raw, left_on="key", right_on="Nr")
    assert [LABELS[label] for label in joined["label"]] == list(joined["Bescheid"])
    return joined


def test_quality_is_what_scikit_learn_says_of_the_rows(project: Project, rows: pd.DataFrame):
    file = project.output("Evaluate", "metrics") / "metrics.json"
    values = {name: one["value"] for name, one in json.loads(file.read_text())["candidate"].items()}
    label, predicted = rows["label"], rows["predicted"]
    assert {name: values[name] for name in ("macro_f1", "balanced_accuracy", "log_loss")} == {
        "macro_f1": pytest.approx(f1_score(label, predicted, average="macro")),
        "balanced_accuracy": pytest.approx(balanced_accuracy_score(label, predicted)),
        "log_loss": pytest.approx(log_loss(label, [*rows["scores"]])),
    }


def test_bias_is_what_means_of_the_rows_say(project: Project, rows: pd.DataFrame) -> None:
    woman = rows["Geschlecht"] == "w"

    def difference(is_positive: Callable[[pd.Series], pd.Series]) -> tuple[float, float]:
        label, said = is_positive(rows["label"]), is_positive(rows["predicted"])
        recall = said[label & ~woman].mean() - said[label & woman].mean()
        return said[woman].mean() / said[~woman].mean(), recall

    def values(file: str, outcome: str = "") -> tuple[float, float]:
        items = json.loads((project.output("JudgeBias", "intervals") / file).read_text())
        of_it = (item for item in items if item.get("outcome", "") == outcome)
        one = {item["metric"]: item["value"] for item in of_it}
        return one["DI"], one["RD"]

    assert values("intervals.json") == pytest.approx(difference(lambda codes: codes > 0))
    for index, name in enumerate(LABELS):
        expected = difference(lambda codes, index=index: codes == index)
        assert values("classes.json", name) == pytest.approx(expected)
