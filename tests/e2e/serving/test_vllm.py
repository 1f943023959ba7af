"""Target gpu-vllm: the requests and answers of every target, with vLLM's API behind them."""

import json
import math
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import compile_model
import pytest
from safetensors.torch import load_file, save_file

from sashiko.base.files import sha256_file, write_json
from sashiko.errors import InputError
from sashiko.serving.artifact import open_artifact
from sashiko.serving.compile_lock import read_lock
from sashiko.serving.container.answers import Answered
from sashiko.serving.inspection import unpack
from sashiko.serving.targets.gpu_vllm import TARGET
from tests.e2e.serving.compile_job import job
from tests.unit.training.tiny_llama import save_llama, save_trained_adapter

TEXTS = ["the desk was kind", "my letter was rude and slow", "a loan", "rude " * 30]
LABELS = ("bad", "good")
SERVER = Path(__file__).with_name("vllm_server.py")
Answer = tuple[int, Any]


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    save_llama(folder, TEXTS)
    return folder


@pytest.fixture(scope="module")
def adapter(llama, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "adapter"
    save_trained_adapter(llama, folder, labels=LABELS)
    return folder


def compiled(root: Path, adapter: Path, llama: Path, **changes: Any) -> Path:
    """Runs Compile on an adapter; returns the job's outputs."""
    job(root, adapter, target="gpu-vllm", sequence_lengths=[64], truncate=True, **changes)
    shutil.copytree(llama, root / "processing/input/base")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OPT_ML", str(root))
        patched.setenv("SERVING_IMAGE", "vllm:1")
        compile_model.main()
    return root / "processing" / "output"


@pytest.fixture(scope="module")
def exact(adapter, llama, tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("exact"), adapter, llama)


@pytest.fixture(scope="module")
def cast(adapter, llama, tmp_path_factory):
    root = tmp_path_factory.mktemp("cast")
    return compiled(root, adapter, llama, dtype="bfloat16", tolerance=0.1)


def judged(output: Path) -> list[float]:
    """The scores that Evaluate would judge."""
    archive = output / "artifact" / "model.tar.gz"
    with open_artifact(archive, threshold=0.5, on_cpu=True) as artifact:
        return [answer.score for answer in artifact.predict(TEXTS)]


class Server:
    def __init__(self, artifact: Path) -> None:
        environment = os.environ | {"SASHIKO_THRESHOLD": "0.5"}
        self.log = artifact / "log.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(SERVER), str(artifact)],
                stdout=subprocess.PIPE, stderr=log, text=True, env=environment,
            )  # fmt: skip
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def post(self, path: str, body: bytes, kind: str = "application/json") -> Answer:
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data=body, headers={"Content-Type": kind})
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - loopback
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def invoke(self, **body: Any) -> Answer:
        return self.post("/invocations", json.dumps(body).encode())

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=30)


def serve(output: Path, folder: Path) -> Server:
    unpack(output / "artifact" / "model.tar.gz", folder)
    return Server(folder)


@pytest.fixture(scope="module")
def server(exact, tmp_path_factory):
    running = serve(exact, tmp_path_factory.mktemp("served"))
    yield running
    running.stop()


def test_vllms_probabilities_are_the_judged_ones(server, exact):
    scores = judged(exact)
    status, answers = server.invoke(inputs=TEXTS, ids=["a", "b", "c", "d"])
    assert status == 200
    assert [answer["id"] for answer in answers] == ["a", "b", "c", "d"]
    assert [answer["score"] for answer in answers] == pytest.approx(scores, abs=1e-5)
    expected = [LABELS[score >= 0.5] for score in scores]
    assert [answer["label"] for answer in answers] == expected
    assert max(scores) - min(scores) > 0.01  # or any constant would do
    rows = [{"first": "a", "second": "loan"}]
    assert server.invoke(inputs=rows)[1][0]["score"] == pytest.approx(scores[2], abs=1e-5)


def test_of_three_answers_each_has_its_probability(llama, tmp_path):
    labels = ("bad", "good", 'Zürich, "c"')
    save_trained_adapter(llama, tmp_path / "adapter", labels=labels)
    output = compiled(tmp_path / "job", tmp_path / "adapter", llama)
    archive = output / "artifact" / "model.tar.gz"
    with open_artifact(archive, threshold=0.5, on_cpu=True) as artifact:
        expected = artifact.predict(TEXTS)
    running = serve(output, tmp_path / "served")
    try:
        status, answers = running.invoke(inputs=TEXTS)
    finally:
        running.stop()
    assert status == 200
    assert [answer["label"] for answer in answers] == [answer.label for answer in expected]
    for answer, judged_answer in zip(answers, expected, strict=True):
        scores = dict(zip(labels, judged_answer.scores, strict=True))
        assert answer["scores"] == pytest.approx(scores, abs=1e-5)


def test_a_bad_request_gets_400_with_the_reason(server):
    for body, kind, says in (
        (b'{"inputs": [" "]}', "application/json", "inputs[0]: the text is empty"),
        (b'{"inputs": ["x"]}', "text/csv", "content type text/csv: expected application/json"),
    ):
        status, answer = server.post("/invocations", body, kind)
        assert status == 400
        assert answer["error"].startswith(says)


