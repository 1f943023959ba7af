"""A causal LM goes the whole way: LoRA, merge, score, judge, register, and is served."""

import json
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sashiko.base.files import sha256_file
from sashiko.explain.explanation_record import EXPLANATIONS_FILE, read_explanations
from tests.e2e.project import RUN, Attempt, Project
from tests.e2e.tiny import make_project
from tests.unit.training.tiny_llama import CHAT_TEMPLATE_SHA256, prompt, save_llama

pytestmark = pytest.mark.slow

CHANGES = {
    "data": {"train_rows": 160, "validation_rows": 80, "test_rows": 120},
    "model": {"family": "causal", "chat_template_sha256": CHAT_TEMPLATE_SHA256},
    "prompt": prompt("no", "yes"),
    # Enough for a random model to answer yes or no: Compile refuses one that says something else.
    "train": {
        "lora": {"rank": 8, "alpha": 16}, "learning_rate": 0.02, "epochs": 4, "dropout": 0.0,
        "batch_size": 16, "accumulation_steps": 2,
    },
    "compile": {"sequence_lengths": [96]},
}  # fmt: skip


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory, rows: Path) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    # A layer: the export of each takes seconds.
    texts = pq.read_table(rows)["complaint_text"].to_pylist()
    save_llama(folder, texts, num_hidden_layers=1, initializer_range=0.5)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, rows: Path, llama: Path) -> Project:
    root = tmp_path_factory.mktemp("causal") / "repository"
    return make_project(root, encoder=llama, rows=rows, changes=CHANGES)


@pytest.fixture(scope="module")
def run(project: Project) -> Attempt:
    return project.sashiko(*RUN)


def test_it_is_registered_with_base_adapter_and_merged_weights(project, run, llama):
    assert run.returncode == 0, run.stderr
    lock = json.loads((project.output("Compile", "lock") / "compile-lock.json").read_text())
    causal = lock["causal"]
    assert causal["base"]["model.safetensors"] == sha256_file(llama / "model.safetensors")
    assert causal["merge_difference"] <= 1e-5
    assert len(set(causal["answers"])) == 2
    card = (project.output("Register", "registration") / "model-card.md").read_text()
    assert "base\\_model\\_licence: Apache-2.0" in card
    assert "base\\_model\\_sha256" in card


def test_train_writes_an_adapter_and_none_of_the_base_models_weights(project, run, llama):
    archive = next(project.home.glob("s3/*/runs/*/Train/output/*/output/model.tar.gz"))
    with tarfile.open(archive) as tar:
        names = {Path(name).name for name in tar.getnames()}
    assert {"adapter_model.safetensors", "adapter_config.json", "prompt.json"} <= names
    assert "model.safetensors" not in names
    assert archive.stat().st_size < (llama / "model.safetensors").stat().st_size


def test_its_explanations_are_shapley_values_that_add_up(project: Project, run: Attempt) -> None:
    folder = project.output("Explain", "explanations")
    explanations = read_explanations(folder / EXPLANATIONS_FILE)
    assert (explanations.method, explanations.steps) == ("shapley_sampling", 2)
    assert explanations.convergence.largest < 1e-3 * explanations.convergence.explained


def test_only_as_many_rows_are_judged_as_the_recipe_says(project: Project, run: Attempt) -> None:
    table = pq.read_table(project.output("Evaluate", "predictions") / "predictions.parquet")
    counts = table["split"].value_counts().to_pylist()
    assert {item["values"]: item["counts"] for item in counts} == {"validation": 80, "test": 120}
