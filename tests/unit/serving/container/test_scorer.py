import datetime as dt
import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import backend
import bundle
import eager_backend
import inference
import numpy as np
import payload
import pytest
import scorer
from hypothesis import given
from hypothesis import strategies as st

from sashiko.serving.container import text
from tests.e2e.serving.tiny_artifact import (
    NUMBER,
    build_artifact,
    expected_score,
    expected_scores,
)

BUCKETS = tuple(
    bundle.Bucket(batch=batch, length=length, graph="") for length in (4, 8) for batch in (1, 4)
)


@given(st.lists(st.integers(min_value=2, max_value=8), max_size=40))
def test_every_row_gets_the_shortest_bucket_that_fits_it(lengths):
    rows = []
    for bucket, positions in scorer.plan(lengths, BUCKETS):
        assert len(positions) <= bucket.batch
        shortest = [4 if lengths[position] <= 4 else 8 for position in positions]
        assert shortest == [bucket.length] * len(positions)
        rows += positions
    assert sorted(rows) == list(range(len(lengths)))


def test_a_rest_is_padded_only_below_the_smallest_batch():
    sizes = [(bucket.batch, len(rows)) for bucket, rows in scorer.plan([3] * 6, BUCKETS)]
    assert sizes == [(4, 4), (1, 1), (1, 1)]
    only = (bundle.Bucket(batch=4, length=4, graph=""),)
    assert [rows for _, rows in scorer.plan([3] * 6, only)] == [(0, 1, 2, 3), (4, 5)]


@pytest.fixture
def folder(tmp_path):
    build_artifact(tmp_path)
    return tmp_path / "artifact"


def opened(folder):
    about = bundle.read_bundle(folder)
    machine = backend.Machine(threads=1)
    return scorer.Scorer(folder, about, backend.open_backend(folder, about, machine))


def test_scores_keep_the_order_of_texts_and_one_that_fits_no_bucket_is_refused(folder):
    texts = ["good " * n + "bad" for n in (5, 0, 3, 1, 4, 2)] * 3
    scores = opened(folder).scores(texts)[:, 1]
    assert scores == pytest.approx([expected_score(text) for text in texts], abs=1e-6)

    longest = "bad " * 6
    model = opened(folder)
    assert model.scores([longest])[:, 1] == pytest.approx([expected_score(longest)], abs=1e-6)
    with pytest.raises(payload.BadRequestError, match="has 9 tokens, at most 8") as caught:
        model.scores([longest, longest + "bad"])
    assert caught.value.position == 1


def test_rows_are_padded_to_the_longest_beside_them_where_lengths_are_not_fixed(folder):
    shapes = []

    class Watched:
        def run(self, bucket, ids, mask):
            shapes.append(ids.shape)
            assert (mask == (ids != 0)).all()
            return np.stack([mask.sum(axis=1)] * 2, axis=1)

    about = replace(bundle.read_bundle(folder), fixed_lengths=False)
    texts = ["bad " * words for words in (4, 3, 1, 4, 3)]  # and two special tokens each
    scores = scorer.Scorer(folder, about, Watched()).scores(texts)
    assert scores.tolist() == [[tokens] * 2 for tokens in (6, 5, 3, 6, 5)]
    assert shapes == [(1, 3), (4, 6)]


def test_a_text_that_fits_no_bucket_is_cut_if_the_artifact_says_so(tmp_path):
    build_artifact(tmp_path, truncate=True)
    model = opened(tmp_path / "artifact")
    expected = expected_score("bad " * 6)
    assert model.scores(["bad " * 9])[:, 1] == pytest.approx([expected], abs=1e-6)
    long, short = (model.scores(["bad " * count]).tolist() for count in (300_000, 6))
    assert long == short


@given(st.lists(st.integers(0, 250_000), max_size=30))
def test_texts_reach_the_tokenizer_in_order_and_few_letters_at_a_time(lengths):
    texts = ["x" * length for length in lengths]
    several = list(scorer.slices(texts))
    assert [text for slice_ in several for text in slice_] == texts
    assert all(len(one) == 1 or sum(map(len, one)) <= scorer.MAX_LETTERS for one in several)


