from dataclasses import replace

import backend
import bundle
import payload
import pytest
import scorer
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e.serving.tiny_artifact import build_artifact, expected_score

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


def test_a_rest_is_not_padded_where_a_smaller_batch_exists():
    sizes = [(bucket.batch, len(rows)) for bucket, rows in scorer.plan([3] * 6, BUCKETS)]
    assert sizes == [(4, 4), (1, 1), (1, 1)]


def test_a_rest_below_the_smallest_batch_is_padded():
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


def test_scores_come_back_in_the_order_of_the_texts(folder):
    texts = ["good " * n + "bad" for n in (5, 0, 3, 1, 4, 2)] * 3
    scores = opened(folder).scores(texts)
    assert scores == pytest.approx([expected_score(text) for text in texts], abs=1e-6)


def test_rows_are_padded_to_the_longest_beside_them_where_lengths_are_not_fixed(folder):
    shapes = []

    class Watched:
        def run(self, bucket, ids, mask):
            shapes.append(ids.shape)
            assert (mask == (ids != 0)).all()
            return mask.sum(axis=1)

    about = replace(bundle.read_bundle(folder), fixed_lengths=False)
    texts = ["bad " * words for words in (4, 3, 1, 4, 3)]  # and two special tokens each
    assert scorer.Scorer(folder, about, Watched()).scores(texts) == [6, 5, 3, 6, 5]
    assert shapes == [(1, 3), (4, 6)]


def test_a_text_that_fits_no_bucket_is_refused(folder):
    longest = "bad " * 6
    model = opened(folder)
    assert model.scores([longest]) == pytest.approx([expected_score(longest)], abs=1e-6)
    with pytest.raises(payload.BadRequestError, match="has 9 tokens, at most 8") as caught:
        model.scores([longest, longest + "bad"])
    assert caught.value.position == 1


def test_a_text_that_fits_no_bucket_is_cut_if_the_artifact_says_so(tmp_path):
    build_artifact(tmp_path, truncate=True)
    folder = tmp_path / "artifact"
    model = opened(folder)
    assert model.scores(["bad " * 9]) == pytest.approx([expected_score("bad " * 6)], abs=1e-6)


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
    assert opened(folder).scores([long[:-1]]) == pytest.approx([0.5])
    assert opened(folder).scores([]) == []


def test_where_texts_are_cut_a_megabyte_is_cut_too(tmp_path):
    build_artifact(tmp_path, truncate=True)
    model = opened(tmp_path / "artifact")
    assert model.scores(["bad " * 300_000]) == model.scores(["bad " * 6])
