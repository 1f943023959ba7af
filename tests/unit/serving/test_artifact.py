import gzip
import sys
import tarfile
from types import ModuleType

import pytest

from sashiko.errors import InputError
from sashiko.serving.artifact import JSON, RequestRefusedError, open_artifact
from sashiko.serving.container.pack import pack
from tests.e2e.serving.tiny_artifact import build_artifact, expected_score
from verification.fuzz.archives import member, tar_of

OLDER = """
import json

from payload import BadRequestError, parse_request


def model_fn(model_dir, context=None):
    return 0.75


def input_fn(body, content_type):
    return parse_request(body, content_type).inputs


def predict_fn(inputs, model):
    return [{"label": "yes", "score": model} for _ in inputs]


def output_fn(predictions, accept):
    return json.dumps(predictions)
"""


def test_inputs_beyond_one_request_come_back_in_order(tmp_path):
    texts = [("bad", "good", "awful fine")[n % 3] for n in range(1003)]
    progress = []
    with open_artifact(build_artifact(tmp_path), threshold=0.5) as artifact:
        answers = artifact.predict(texts, on_progress=progress.append)
    assert [answer.score for answer in answers] == pytest.approx(
        [expected_score(text) for text in texts], abs=1e-6
    )
    assert progress == [1000, 1003]


def test_the_threshold_is_the_callers(tmp_path, monkeypatch):
    monkeypatch.setenv("SASHIKO_THRESHOLD", "0.1")
    archive = build_artifact(tmp_path)
    with (
        open_artifact(archive, threshold=0.9) as strict,
        open_artifact(archive, threshold=0.5) as mild,
    ):
        assert strict.predict(["bad"])[0].label == "no"
        assert mild.predict(["bad"])[0].label == "yes"


def test_a_champion_of_the_handlers_older_form_is_still_scored(tmp_path):
    build_artifact(tmp_path)
    (tmp_path / "artifact" / "code" / "inference.py").write_text(OLDER)
    pack(tmp_path / "artifact", tmp_path / "older.tar.gz")
    with open_artifact(tmp_path / "older.tar.gz", threshold=0.5) as artifact:
        (answer,) = artifact.predict(["bad"])
        assert (answer.label, answer.score) == ("yes", 0.75)
        with pytest.raises(RequestRefusedError, match="expected application/json"):
            artifact.respond(b"a", content_type="text/csv", accept=None)


def test_two_artifacts_in_one_process_use_their_own_code(tmp_path, monkeypatch):
    first = build_artifact(tmp_path / "first")
    build_artifact(tmp_path / "second")
    changed = tmp_path / "second" / "artifact"
    payload = changed / "code" / "payload.py"
    payload.write_text(payload.read_text().replace("MAX_ROWS = 1000", "MAX_ROWS = 1"))
    with tarfile.open(tmp_path / "second.tar.gz", "w:gz") as tar:
        tar.add(changed, arcname=".")
    body = b'{"inputs": ["bad", "good"]}'
    monkeypatch.setitem(sys.modules, "text", ModuleType("text"))
    monkeypatch.delitem(sys.modules, "scorer", raising=False)
    mine = sys.modules["text"]
    with (
        open_artifact(tmp_path / "second.tar.gz", threshold=0.5) as new,
        open_artifact(first, threshold=0.5) as old,
    ):
        assert '"score"' in old.respond(body, content_type=JSON, accept=None)
        with pytest.raises(RequestRefusedError, match="at most 1 are allowed"):
            new.respond(body, content_type=JSON, accept=None)
    assert sys.modules["text"] is mine
    assert "scorer" not in sys.modules


def test_a_refused_input_is_counted_over_all_requests(tmp_path):
    texts = ["bad"] * 1001 + ["bad " * 9]
    with (
        open_artifact(build_artifact(tmp_path), threshold=0.5) as artifact,
        pytest.raises(RequestRefusedError) as caught,
    ):
        artifact.predict(texts)
    assert caught.value.position == 1001
    assert "11 tokens" in caught.value.reason


def refused(path, says: str) -> None:
    with pytest.raises(InputError, match=says), open_artifact(path, threshold=0.5):
        pass


def test_what_is_no_artifact_is_refused_by_name(tmp_path):
    path = tmp_path / "model.tar.gz"
    refused(path, r"model\.tar\.gz does not exist")
    path.write_bytes(build_artifact(tmp_path / "a").read_bytes()[:5000])
    refused(path, "cannot be unpacked")
    path.write_bytes(gzip.compress(tar_of(member("model.safetensors"))))
    refused(path, r"no code/inference\.py")