def test_a_text_of_a_megabyte_is_refused_before_it_is_read(folder):
    long = "x" * (scorer.MAX_LETTERS + 1)
    with pytest.raises(payload.BadRequestError, match="100,001 letters, at most 100,000") as caught:
        opened(folder).scores(["bad", long])
    assert caught.value.position == 1
    # One word, however long, is one token.
    assert opened(folder).scores([long[:-1]]).tolist() == [[0.5, 0.5]]
    assert opened(folder).scores([]).tolist() == []


def parse(value, content_type="application/json"):
    return payload.parse_request(json.dumps(value), content_type)


def test_a_request_holds_texts_or_rows_with_ids_and_a_client():
    assert parse({"inputs": ["a", "b"]}) == payload.Request(["a", "b"])
    rows = parse({"inputs": [{"tone": "bad"}]}, "Application/JSON; charset=utf-8")
    assert rows.inputs == [{"tone": "bad"}]
    assert parse({"ids": ["7", "x" * 256], "inputs": ["a", "b"]}).ids == ["7", "x" * 256]

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


def test_a_row_goes_through_the_template_whose_columns_it_has_and_a_text_does_not():
    texts = payload.as_texts([{"a": None, "b": 2.0}], template="{a}: {b}", missing="unknown")
    assert texts == ["unknown: 2"]
    assert payload.as_texts(["{a}"], template="{a}: {b}", missing="unknown") == ["{a}"]

    row = {"product": "loan", "note": "late {again}", "other": 1}
    assert text.assemble("{product}: {note} {{x}}", row, "?") == "loan: late {again} {x}"
    assert text.columns("{b} {a} {b}") == ("b", "a")
    with pytest.raises(ValueError, match="column `age` is missing"):
        text.assemble("{age}", {"Age": 3}, "unknown")


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


def test_the_response_keeps_order_ids_and_digits_and_is_json_alone():
    score = 0.1234567890123456
    made = [{"label": "yes", "score": score}, {"label": "no", "score": 0.0}]
    answer = payload.format_response(made, "text/html, */*;q=0.1")
    assert answer == (
        '[{"label": "yes", "score": 0.1234567890123456}, {"label": "no", "score": 0.0}]'
    )

    made = [{"label": "yes", "score": 0.5}, {"label": "no", "score": 0.0}]
    answer = payload.format_response(made, None, ids=["b", "a"])
    assert answer == (
        '[{"id": "b", "label": "yes", "score": 0.5}, {"id": "a", "label": "no", "score": 0.0}]'
    )
    with pytest.raises(payload.BadRequestError, match="only application/json"):
        payload.format_response([], "text/csv")


@pytest.fixture
def served_folder(folder):
    return str(folder)


def ask(model, inputs):
    body = json.dumps({"inputs": inputs})
    return json.loads(inference.transform_fn(model, body, "application/json", None))


@pytest.fixture(autouse=True)
def threshold(monkeypatch):
    monkeypatch.setenv("SASHIKO_THRESHOLD", "0.5")


def test_without_a_threshold_nothing_is_served(served_folder, monkeypatch):
    monkeypatch.delenv("SASHIKO_THRESHOLD")
    with pytest.raises(ValueError, match=r"decision\.json"):
        inference.model_fn(served_folder)


def test_a_score_at_the_threshold_is_positive_and_a_lacking_backend_refused(served_folder):
    """Two words without weight score 0.5, which is a float32 as it is."""
    (answer,) = ask(inference.model_fn(served_folder), ["neither nor"])
    assert (answer["score"], answer["label"]) == (0.5, "yes")

    path = Path(served_folder)
    bundle.write_bundle(replace(bundle.read_bundle(path), backend="tpu_backend"), path)
    with pytest.raises(inference.CannotServeError, match=r"serving.json: .*code/tpu_backend.py"):
        inference.model_fn(served_folder)


