"""Requests that somebody made up: answered, or refused with a reason that can be sent."""

import json

import inference
import payload
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.e2e.serving.tiny_artifact import build_artifact
from tests.unit.hostile import bent, bounded, nested

ROWS = {"inputs": [{"tone": "bad", "note": 1.5}, {"tone": None, "note": True}]}
TEXTS = {"inputs": ["bad x", "fine"]}
NAMED = {"inputs": ["bad x", "fine"], "ids": ["a-1", "a-2"]}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    build_artifact(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SASHIKO_THRESHOLD", "0.5")
        return inference.model_fn(str(folder / "artifact"))


def answered_or_refused(model, body, content_type="application/json", accept=None) -> None:
    """What may come of a request: an answer to each input, or one short reason; both in UTF-8."""
    try:
        answer = inference.transform_fn(model, body, content_type, accept)
    except payload.BadRequestError as error:
        assert 0 < len(str(error).encode()) < 1000
        return
    answers, request = json.loads(answer.encode()), json.loads(body)
    scores = [item["score"] for item in answers]
    assert len(scores) == len(request["inputs"])
    assert [item.get("id") for item in answers] == request.get("ids", [None] * len(scores))
    assert all(0 <= score <= 1 for score in scores)


@bounded
@given(value=bent(ROWS) | bent(TEXTS) | bent(NAMED))
@example(value={"inputs": [{"tone": 1, "note": 2, "\ud800": 3}]})  # the reason could not be sent
@example(value={"inputs": [{"x" * 1_000_000: 1}]})  # the reason was as long
@example(value={"inputs": [{"tone": "\ud800", "note": "\0"}]})
@example(value={"inputs": [{"tone": float("nan"), "note": float("inf")}]})
@example(value={"inputs": [{"tone": 10**4000, "note": -1e308}]})
@example(value={"inputs": nested(100)})
def test_a_bent_request(model, value) -> None:
    answered_or_refused(model, json.dumps(value))


@bounded
@given(body=st.binary(max_size=200))
@example(body=b"[" * 1_000_000)
@example(body=b'{"inputs":' * 100_000)
@example(body=b'{"inputs": [' + b"9" * 1_000_000 + b"]}")
@example(body=json.dumps(TEXTS).encode("utf-16"))
@example(body=b"\xef\xbb\xbf" + json.dumps(TEXTS).encode())
def test_any_bytes(model, body) -> None:
    answered_or_refused(model, body)


@settings(bounded, max_examples=100)
@given(header=st.text(max_size=50), accept=st.none() | st.text(max_size=50))
@example(header="x" * 100_000, accept=None)
@example(header="application/json", accept="\ud800" * 1000)
def test_any_header(model, header, accept) -> None:
    answered_or_refused(model, json.dumps(TEXTS), content_type=header, accept=accept)
