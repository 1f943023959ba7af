"""The Explain step as a job: what it reads, refuses and writes."""

import json
import sys
import tarfile
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from sashiko.base.files import sha256_file
from sashiko.base.parquet import write_table
from sashiko.contract.manifest import Snapshots, read_snapshots
from sashiko.data.splits import ColumnKind
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import two_classes
from sashiko.explain.explanation_record import (
    read_errors,
    read_explanations,
    read_swaps,
)
from sashiko.steps import explain
from sashiko.steps.explain import EFFORT, compare_rounded, select_rows
from sashiko.training.linear_model import fit_ridge, matrix
from tests.unit.contract.documents import custom
from tests.unit.explain.planted import NUMBER, TELLING, lay_out, notes, save_model, write
from tests.unit.training.people import fit_linear


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    save_model(folder)
    return folder


@pytest.fixture
def job(tmp_path, model, monkeypatch, request):
    """Lays out the job; every test may bend its inputs."""
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["explain"])
    return lay_out(tmp_path, model, **getattr(request, "param", {}))


def laid_out(**options: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("job", [options], indirect=True, ids=[""])


def outputs(job):
    return job.parent / "output"


def explained(job):
    explain.main()
    return read_explanations(outputs(job) / "explanations" / "explanations.json")


def predictions_of(job):
    return pq.read_table(job / "predictions" / "predictions.parquet")


def bend(job, name: str, **columns: list) -> None:
    """Puts other columns in an input."""
    file = "predictions" if name == "predictions" else "data"
    table = pq.read_table(job / name / f"{file}.parquet").to_pydict()
    write(job / name, table | columns, name=file)


def test_it_writes_figures_apart_from_what_stands_in_rows(job) -> None:
    explanations = explained(job)
    assert (explanations.rows, explanations.test_rows, explanations.baseline) == (40, 60, "[MASK]")
    assert explanations.columns[0].name == "note"
    assert explanations.deletion.faithful
    # Of so small a model the attributions may be coarse; nothing else is warned of.
    assert all("coarse" in warning for warning in explanations.warnings)
    assert explanations.largest_difference < 1e-5
    assert sum(explanations.predicted.values()) == 40

    for file in (outputs(job) / "explanations").iterdir():
        assert TELLING not in file.read_text()
    used = sha256_file(job / "data" / "data.parquet")
    assert read_snapshots(outputs(job) / "explanations") == Snapshots(training=used)


def test_the_surest_errors_are_explained_word_by_word(job) -> None:
    explain.main()
    errors = read_errors(outputs(job) / "texts" / "errors.jsonl")
    predictions = {row["key"]: row for row in predictions_of(job).to_pylist()}
    rows = pq.read_table(job / "test" / "data.parquet").to_pylist()
    texts = {row["key"]: row["text"] for row in rows}
    assert 1 <= len(errors) <= 6
    assert [error.predicted for error in errors] == sorted(
        (error.predicted for error in errors), reverse=True
    )
    for error in errors:
        row = predictions[error.key]
        assert row["label"] != row["predicted"]
        assert (error.label, error.predicted, error.score) == (
            ("no", "yes")[row["label"]], ("no", "yes")[row["predicted"]], row["score"],
        )  # fmt: skip
        assert [item.feature_name for item in error.explanations] == [
            "(template)", "title", "(template)", "note",
        ]  # fmt: skip
        assert "".join(error.texts) == texts[error.key]
        words = [part.description for item in error.explanations for part in item.attributions]
        assert "".join(word.partial_text for word in words) == texts[error.key].replace(" ", "")
        note = texts[error.key].partition(": ")[2]
        for part in error.explanations[-1].attributions:
            word = part.description
            assert note[word.start_idx :].startswith(word.partial_text)


@laid_out(depth="full")
def test_in_full_depth_more_rows_are_explained_in_finer_steps(job) -> None:
    explanations = explained(job)
    assert (explanations.rows, explanations.steps) == (60, 50)


def test_the_words_of_a_facet_are_swapped_and_the_score_moves(job) -> None:
    explanations = explained(job)
    [swap] = explanations.swaps
    assert (swap.facet, swap.group, swap.sample_size) == ("age", ("old",), 60)
    assert 20 < swap.rows == swap.with_words < 60
    assert swap.lead.low > 0.3
    assert swap.flips.low > 0.3
    first, *_ = rows = read_swaps(outputs(job) / "texts" / "swaps.jsonl")
    assert len(rows) == 3
    assert abs(first.swapped_score - first.score) == pytest.approx(swap.largest)
    texts = pq.read_table(job / "test" / "data.parquet").to_pylist()
    [text] = [row["text"] for row in texts if row["key"] == first.key]
    assert "".join(part for part, _ in first.parts) == text
    assert {("desk", TELLING), (TELLING, "desk")} & {tuple(part) for part in first.parts}
    assert any("P(yes) changes by +" in note for note in explanations.notes)


def lay_out_linear(job, *, is_number: bool = False) -> None:
    """Puts a linear model, its rows and its predictions in the job's inputs."""

    def objects(texts: list[str]) -> list[str]:
        return [json.dumps({"title": ("loan", "card")[at % 2], "note": text})
                for at, text in enumerate(texts)]  # fmt: skip

    texts, labels = notes(256, seed=1)
    kinds: dict[str, ColumnKind] = {"title": "category", "note": "text"}
    model = fit_linear(objects(texts), np.array(labels), kinds=kinds, seed=0)
    folder = job / "linear"
    folder.mkdir()
    if is_number:
        of_train = matrix(model.features, objects(texts))
        model = fit_ridge(model.features, of_train, 2.0 * np.array(labels) - 1, weights=None)
        (folder / "number.json").write_text(json.dumps(NUMBER))
    model.save(folder, labels=("no", "yes"))
    with tarfile.open(job / "model" / "model.tar.gz", "w:gz") as tar:
        for file in sorted(folder.iterdir()):
            tar.add(file, file.name)
    rows = objects([text.partition(": ")[2] for text in
                    pq.read_table(job / "test" / "data.parquet")["text"].to_pylist()])  # fmt: skip
    bend(job, "test", text=rows)
    if is_number:
        values = 15 + 15 * model.logits(matrix(model.features, rows))[:, 0]
        bend(job, "predictions", score=values.tolist(), predicted=(values > 10).astype(int))
        return
    scores = model.scores(rows)[:, 1]
    bend(job, "predictions", score=scores.tolist(), predicted=(scores >= 0.5).astype(int).tolist())


@laid_out(depth="full")
def test_a_linear_model_is_explained_by_its_coefficients(job) -> None:
    lay_out_linear(job)
    explanations = explained(job)
    assert (explanations.method, explanations.steps) == ("coefficients", 0)
    assert explanations.columns[0].name == "note"
    assert explanations.convergence.largest < 1e-9 < explanations.convergence.explained
    assert explanations.largest_difference < 1e-9
    assert explanations.deletion.faithful
    assert explanations.warnings == ()
    [swap] = explanations.swaps
    assert swap.lead.low > 0.3
    errors = read_errors(outputs(job) / "texts" / "errors.jsonl")
    assert errors[0].texts[0] == "about "  # the recipe's template, which the model does not read


@pytest.fixture
def number_job(tmp_path, tmp_path_factory, monkeypatch, request):
    """Lays out the job of an encoder or a linear model whose label is a number."""
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["explain"])
    folder = tmp_path_factory.mktemp("number")
    save_model(folder, is_number=True)
    job = lay_out(tmp_path, folder, is_number=True)
    if request.param == "linear":
        lay_out_linear(job, is_number=True)
    return job