def test_of_three_classes_the_likeliest_is_given_the_first_of_equals_if_it_is_likely_enough(
    tmp_path, monkeypatch
):
    labels = ('Rückgabe, "alt"', "Zürich", "it's")
    build_artifact(tmp_path, labels=labels)
    given = ["it's", labels[0], labels[0]]
    for threshold, left_out in {"0.0": (), "0.6": (1,), "1.0": (0, 1, 2)}.items():
        monkeypatch.setenv("SASHIKO_THRESHOLD", threshold)
        answers = ask(inference.model_fn(str(tmp_path / "artifact")), ["bad", "neither", "good"])
        assert [answer["label"] for answer in answers] == [
            None if at in left_out else label for at, label in enumerate(given)
        ]
    monkeypatch.setenv("SASHIKO_THRESHOLD", repr(max(answers[0]["scores"].values())))
    (at_it,) = ask(inference.model_fn(str(tmp_path / "artifact")), ["bad"])
    assert at_it["label"] == "it's"
    for answer, tone in zip(answers, ("bad", "neither", "good"), strict=True):
        expected = dict(zip(labels, expected_scores(tone, classes=3), strict=True))
        assert answer["scores"] == pytest.approx(expected, abs=1e-6)
        assert answer.keys() == {"label", "scores"}


def test_a_number_has_a_value_in_its_unit_and_an_interval_at_any_threshold(tmp_path, monkeypatch):
    build_artifact(tmp_path, number=NUMBER)
    monkeypatch.setenv("SASHIKO_THRESHOLD", "-56.0")
    assert ask(inference.model_fn(str(tmp_path / "artifact")), ["bad", "good", "neither"]) == [
        {"value": 6.0, "interval": [1.5, 10.5]},
        {"value": 0.0, "interval": [-4.5, 4.5]},
        {"value": 3.0, "interval": [-1.5, 7.5]},
    ]


@pytest.mark.parametrize("threshold", ["1.5", "nan", "high"])
def test_a_threshold_that_is_no_probability_stops_the_start(served_folder, monkeypatch, threshold):
    monkeypatch.setenv("SASHIKO_THRESHOLD", threshold)
    with pytest.raises(ValueError):
        inference.model_fn(served_folder)


@pytest.mark.parametrize(("gpu", "device"), [(None, "cuda:0"), (3, "cuda:3")])
def test_each_worker_takes_the_gpu_that_the_model_server_gives_it(
    served_folder, monkeypatch, gpu, device
):
    opened = []
    monkeypatch.setattr(
        eager_backend,
        "EagerBackend",
        lambda folder, *, device: opened.append((folder, device)),
    )
    path = Path(served_folder)
    bundle.write_bundle(replace(bundle.read_bundle(path), backend="eager_backend"), path)
    inference.model_fn(served_folder, SimpleNamespace(system_properties={"gpu_id": gpu}))
    assert opened == [(path / "eager", device)]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "unknown"),
        (math.nan, "unknown"),
        (40, "40"),
        (40.0, "40"),
        (0.5, "0.5"),
        (True, "true"),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02T00:00:00+00:00"),
        ("", ""),
    ],
)
def test_a_value_reads_the_same_from_parquet_and_from_json(value, written):
    assert text.assemble("{a}", {"a": value}, "unknown") == written


@pytest.mark.parametrize("template", ["{a", "a}", "{}", "{a.b}", "{a[0]}", "{a!r}", "{a:>9}"])
def test_a_template_is_plain_column_names_only(template):
    with pytest.raises(ValueError):
        text.columns(template)


def test_case_white_space_and_compatibility_forms_do_not_make_a_text_new():
    assert text.normalise("  Caf\u00e9\tIS\n\uff2fpen ") == text.normalise("cafe\u0301 is open")
    assert text.normalise("open") != text.normalise("opens")
