"""Which status an endpoint gives, by the serving image's own model server."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.e2e.serving.faults import FAULTS, NEURON
from tests.e2e.serving.tiny_artifact import build_artifact, expected_score

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv-serving" / "bin" / "python"
START = "from mms.model_server import start; start()"
HOST = "127.0.0.1"
_START_SECONDS = 120
_LOG_SECONDS = 60
_ANSWER_SECONDS = 120  # a first request waits for its worker to load


class ModelServer:
    """A running server."""

    def __init__(self, port: int, log: Path) -> None:
        self._port = port
        self._log = log

    def ask(self, model: str, body: bytes, content_type: str = "application/json"):
        """Returns status and JSON of one request to a model."""
        return self.call("POST", f"/models/{model}/invoke", body, content_type)

    def call(self, method: str, path: str, body: bytes | None = None, content_type: str = ""):
        connection = HTTPConnection(HOST, self._port, timeout=_ANSWER_SECONDS)
        connection.request(method, path, body, {"Content-Type": content_type} if body else {})
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    def log(self) -> str:
        """Returns what the server and its workers have written."""
        return self._log.read_text(errors="replace")

    def logs(self, text: str) -> bool:
        """Says whether a worker wrote a text; the server copies what they write with a delay."""
        deadline = monotonic() + _LOG_SECONDS
        while text not in self.log():
            if monotonic() > deadline:
                return False
            sleep(0.1)
        return True


@contextmanager
def model_server(artifacts: Mapping[str, Path], *, threshold: float) -> Iterator[ModelServer]:
    """Starts the server as the toolkit's `mms_model_server` does, but for its addresses."""
    if not PYTHON.is_file():
        if (PYTHON.parents[1] / ".done").exists():
            pytest.skip("no Python 3.10 or 3.11 on Linux, which the serving image's server needs")
        pytest.fail(f"{PYTHON} is missing: run `make test`, which installs the model server")
    java = Path(os.environ["JAVA_HOME"], "bin", "java") if "JAVA_HOME" in os.environ else "java"
    if shutil.which(java) is None:
        pytest.skip("Java is missing, which the serving image's model server is written in")
    # Not pytest's folder: a socket's path has at most 107 letters.
    with tempfile.TemporaryDirectory(prefix="mms-") as name:
        folder = Path(name)
        port = _free_port()
        (folder / "mms.properties").write_text(
            "enable_envvars_config=true\n"
            "decode_input_request=false\n"
            "default_workers_per_model=1\n"
            f"inference_address=http://{HOST}:{port}\n"
            f"management_address=http://{HOST}:{port}\n"
            "default_service_handler=image_toolkit\n"
        )
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [PYTHON, "-c", START, "--start", "--foreground", "--model-store", "/"]
                + ["--mms-config", folder / "mms.properties", "--models"]
                + [f"{model}={path}" for model, path in artifacts.items()],
                cwd=folder,
                env=os.environ
                | {
                    "OMP_NUM_THREADS": "1",
                    "PYTHONPATH": str(Path(__file__).parent),
                    "SASHIKO_THRESHOLD": str(threshold),
                    "TEMP": name,
                    "TMPDIR": name,
                },
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            server = ModelServer(port, log)
            _wait(server, process)
            yield server
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _free_port() -> int:
    # Not the system's choice: the server refuses a port from 49152 on.
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port
    pytest.fail("no port is free for the model server")


def _wait(server: ModelServer, process: subprocess.Popen) -> None:
    deadline = monotonic() + _START_SECONDS
    while monotonic() < deadline and process.poll() is None:
        try:
            server.call("GET", "/ping")
        except OSError:
            sleep(0.2)
        else:
            return
    pytest.fail(f"the model server did not start:\n{server.log()[-3000:]}")


GOOD = b'{"inputs": ["bad x"]}'
BAD_REQUESTS = [
    (b'{"inputs": [""]}', "application/json", "inputs[0]: the text is empty"),
    (b'{"inputs": ["a b c d e f g"]}', "application/json", "inputs[0]: the text has 9 tokens"),
    (b'{"inputs": [', "application/json", "not JSON"),
    (b'{"text": "bad"}', "application/json", 'the key "inputs"'),
    (b"bad,x", "text/csv", "expected application/json"),
]


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    root = tmp_path_factory.mktemp("artifacts")
    build_artifact(root / "sound")
    folders = {"sound": root / "sound" / "artifact"}
    for name, spoil in FAULTS.items():
        folders[name] = root / name / "artifact"
        shutil.copytree(folders["sound"], folders[name])
        spoil(folders[name])
    return folders


@pytest.fixture(scope="module")
def server(artifacts):
    with model_server(artifacts, threshold=0.9) as running:
        yield running


def test_a_sound_model_answers(server):
    status, answers = server.ask("sound", GOOD)
    assert (status, [answer["label"] for answer in answers]) == (200, ["no"])
    assert answers[0]["score"] == pytest.approx(expected_score("bad"), abs=1e-6)
    row = b'{"inputs": [{"tone": "awful", "note": null}], "ids": ["c-1"]}'
    status, (answer,) = server.ask("sound", row)
    assert (status, answer["id"], answer["label"]) == (200, "c-1", "yes")


@pytest.mark.parametrize(("body", "content_type", "says"), BAD_REQUESTS)
def test_a_bad_request_is_a_400_with_the_reason(server, body, content_type, says):
    status, answer = server.ask("sound", body, content_type)
    assert status == 400
    assert says in answer["message"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_model_is_a_500_at_each_request(server, fault):
    answers = [server.ask(fault, GOOD) for _ in range(2)]
    assert [status for status, _ in answers] == [500, 500]


def test_a_fault_says_nothing_of_the_request_and_its_cause_is_in_the_log(server):
    _, answer = server.ask("neuron-error", GOOD)
    assert answer == {"error": "internal error: see the log"}
    assert server.logs(NEURON)


def test_a_machine_that_does_not_fit_is_named_to_whoever_asks(server):
    _, answer = server.ask("other-machine", GOOD)
    assert "there is no code/tpu_backend.py" in answer["error"]


def test_a_bad_request_to_a_model_that_is_not_loaded_is_a_500_too(server):
    assert server.ask("missing-tokenizer", b"{}")[0] == 500


def test_a_model_that_can_be_loaded_later_then_answers(server, artifacts):
    shutil.copyfile(
        artifacts["sound"] / "tokenizer.json", artifacts["missing-tokenizer"] / "tokenizer.json"
    )
    try:
        assert server.ask("missing-tokenizer", GOOD)[0] == 200
    finally:
        (artifacts["missing-tokenizer"] / "tokenizer.json").unlink()