@pytest.mark.parametrize("number_job", ["encoder", "linear"], indirect=True)
def test_of_a_number_the_predicted_value_is_explained_in_its_unit(number_job) -> None:
    explanations = explained(number_job)
    assert explanations.is_number
    assert set(explanations.predicted) == {"at most 10", "above 10"}
    assert min(explanations.predicted.values()) > 10
    assert explanations.columns[0].name == "note"
    assert explanations.deletion.faithful
    assert explanations.convergence.explained > 5
    [swap] = explanations.swaps
    assert swap.lead.low > 5
    assert swap.flips.low > 0.3
    assert any("the predicted value changes by +" in note for note in explanations.notes)
    predictions = predictions_of(number_job).to_pylist()
    by_error = sorted(predictions, key=lambda row: row["value"] - row["score"])
    errors = read_errors(outputs(number_job) / "texts" / "errors.jsonl")
    largest = [*by_error[:3], *by_error[:-4:-1]]
    assert [error.key for error in errors] == [row["key"] for row in largest]
    for error, row in zip(errors, largest, strict=True):
        assert (error.label, error.score) == (f"{row['value']:.4g}", row["score"])
        words = [part.attribution[0] for item in error.explanations for part in item.attributions]
        if explanations.method == "coefficients":
            assert sum(words) + explanations.expected_value == pytest.approx(error.score, abs=1e-9)


@pytest.mark.parametrize("number_job", ["linear"], indirect=True)
def test_a_model_of_a_number_is_known_to_a_hundredth_of_its_standard_deviation(number_job) -> None:
    scores = predictions_of(number_job)["score"].to_pylist()
    bend(number_job, "predictions", score=[score + 0.009 * 15 for score in scores])
    assert explained(number_job).largest_difference == pytest.approx(0.009)
    bend(number_job, "predictions", score=[score + 0.02 * 15 for score in scores])
    with pytest.raises(InputError, match="not the model that Evaluate judged"):
        explain.main()


def test_a_second_run_writes_the_same_bytes(job, tmp_path_factory, monkeypatch, model) -> None:
    explain.main()
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    other = lay_out(elsewhere, model)
    monkeypatch.setenv("OPT_ML", str(elsewhere))
    explain.main()
    files = sorted(path for path in outputs(job).rglob("*") if path.is_file())
    assert len(files) == 4
    for path in files:
        again = outputs(other) / path.relative_to(outputs(job))
        assert again.read_bytes() == path.read_bytes(), path.name


