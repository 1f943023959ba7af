"""Which status an endpoint gives, by the serving image's own model server."""

import shutil

import pytest

from tests.e2e.serving.faults import FAULTS, NEURON
from tests.e2e.serving.model_server import model_server
from tests.e2e.serving.tiny_artifact import build_artifact, expected_score

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


def test_a_sound_model_answers(server) -> None:
    status, answers = server.ask("sound", GOOD)
    assert (status, [answer["label"] for answer in answers]) == (200, ["no"])
    assert answers[0]["score"] == pytest.approx(expected_score("bad"), abs=1e-6)


@pytest.mark.parametrize(("body", "content_type", "says"), BAD_REQUESTS)
def test_a_bad_request_is_a_400_with_the_reason(server, body, content_type, says) -> None:
    status, answer = server.ask("sound", body, content_type)
    assert status == 400
    assert says in answer["message"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_model_is_a_500_at_each_request(server, fault) -> None:
    answers = [server.ask(fault, GOOD) for _ in range(2)]
    assert [status for status, _ in answers] == [500, 500]


def test_a_fault_says_nothing_of_the_request_and_its_cause_is_in_the_log(server) -> None:
    _, answer = server.ask("neuron-error", GOOD)
    assert answer == {"error": "internal error: see the log"}
    assert server.logs(NEURON)


def test_a_machine_that_does_not_fit_is_named_to_whoever_asks(server) -> None:
    _, answer = server.ask("other-machine", GOOD)
    assert "there is no code/tpu_backend.py" in answer["error"]


def test_a_bad_request_to_a_model_that_is_not_loaded_is_a_500_too(server) -> None:
    assert server.ask("missing-tokenizer", b"{}")[0] == 500


def test_a_model_that_can_be_loaded_later_then_answers(server, artifacts) -> None:
    shutil.copyfile(
        artifacts["sound"] / "tokenizer.json", artifacts["missing-tokenizer"] / "tokenizer.json"
    )
    try:
        assert server.ask("missing-tokenizer", GOOD)[0] == 200
    finally:
        (artifacts["missing-tokenizer"] / "tokenizer.json").unlink()
