"""Target inf2: all but the compiler, the runtime and the chip, by what stands in for the three."""

import json
import os
import shutil
import tarfile
from dataclasses import replace

import compile_model
import export_neuron
import inference
import neuron_machine
import numpy as np
import pytest
import torch
from backend import Machine
from bundle import Bucket, read_bundle, write_bundle
from neuron_backend import open_backend
from payload import BadRequestError

from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import ChampionRecord
from sashiko.serving.artifact import open_artifact
from sashiko.steps.scored_splits import Split, open_champion, score_split
from tests.e2e.serving import neuron_image
from tests.e2e.serving.compile_job import TEXTS, eager_probabilities, eager_scores, job, write_model
from tests.e2e.serving.tiny_artifact import NUMBER

LONG = " ".join("abcdefghijklmnopq")
CORES = {"NEURON_RT_NUM_CORES": "1"}


@pytest.fixture
def image(monkeypatch, tmp_path):
    """The job's and the endpoint's environment, in the image."""
    prepare(monkeypatch, tmp_path / "image")


def prepare(monkeypatch, folder):
    neuron_image.install(monkeypatch, folder)
    monkeypatch.setattr(export_neuron, "compile_graph", neuron_image.compiles)
    monkeypatch.setenv("SERVING_IMAGE", "neuronx:1")
    monkeypatch.setenv("NEURON_SDK", "2.26.0")
    monkeypatch.setenv("NEURON_COMPILER", neuron_image.COMPILER)
    monkeypatch.setenv("SASHIKO_THRESHOLD", "0.5")


def compile_in(monkeypatch, root, model, **changes):
    """Runs Compile; returns its lock and its archive."""
    monkeypatch.setenv("OPT_ML", str(job(root, model, **{"target": "inf2"} | changes)))
    compile_model.main()
    output = root / "processing" / "output"
    lock = json.loads((output / "lock" / "compile-lock.json").read_text())
    return lock, output / "artifact" / "model.tar.gz"


@pytest.fixture(scope="module")
def archive(model, tmp_path_factory):
    root = tmp_path_factory.mktemp("compiled")
    with pytest.MonkeyPatch.context() as patched:
        prepare(patched, root / "image")
        return compile_in(patched, root, model)[1]


@pytest.fixture
def folder(image, archive, tmp_path):
    """The artifact, unpacked on the endpoint."""
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "artifact", filter="data")
    return tmp_path / "artifact"


@pytest.fixture
def recompiled(image, monkeypatch, tmp_path, model):
    """Runs Compile again, with a compiler that writes nothing worth running."""

    def touch(classifier, bucket, path, *, auto_cast):
        path.write_bytes(b"graph")
        return neuron_image.ORDER

    monkeypatch.setattr(export_neuron, "compile_graph", touch)
    return lambda **changes: compile_in(monkeypatch, tmp_path, model, **changes)


def served(folder, texts):
    return [answer["score"] for answer in answered(folder, texts)]


def answered(folder, texts):
    model = inference.model_fn(str(folder))
    body = json.dumps({"inputs": list(texts)})
    return json.loads(inference.transform_fn(model, body, "application/json", None))


def test_a_model_of_three_classes_gives_the_scores_of_each(image, monkeypatch, tmp_path):
    labels = ("Zürich", "a, b", "c")
    (tmp_path / "model").mkdir()
    model = write_model(tmp_path / "model", labels)
    _, archive = compile_in(monkeypatch, tmp_path / "job", model)
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "artifact", filter="data")
    answers = answered(tmp_path / "artifact", TEXTS)
    expected = np.array(eager_probabilities(model))
    scores = np.array([[answer["scores"][label] for label in labels] for answer in answers])
    assert scores == pytest.approx(expected, abs=1e-5)
    likeliest = [labels[n] for n in expected.argmax(axis=1)]
    sure = expected.max(axis=1) >= 0.5  # the threshold: below it no label is given
    assert [answer["label"] for answer in answers] == list(np.where(sure, likeliest, None))


def test_a_model_of_a_number_answers_with_its_value_and_is_refused_without_its_scale(
    image, monkeypatch, tmp_path
):
    (tmp_path / "model").mkdir()
    model = write_model(tmp_path / "model", number=NUMBER)
    _, archive = compile_in(monkeypatch, tmp_path / "job", model)
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "artifact", filter="data")
    answers = answered(tmp_path / "artifact", TEXTS)
    expected = [3 + 1.5 * output for (output,) in eager_probabilities(model)]
    assert np.ptp(expected) > 0.05
    assert [answer["value"] for answer in answers] == pytest.approx(expected, abs=1e-5)
    assert [answer["interval"][1] for answer in answers] == pytest.approx(
        [value + 4.5 for value in expected], abs=1e-5
    )
    (model / "number.json").unlink()
    with pytest.raises(SystemExit, match=r"has no number\.json: give the output of Train"):
        compile_in(monkeypatch, tmp_path / "again", model)


