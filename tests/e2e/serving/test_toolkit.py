"""The handler in the hands of the serving image's own toolkit, under the image's Python."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.serving.faults import FAULTS
from tests.e2e.serving.tiny_artifact import build_artifact, expected_score

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv-serving" / "bin" / "python"
REQUESTS = [
    ('{"inputs": ["bad x", "good fine"]}', "application/json"),
    ('{"inputs": [{"tone": "awful", "note": null}]}', "application/json"),
    ('{"inputs": [""]}', "application/json"),
    ('{"inputs": ["a b c d e f g"]}', "application/json"),
    ('{"text": "bad"}', "application/json"),
    ("bad,x", "text/csv"),
    ('{"inputs": ["bad x"], "ids": ["c-1"]}', "application/json"),
    ('{"inputs": ["bad x"], "ids": ["c-1", "c-2"]}', "application/json"),
]


def drive(artifact: Path, requests) -> list[dict[str, str]]:
    if not PYTHON.is_file():
        pytest.fail(
            f"{PYTHON.parent.parent} is missing: run `make test`, which installs the toolkit"
        )
    done = subprocess.run(
        [PYTHON, ROOT / "tests" / "e2e" / "serving" / "drive_toolkit.py", artifact],
        input=json.dumps([{"body": body, "content_type": kind} for body, kind in requests]),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"SASHIKO_THRESHOLD": "0.9", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])["replies"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toolkit")
    build_artifact(folder)
    return folder


@pytest.fixture(scope="module")
def replies(folder):
    return drive(folder / "artifact", REQUESTS)


def test_texts_and_rows_are_scored_at_the_threshold_of_the_environment(replies) -> None:
    texts, rows = (json.loads(reply["body"]) for reply in replies[:2])
    assert {reply["content_type"] for reply in replies[:2]} == {"application/json"}
    assert [answer["label"] for answer in texts + rows] == ["no", "no", "yes"]
    assert [answer["score"] for answer in texts + rows] == pytest.approx(
        [expected_score(text) for text in ("bad", "good fine", "awful unknown")], abs=1e-6
    )


def test_the_ids_of_a_request_come_back_with_its_answers(replies) -> None:
    (answer,) = json.loads(replies[6]["body"])
    assert (answer["id"], answer["label"]) == ("c-1", "no")


@pytest.mark.parametrize(
    ("index", "says"),
    [
        (2, "inputs[0]: the text is empty"),
        (3, "inputs[0]: the text has 9 tokens, at most 8"),
        (4, 'the key "inputs"'),
        (5, "expected application/json"),
        (7, '"ids" has 2 entries: expected one for each of the 1 inputs'),
    ],
)
def test_a_bad_request_becomes_a_4xx_with_the_handlers_reason(replies, index, says) -> None:
    assert replies[index]["code"] == 400
    assert says in replies[index]["message"]


# Where Java is missing test_model_server.py is skipped: this one then stands for it.
@pytest.mark.parametrize("fault", ["broken-graph", "missing-tokenizer"])
def test_a_fault_of_the_model_becomes_a_500(folder, tmp_path, fault) -> None:
    shutil.copytree(folder / "artifact", tmp_path / "artifact")
    FAULTS[fault](tmp_path / "artifact")
    (reply,) = drive(tmp_path / "artifact", REQUESTS[:1])
    assert reply["code"] == 500
