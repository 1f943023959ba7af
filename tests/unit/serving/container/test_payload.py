import json

import payload
import pytest


def parse(value, content_type="application/json"):
    return payload.parse_request(json.dumps(value), content_type)


def test_texts_and_rows_are_taken():
    assert parse({"inputs": ["a", "b"]}) == payload.Request(["a", "b"])
    rows = parse({"inputs": [{"tone": "bad"}]}, "Application/JSON; charset=utf-8")
    assert rows.inputs == [{"tone": "bad"}]


def test_a_request_may_name_its_inputs():
    assert parse({"ids": ["7", "x" * 256], "inputs": ["a", "b"]}).ids == ["7", "x" * 256]


def test_a_request_may_name_the_client_whose_rows_it_has():
    assert parse({"inputs": ["a"], "ids": ["7"], "client": "branch 12"}).ids == ["7"]
    for client in (12, "", None, ["a"], "x" * 257):
        with pytest.raises(payload.BadRequestError, match='"client" must be a text'):
            parse({"inputs": ["a"], "client": client})


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ("7", r'"ids" is not a list: expected one for each of the 2 inputs'),
        (None, r'"ids" is not a list'),
        ([], r'"ids" has 0 entries: expected one for each of the 2 inputs'),
        (["7"] * 3, r'"ids" has 3 entries'),
        (["7", 8], r"ids\[1\] must be a text of 1 to 256 letters"),
        (["7", ""], r"ids\[1\] must be"),
        (["x" * 257, "7"], r"ids\[0\] must be"),
        (["7", "\ud800"], r"ids\[1\] holds half of a UTF-16 surrogate pair"),
        (["7", "7"], r"ids\[1\] is the same as ids\[0\]"),
    ],
)
def test_ids_that_do_not_name_each_input_once_are_refused(ids, says):
    with pytest.raises(payload.BadRequestError, match=says):
        parse({"inputs": ["a", "b"], "ids": ids})


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (["a"], '"inputs"'),
        ({"text": "a"}, '"inputs"'),
        ({"inputs": ["a"], "parameters": {}}, '"inputs"'),
        ({"ids": ["a"]}, '"inputs"'),
        ({"inputs": "a"}, "must be a list"),
        ({"inputs": []}, "at least one"),
        ({"inputs": ["a", {"tone": "b"}]}, "all texts, or all objects"),
        ({"inputs": [1]}, "all texts, or all objects"),
        ({"inputs": ["a"] * (payload.MAX_ROWS + 1)}, "at most 1000"),
    ],
)
def test_another_shape_is_refused_with_the_reason(value, says):
    with pytest.raises(payload.BadRequestError, match=says):
        parse(value)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", "[" * 100_000])
def test_what_is_not_json_is_refused(body):
    with pytest.raises(payload.BadRequestError):
        payload.parse_request(body, "application/json")


@pytest.mark.parametrize("content_type", ["text/csv", "", None])
def test_another_content_type_is_refused(content_type):
    with pytest.raises(payload.BadRequestError, match="expected application/json"):
        payload.parse_request('{"inputs": ["a"]}', content_type)


def test_a_row_goes_through_the_template_and_a_text_does_not():
    texts = payload.as_texts([{"a": None, "b": 2.0}], template="{a}: {b}", missing="unknown")
    assert texts == ["unknown: 2"]
    assert payload.as_texts(["{a}"], template="{a}: {b}", missing="unknown") == ["{a}"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"a": 1}, "column `b` is missing"),
        ({"a": 1, "b": 2, "gender": "x"}, "unknown column `gender`; allowed: a, b"),
        ({"a": [1], "b": 2}, "column `a` must be"),
        ({"a": " ", "b": ""}, "empty"),
        (" \n", "empty"),
        ("\ud800", "surrogate"),
    ],
)
def test_a_bad_input_is_named_by_its_position(row, says):
    good = {"a": 1, "b": 2} if isinstance(row, dict) else "fine"
    with pytest.raises(payload.BadRequestError, match=says) as caught:
        payload.as_texts([good, row], template="{a}{b}", missing="")
    assert caught.value.position == 1
    assert str(caught.value).startswith("inputs[1]: ")


def test_the_response_keeps_order_and_every_digit():
    score = 0.1234567890123456
    made = [payload.Prediction("yes", score), payload.Prediction("no", 0.0)]
    answer = payload.format_response(made, "text/html, */*;q=0.1")
    assert answer == (
        '[{"label": "yes", "score": 0.1234567890123456}, {"label": "no", "score": 0.0}]'
    )


def test_the_response_repeats_each_id_before_its_prediction():
    made = [payload.Prediction("yes", 0.5), payload.Prediction("no", 0.0)]
    answer = payload.format_response(made, None, ids=["b", "a"])
    assert answer == (
        '[{"id": "b", "label": "yes", "score": 0.5}, {"id": "a", "label": "no", "score": 0.0}]'
    )


def test_a_caller_that_takes_no_json_is_refused():
    with pytest.raises(payload.BadRequestError, match="only application/json"):
        payload.format_response([], "text/csv")