def test_texts_of_every_length_and_number_get_the_models_scores(folder, model):
    texts = TEXTS * 2 + TEXTS[:1]  # more than a batch of every length, and a rest
    scores = served(folder, texts)
    assert scores == pytest.approx(eager_scores(model, texts), abs=1e-5)
    assert os.environ["NEURON_RT_NUM_CORES"] == "1"


def test_the_lock_says_all_that_a_deploy_has_to_match(recompiled):
    lock, _ = recompiled(auto_cast="matmul")
    assert (lock["target"], lock["image"], lock["cores"]) == ("inf2", "neuronx:1", 1)
    assert (lock["neuron_sdk"], lock["compiler"]) == ("2.26.0", neuron_image.COMPILER)
    assert (lock["batch_sizes"], lock["sequence_lengths"]) == ([1, 4], [8, 16])
    assert lock["dtype"] == "bfloat16"
    assert lock["largest_difference"] is None
    assert neuron_image.PACKAGES.items() <= lock["packages"].items()
    assert lock["weights_sha256"] == lock["artifact"]["eager/model.safetensors"]
    graphs = {f"model_b{batch}_l{length}.neuron" for batch in (1, 4) for length in (8, 16)}
    assert graphs <= set(lock["artifact"])
    # The toolkit would load a file of this name by itself.
    assert "model.neuron" not in lock["artifact"]


def test_another_shape_never_reaches_the_runtime(folder):
    about = read_bundle(folder)
    backend = open_backend(folder, about, Machine())
    bucket = Bucket(4, 8, "model_b4_l8.neuron")
    for shape in ((3, 8), (4, 16)):
        ids = np.ones(shape, dtype=np.int64)
        with pytest.raises(ValueError, match=r"model_b4_l8.neuron takes \(4, 8\), not"):
            backend.run(bucket, ids, ids)


