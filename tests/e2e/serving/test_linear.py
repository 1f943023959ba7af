"""A linear model, compiled as the job compiles it and read as the endpoint reads it."""

import json
from pathlib import Path

import compile_model
import numpy as np
import pytest

from sashiko.base.files import write_json
from sashiko.serving.artifact import Artifact, RequestRefusedError, open_artifact
from sashiko.training.linear_model import LinearModel
from tests.e2e.serving.compile_job import job
from tests.e2e.serving.tiny_artifact import NUMBER
from tests.unit.training.people import KINDS, fit_linear, labels_of, objects, people

TRAIN, TEST = people(300, seed=1), people(120, seed=2)


@pytest.fixture(scope="module")
def model() -> LinearModel:
    return fit_linear(objects(TRAIN), labels_of(TRAIN), kinds=KINDS, seed=0)


@pytest.fixture
def compiled(model, tmp_path: Path, monkeypatch) -> Path:
    """The outputs of the job."""
    monkeypatch.setenv("SERVING_IMAGE", "serving:1")
    monkeypatch.setenv("OPT_ML", str(tmp_path / "job"))
    folder = tmp_path / "trained"
    folder.mkdir()
    model.save(folder, labels=("no", "yes"))
    job(tmp_path / "job", folder)
    compile_model.main()
    return tmp_path / "job" / "processing" / "output"


@pytest.fixture
def artifact(compiled: Path):
    with open_artifact(compiled / "artifact" / "model.tar.gz", threshold=0.4) as opened:
        yield opened


def test_rows_and_their_texts_get_the_trained_models_scores(artifact: Artifact, model) -> None:
    expected = model.scores(objects(TEST))[:, 1]
    answers = artifact.predict(TEST)
    assert [answer.score for answer in answers] == pytest.approx(expected, abs=1e-7)
    assert [answer.label for answer in answers] == ["yes" if s >= 0.4 else "no" for s in expected]
    assert np.ptp(expected) > 0.3, "the sample must tell a wrong model from a right one"
    assert artifact.predict(objects(TEST)) == answers
    # No row's score hangs on those beside it, in its last bit.
    assert [artifact.predict([row])[0] for row in TEST[:20]] == answers[:20]
    assert artifact.cuts(objects(TEST)) == [False] * len(TEST)


def test_missing_and_unknown_values_are_scored(artifact: Artifact, model) -> None:
    nothing = dict.fromkeys(KINDS)
    unheard = TEST[0] | {"desk": "west", "note": "unheard of", "age": 40.5}
    scores = [answer.score for answer in artifact.predict([nothing, unheard])]
    assert scores == pytest.approx(model.scores(objects([nothing, unheard]))[:, 1], abs=1e-7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"age": "forty"}, "column `age`: expected a number"),
        ({"age": True}, "column `age`: expected a number"),
        ({"seen": "soon"}, "column `seen`: expected a date"),
        ({"shoe": 43}, "unknown column `shoe`"),
        ({"note": ["a"]}, "column `note` must be a text"),
        ({"note": "x" * 200_000}, "letters, at most 100,000 are allowed"),
    ],
)
def test_a_row_that_it_cannot_read_is_refused_by_its_place(artifact, change, message) -> None:
    with pytest.raises(RequestRefusedError, match=rf"inputs\[1\]: .*{message}"):
        artifact.predict([TEST[0], TEST[1] | change])


@pytest.mark.parametrize("text", ["late again", "[1]", "{}", '{"age": 4}', "{", ""])
def test_a_text_that_is_no_row_of_its_columns_is_refused(artifact: Artifact, text: str) -> None:
    with pytest.raises(RequestRefusedError, match=r"object with the columns age, desk|is empty"):
        artifact.predict([text])


def test_the_lock_says_how_it_is_computed(compiled: Path) -> None:
    lock = json.loads((compiled / "lock" / "compile-lock.json").read_text())
    assert (lock["dtype"], lock["batch_sizes"], lock["sequence_lengths"]) == ("float64", [1], [])
    assert lock["largest_difference"] < 1e-7
    assert {"linear.json", "model.onnx", "serving.json"} <= lock["artifact"].keys()
    assert not any(name.startswith("tokenizer") for name in lock["artifact"])


@pytest.mark.parametrize("number", [{}, NUMBER], ids=["two classes", "a number"])
def test_a_graph_that_differs_from_the_coefficients_is_refused(
    model, tmp_path: Path, monkeypatch, number: dict[str, float]
) -> None:
    import export_linear

    export = export_linear.export_linear

    def wrong(coefficients, intercept, folder, **options):
        changed = np.where(np.arange(coefficients.shape[1]) == 7, 2.0, coefficients)
        return export(changed, intercept, folder, **options)

    monkeypatch.setattr(export_linear, "export_linear", wrong)
    monkeypatch.setenv("SERVING_IMAGE", "serving:1")
    monkeypatch.setenv("OPT_ML", str(tmp_path / "job"))
    (tmp_path / "trained").mkdir()
    model.save(tmp_path / "trained", labels=("no", "yes"))
    if number:
        write_json(tmp_path / "trained/number.json", number)
    job(tmp_path / "job", tmp_path / "trained")
    with pytest.raises(SystemExit, match="differs from the trained one"):
        compile_model.main()
    assert not list((tmp_path / "job/processing/output").rglob("model.tar.gz"))