def test_a_fault_of_vllm_is_a_500_that_shows_nothing_of_the_request(server):
    answers = []
    for how in ("status", "softmax"):
        server.post(f"/break/{how}", b"")
        answers.append(server.invoke(inputs=["my letter"]))
    server.post("/break/nothing", b"")
    assert answers == [(500, {"error": "internal error: see the log"})] * 2
    log = server.log.read_text()
    assert "vLLM answered 400" in log
    assert "serves another model, or without softmax" in log
    assert "my letter" not in log
    assert server.invoke(inputs=["my letter"])[0] == 200


@pytest.mark.slow
def test_the_lock_tells_merged_weights_from_those_that_are_served(cast, exact, adapter, tmp_path):
    lock, plain = read_lock(cast / "lock"), read_lock(exact / "lock")
    assert lock.causal is not None
    assert plain.causal is not None
    assert (lock.dtype, plain.dtype) == ("bfloat16", "float32")
    assert lock.causal.answered == Answered(rows=100, missed=1)
    assert lock.causal.adapter_sha256 == sha256_file(adapter / "adapter_model.safetensors")
    # In float32 what is merged is what is served.
    assert lock.causal.merged_sha256 == plain.causal.merged_sha256 == plain.weights_sha256
    assert lock.weights_sha256 == lock.artifact["eager/model.safetensors"] != plain.weights_sha256
    assert plain.causal.cast_difference is None
    assert lock.causal.cast_difference is not None
    assert 0 < lock.causal.cast_difference <= lock.tolerance
    assert lock.facts()["compile.merged_sha256"] == lock.causal.merged_sha256
    unpack(cast / "artifact" / "model.tar.gz", tmp_path)
    types = {str(value.dtype) for value in load_file(tmp_path / "eager/model.safetensors").values()}
    assert types == {"torch.bfloat16", "torch.float32"}


@pytest.mark.slow
def test_in_bfloat16_the_judged_scores_are_those_of_its_computations(cast, exact, tmp_path):
    scores = judged(cast)
    running = serve(cast, tmp_path)
    try:
        _, answers = running.invoke(inputs=TEXTS)
    finally:
        running.stop()
    # The same file in the same type; other shapes of a matrix round in another order.
    assert [answer["score"] for answer in answers] == pytest.approx(scores, abs=0.02)
    difference = max(abs(a - b) for a, b in zip(scores, judged(exact), strict=True))
    assert 1e-5 < difference < 0.1


def test_elsewhere_the_artifact_says_what_it_needs(exact):
    archive = exact / "artifact" / "model.tar.gz"
    says = "compiled for gpu-vllm, and vLLM is not installed here: .* or compile for cpu"
    with pytest.raises(InputError, match=says), open_artifact(archive, threshold=0.5):
        pass


@pytest.mark.slow
def test_a_cast_that_moves_a_score_too_far_is_refused(adapter, llama, tmp_path):
    with pytest.raises(SystemExit, match=r"more than compile\.tolerance=1e-06 allows"):
        compiled(tmp_path, adapter, llama, dtype="bfloat16", tolerance=1e-6)


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"rows": 300, "missed": 4}, r"in 4 of 300 rows \(1\.3%, at most 1% may be"),
        (None, r"has no answers\.json, .* run Train again"),
    ],
    ids=["other-tokens", "older-engine"],
)
def test_a_model_that_does_not_answer_is_refused(adapter, llama, tmp_path, answers, says):
    other = shutil.copytree(adapter, tmp_path / "adapter")
    (other / "answers.json").unlink()
    if answers:
        write_json(other / "answers.json", answers)
    with pytest.raises(SystemExit, match=says):
        compiled(tmp_path / "job", other, llama)
    assert not list((tmp_path / "job/processing/output").rglob("*"))


def test_an_adapter_that_holds_what_is_not_a_number_is_refused(adapter, llama, tmp_path):
    other = shutil.copytree(adapter, tmp_path / "adapter")
    tensors = load_file(other / "adapter_model.safetensors")
    next(value for name, value in tensors.items() if ".lora_B." in name)[0, 0] = math.nan
    save_file(tensors, other / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SystemExit, match="merging the adapter moves a probability by nan"):
        compiled(tmp_path / "job", other, llama)


@pytest.mark.slow
def test_awss_own_loader_finds_the_handler_by_the_targets_variables(exact, tmp_path):
    pytest.importorskip("model_hosting_container_standards")
    unpack(exact / "artifact" / "model.tar.gz", tmp_path)
    code = (
        "from model_hosting_container_standards.sagemaker.sagemaker_loader import"
        " SageMakerFunctionLoader as loader;"
        "print(loader.get_invocation_handler_from_env().__name__)"
    )
    environment = {**os.environ, **TARGET.environment, "SAGEMAKER_MODEL_PATH": str(tmp_path)}
    process = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == "invoke"