@pytest.mark.parametrize("truncate", [False, True])
def test_a_text_that_fits_no_graph_is_refused_or_cut_as_the_recipe_says(folder, model, truncate):
    write_bundle(replace(read_bundle(folder), truncate=truncate), folder)
    if truncate:
        cut = " ".join(LONG.split()[:14])  # 16 tokens with the two special ones
        assert served(folder, [LONG]) == pytest.approx(eager_scores(model, [cut]), abs=1e-5)
    else:
        with pytest.raises(BadRequestError, match="has 19 tokens, at most 16 are allowed"):
            served(folder, [LONG])


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"NEURON_RT_NUM_CORES": "2"}, "NEURON_RT_NUM_CORES=2: the artifact is compiled for 1 a"),
        ({"NEURON_RT_VISIBLE_CORES": "0-1"}, "gives every worker the same cores: unset it"),
        ({"SAGEMAKER_MODEL_SERVER_WORKERS": "3"}, "1 of the 2 NeuronCores here: set at most 2"),
        ({"HF_OPTIMUM_BATCH_SIZE": "1"}, "HF_OPTIMUM_BATCH_SIZE is set"),
        ({"HF_MODEL_ID": "a/model"}, "HF_MODEL_ID is set"),
    ],
)
def test_settings_that_do_not_fit_are_named_before_the_runtime_starts(
    folder, monkeypatch, environment, says
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(inference.CannotServeError, match=says):
        inference.model_fn(str(folder))


def test_a_larger_instance_serves_with_a_worker_for_each_of_its_cores():
    workers = {**CORES, "SAGEMAKER_MODEL_SERVER_WORKERS": "12"}
    neuron_machine.check_cores(1, devices=6, environment=workers)
    with pytest.raises(inference.CannotServeError, match="set at most 2"):
        neuron_machine.check_cores(1, devices=1, environment=workers)


def test_a_worker_of_several_cores_needs_them_all():
    """A causal LM's graph is spread over the cores of its worker."""
    for environment in (
        {"SAGEMAKER_MODEL_SERVER_WORKERS": "6"},
        {"SAGEMAKER_MODEL_SERVER_WORKERS": "6", "NEURON_RT_NUM_CORES": "2"},
    ):
        neuron_machine.check_cores(2, devices=6, environment=environment)
    for environment, says in (
        ({"SAGEMAKER_MODEL_SERVER_WORKERS": "7"}, "each with 2 of the 12 .* set at most 6"),
        ({"NEURON_RT_NUM_CORES": "1"}, "CORES=1: the artifact is compiled for 2 a worker"),
    ):
        with pytest.raises(inference.CannotServeError, match=says):
            neuron_machine.check_cores(2, devices=6, environment=environment)


def test_a_machine_without_a_device_is_named(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(neuron_machine, "_DEVICES", tmp_path / "none")
    with pytest.raises(
        inference.CannotServeError, match=r"no Neuron device .* InferenceAmiVersion"
    ):
        inference.model_fn(str(folder))


def test_a_graph_of_another_compiler_is_not_loaded(folder, monkeypatch, tmp_path):
    neuron_image.install(monkeypatch, tmp_path / "newer", neuronx_cc="2.22.1.0+aa")
    with pytest.raises(inference.CannotServeError) as caught:
        inference.model_fn(str(folder))
    assert "compiled with neuronx-cc 2.21.18209.0+043b1bf7, and 2.22.1.0+aa is" in str(caught.value)


def test_what_the_runtime_refuses_comes_with_the_likely_causes(folder, monkeypatch):

    def refuse(path):
        raise RuntimeError("nrt_load: unsupported NEFF version")

    monkeypatch.setattr(torch.jit, "load", refuse)
    with pytest.raises(
        inference.CannotServeError, match=r"unsupported NEFF version.*set Inference"
    ):
        inference.model_fn(str(folder))


def test_a_job_without_a_device_scores_the_model_that_was_compiled(archive, model):
    with open_artifact(archive, threshold=0.5, on_cpu=True) as artifact:
        scores = [answer.score for answer in artifact.predict(TEXTS)]
    assert scores == pytest.approx(eager_scores(model), abs=1e-5)


def test_a_champion_is_compared_by_the_model_that_was_compiled(archive, model, tmp_path):
    (tmp_path / "champion").mkdir()
    shutil.copyfile(archive, tmp_path / "champion" / "model.tar.gz")
    test = Split(keys=tuple("1234"), texts=tuple(TEXTS), labels=np.array([0, 1, 0, 1]))
    champion = ChampionRecord(version=3, sha256="a", threshold=0.4)
    folder = tmp_path / "champion"
    with open_champion(
        champion, folder, labels=("no", "yes"), number=False, template="{first} {second}"
    ) as artifact:
        scores = score_split(artifact, test, name="champion")
    assert scores[:, 1] == pytest.approx(eager_scores(model), abs=1e-5)


def test_elsewhere_the_artifact_says_what_it_needs(archive):
    says = "compiled for inf2, and neuronx-cc is not installed here: .* compile for cpu"
    with pytest.raises(InputError, match=says), open_artifact(archive, threshold=0.5):
        pass


def refusal(recompiled, tmp_path) -> str:
    with pytest.raises(SystemExit):
        recompiled()
    outputs = [path for path in (tmp_path / "processing" / "output").rglob("*") if path.is_file()]
    assert not outputs
    return (tmp_path / "output" / "failure").read_text()


def test_an_image_with_another_compiler_than_the_map_says_is_refused(
    recompiled, monkeypatch, tmp_path
):
    monkeypatch.setenv("NEURON_COMPILER", "2.20.0.0")
    message = refusal(recompiled, tmp_path)
    assert "neuronx-cc 2.21.18209.0, src/sashiko/account/images/images.yaml says 2" in message


def test_graphs_that_an_inf2_xlarge_has_no_memory_for_are_refused(
    recompiled, monkeypatch, tmp_path
):
    monkeypatch.setattr(export_neuron, "MOST_BYTES", 16)
    assert "name fewer compile.batch_sizes or compile.seq" in refusal(recompiled, tmp_path)


def test_the_model_goes_along_unchanged(recompiled, monkeypatch):
    def changes(classifier, bucket, path, *, auto_cast):
        classifier.config.torchscript = True  # as optimum-neuron does
        torch.nn.init.zeros_(classifier.classifier.weight)
        path.write_bytes(b"graph")
        return neuron_image.ORDER

    monkeypatch.setattr(export_neuron, "compile_graph", changes)
    lock, archive = recompiled()
    assert lock["weights_sha256"] == lock["artifact"]["eager/model.safetensors"]
    with open_artifact(archive, threshold=0.5, on_cpu=True) as artifact:
        assert len(artifact.predict(TEXTS)) == len(TEXTS)