@laid_out(length=10)
def test_rows_not_read_to_the_end_are_counted_and_without_words_nothing_is_swapped(job) -> None:
    path = job / "config" / "contract.odcs.yaml"
    contract = yaml.safe_load(path.read_text())
    del custom(contract, "facets")["value"][0]["words"]
    path.write_text(yaml.safe_dump(contract))
    explanations = explained(job)
    assert (explanations.swaps, read_swaps(outputs(job) / "texts" / "swaps.jsonl")) == ((), ())
    cut = {column.name: column.rows_cut for column in explanations.columns}
    assert 0 < explanations.rows_cut == cut["note"] <= explanations.rows
    assert cut["title"] == 0
    assert any(f"note in {explanations.rows_cut}" in note for note in explanations.notes)


def moved(job, count: int) -> None:
    """Moves the scores of some rows by 0.07, as rounding might, and says that it was rounded."""
    scores = [
        score + (0.07 if score < 0.5 else -0.07) * (index < count)
        for index, score in enumerate(predictions_of(job)["score"].to_pylist())
    ]
    bend(job, "predictions", score=scores)


INT8 = {"sequence_lengths": [32], "quantization": "int8", "batch_sizes": [1]}


def test_an_artifact_that_was_rounded_is_distinguished_from_the_model(job) -> None:
    moved(job, 8)
    with pytest.raises(InputError, match=r"0\.070 away from its prediction"):
        explain.main()
    (job / "config" / "compile.json").write_text(json.dumps(INT8))
    explanations = explained(job)
    assert explanations.largest_difference == pytest.approx(0.07, abs=1e-5)
    rounding = explanations.rounding
    assert rounding is not None
    assert (rounding.dtype, rounding.rows) == ("int8", 60)
    assert rounding.largest_difference == pytest.approx(0.07, abs=1e-5)
    assert rounding.mean_difference == pytest.approx(8 * 0.07 / 60, abs=1e-5)
    assert any("differ by up to 0.070" in note for note in explanations.notes)


def test_decisions_that_rounding_turned_are_counted() -> None:
    exact = two_classes(np.array([0.1, 0.45, 0.55, 0.9]))
    served = {"score": [0.1, 0.52, 0.49, 0.9], "predicted": [0, 1, 0, 1]}
    rounding = compare_rounded(exact, pa.table(served), threshold=0.5, dtype="bfloat16")
    assert (rounding.dtype, rounding.rows, rounding.changed) == ("bfloat16", 4, 2)
    assert rounding.rate.value == 0.5
    assert rounding.rate.low is not None
    assert rounding.largest_difference == pytest.approx(0.07)
    assert rounding.mean_difference == pytest.approx((0.07 + 0.06) / 4)


def test_another_or_a_damaged_model_is_refused(job) -> None:
    moved(job, 60)
    (job / "config" / "compile.json").write_text(json.dumps(INT8))
    with pytest.raises(InputError, match="not the model that Evaluate judged"):
        explain.main()
    (job / "model" / "model.tar.gz").write_bytes(b"not an archive")
    with pytest.raises(InputError, match="cannot be unpacked"):
        explain.main()


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        # A snapshot of another run.
        ("data", {"note": ["something else"] * 60}, r"the text of key 'L\d+' is not what the"),
        (
            "data",
            {"loan_id": [f"M{index:03}" for index in range(60)]},
            "both must be of the same data",
        ),
        ("predictions", {"split": ["validation"] * 60}, "no row of the test split"),
    ],
)
def test_inputs_that_do_not_belong_together_are_refused(job, name, columns, message) -> None:
    bend(job, name, **columns)
    with pytest.raises(InputError, match=message):
        explain.main()


ROWS = np.arange(2000)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        # A rare decision and a rare label: half of the decisions wrong, half of the labels found.
        (ROWS % 200 < 2, {(0, 0): 10, (0, 1): 10, (1, 0): 10, (1, 1): 10}),
        # What a small group lacks comes from the others.
        (ROWS < 3, {(0, 0): 19, (0, 1): 18, (1, 0): 2, (1, 1): 1}),
    ],
)
def test_a_sample_holds_rare_decisions_and_rare_labels(tmp_path, monkeypatch, label, expected):
    scores = np.where(ROWS % 100 == 0, 0.9, 0.1)
    columns = {
        "key": [f"k{row}" for row in ROWS],
        "split": ["test"] * len(ROWS),
        "label": pa.array(label, pa.int64()),
        "score": scores,
        "predicted": (scores >= 0.5).astype(np.int64),
    }
    write_table(tmp_path / "processing/input/predictions/predictions.parquet", pa.table(columns))
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    selection = select_rows(EFFORT["default"], rows=40, classes=2, first_favourable=1)
    sample = selection.table.take(selection.sample).to_pylist()
    assert Counter((row["label"], row["predicted"]) for row in sample) == expected
    assert len({row["key"] for row in sample}) == 40
