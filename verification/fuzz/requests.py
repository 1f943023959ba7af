"""Requests that somebody made up: what may come of one, and where to begin.

An input is the `Content-Type` header, a newline, the `Accept` header, a newline, and the body.
"""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sashiko.serving.container

# The files import each other as they do in the image: as siblings.
sys.path.append(str(Path(sashiko.serving.container.__file__).parent))
import payload

NAME = "requests"
LONGEST = 1 << 14  # bytes of an input
WORDS = (
    b'{"inputs": [', b'"inputs"', b'"ids": [', b'"tone"', b'"note"', b"null", b"true", b"NaN",
    b"-Infinity", b"1e999", b"-0.0", b"1" * 40, b"\\ud800", b"\\u0000", b"\\udc00\\ud800",
    b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"[[[[[[[[[[[[[[[[", b"]}", b"}, {", b'", "',
    b"application/json", b"*/*", b"; charset=utf-16", b", ", b"q=0",
)  # fmt: skip
_ODD = (
    None, True, 0, -1, 10**30, 1e308, 0.1, 40.0, float("nan"), float("-inf"), "", " ", "a", "\0",
    "\ud800", "\u202e", "{tone}", "x" * 300, [], {}, [None], {"tone": 1}, {"tone": "a", "note": 1},
)  # fmt: skip
_KEYS = ("tone", "note", "", "\ud800", "x" * 300, "inputs", "ids")
_BY_BYTES = 0.5
_AT_THIS_LEVEL = 0.1
_TEMPLATE = "tone: {tone} note: {note}"
_MISSING = "unknown"
_LONGEST_MESSAGE = 1000


def check(data: bytes, _: Path | None = None) -> None:
    """Answers a request twice, and asserts the invariants.

    Raises:
        AssertionError: something else came of it. Any other error is a finding as well.
    """
    content_type, _, body_part = data.partition(b"\n")
    accept, _, body = body_part.partition(b"\n")
    # HTTP's headers are Latin-1 to a server.
    headers = content_type.decode("latin-1"), accept.decode("latin-1") or None
    answer = _answer(body, *headers)
    assert answer == _answer(body, *headers)
    if isinstance(answer, str):
        assert 0 < len(answer) < _LONGEST_MESSAGE
    assert json.loads(json.dumps({"message": answer}, ensure_ascii=False).encode()) == {
        "message": answer
    }


def _answer(body: bytes, content_type: str, accept: str | None) -> str | list[str]:
    """The texts that the model would read, or why there are none."""
    try:
        request = payload.parse_request(body, content_type)
        inputs, ids = request.inputs, request.ids
        texts = payload.as_texts(inputs, template=_TEMPLATE, missing=_MISSING)
        predictions = [{"label": "yes", "score": 0.5}] * len(texts)
        answer = payload.format_response(predictions, accept, ids=ids)
    except payload.BadRequestError as error:
        assert error.position is None or 0 <= error.position < payload.MAX_ROWS
        assert error.reason in str(error)
        return str(error)
    assert 1 <= len(inputs) == len(texts) <= payload.MAX_ROWS
    assert {type(item) for item in inputs} in ({str}, {dict})
    assert all(text.strip() for text in texts)
    answers = json.loads(answer)
    if ids is not None:
        assert len(set(ids)) == len(inputs)
        assert [item.pop("id") for item in answers] == ids
    assert answers == [{"label": "yes", "score": 0.5}] * len(texts)
    for item, text in zip(inputs, texts, strict=True):
        if isinstance(item, str):
            assert text == item
        else:
            assert text.startswith("tone: ")
            assert set(item) == {"tone", "note"}
    return texts


def seeds() -> dict[str, bytes]:
    """Requests of each kind that is answered, and of each that is refused."""
    rows = [{"tone": "bad", "note": 1.5}, {"tone": None, "note": True}]
    bodies = {
        "texts": json.dumps({"inputs": ["bad x", "fine"]}).encode(),
        "rows": json.dumps({"inputs": rows}).encode(),
        "ids": json.dumps({"inputs": ["bad x", "fine"], "ids": ["a-1", "\u65e5"]}).encode(),
        "ids of rows": json.dumps({"inputs": rows, "ids": ["1", "2"]}).encode(),
        "same ids": json.dumps({"inputs": rows, "ids": ["1", "1"]}).encode(),
        "few ids": json.dumps({"inputs": rows, "ids": ["1"]}).encode(),
        "half an id": b'{"inputs": ["a"], "ids": ["\\ud800"]}',
        "numbers": b'{"inputs": [{"tone": NaN, "note": -Infinity}, {"tone": 1e308, "note": 40.0}]}',
        "letters": '{"inputs": ["\\ud83d\\ude00 \\u202e", "日本語"]}'.encode(),
        "half": b'{"inputs": ["\\ud800"]}',
        "empty": b'{"inputs": [" "]}',
        "mixed": b'{"inputs": ["a", {"tone": 1}]}',
        "nested": b'{"inputs": [{"tone": [1], "note": {}}]}',
        "deep": b'{"inputs": ' + b"[" * 2000,
        "twice": b'{"inputs": ["a"], "inputs": ["b"]}',
        "unknown": b'{"inputs": [{"tone": 1, "note": 2, "\\ud800": 3}]}',
        "utf-16": json.dumps({"inputs": ["a"]}).encode("utf-16"),
        "utf-32": json.dumps({"inputs": ["a"]}).encode("utf-32-le"),
        "marked": b'\xef\xbb\xbf{"inputs": ["a"]}',
        "many": json.dumps({"inputs": ["a"] * (payload.MAX_ROWS + 1)}).encode(),
        "digits": b'{"inputs": [{"tone": ' + b"9" * 5000 + b', "note": 1}]}',
    }
    inputs = {name: b"application/json\n*/*\n" + body for name, body in bodies.items()}
    inputs["charset"] = b"Application/JSON; charset=utf-8\n\n" + bodies["texts"]
    inputs["other type"] = b"text/csv\n*/*\nbad"
    inputs["other answer"] = b"application/json\ntext/csv;q=0.5, image/*\n" + bodies["texts"]
    return inputs


def mutate(data: bytes, *, change: Callable[[bytes], bytes], seed: int) -> bytes:
    """Changes a request by bytes, or its JSON by one value."""
    chance = random.Random(seed)  # noqa: S311 - it is no secret
    head, _, body = data.rpartition(b"\n")
    if chance.random() < _BY_BYTES:
        return change(data)
    try:
        value = _mutate_value(json.loads(body), chance)
    except (ValueError, RecursionError):
        return change(data)
    letters = json.dumps(value, ensure_ascii=chance.random() < _BY_BYTES)
    return head + b"\n" + letters.encode(errors="surrogatepass")


def _mutate_value(value: Any, chance: random.Random) -> Any:
    """The value with one within it replaced, removed or repeated."""
    if not isinstance(value, list | dict) or not value or chance.random() < _AT_THIS_LEVEL:
        return chance.choice(_ODD)
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    position = chance.randrange(len(items))
    key, child = items[position]
    way = chance.randrange(8)
    if way == 0:
        del items[position]
    elif way == 1:
        items.append((chance.choice(_KEYS), child))
    else:
        items[position] = (key, _mutate_value(child, chance))
    return dict(items) if isinstance(value, dict) else [item for _, item in items]
