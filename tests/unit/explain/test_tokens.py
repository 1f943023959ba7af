"""Each token knows its column, whatever characters stand before it."""

import pytest

from sashiko.errors import InputError
from sashiko.explain.explanation_record import TEMPLATE
from sashiko.explain.tokens import read_tokens
from sashiko.serving.container.text import assemble, text_pieces
from tests.unit.explain.planted import make_tokenizer

TOKENIZER = make_tokenizer()


def rows_of(*pieces, length=64, truncate=True):
    return read_tokens(pieces, TOKENIZER, max_length=length, truncate=truncate)


def columns_of(row):
    """The text of each token and its column."""
    return [
        (row.text[row.starts[index] : row.ends[index]], row.column(int(row.pieces_of[index])))
        for index in row.content
    ]


def test_pieces_make_the_text_that_the_model_reads() -> None:
    values = {"title": "card", "note": None}
    pieces = tuple(text_pieces("{title} - {note}{{x}}", values, "unknown"))
    assert pieces == (("title", "card"), (None, " - "), ("note", "unknown"), (None, "{"),
                      (None, "x}"))  # fmt: skip
    assert "".join(text for _, text in pieces) == assemble("{title} - {note}{{x}}", values,
                                                           "unknown")  # fmt: skip


@pytest.mark.parametrize(
    "title", ["card", "cafés", "CAFÉ", "👩‍👩‍👧 card", "e\u0301 Ⅷ", "", "日本", "ﬁ"]
)
def test_what_stands_before_moves_no_token_to_another_column(title) -> None:
    [row] = rows_of(((None, "about "), ("title", title), (None, ": "), ("note", "the bankrupt")))
    columns = columns_of(row)
    assert [part for part in columns if part[1] == "note"] == [
        ("the", "note"), ("bank", "note"), ("rupt", "note")
    ]  # fmt: skip
    assert [part for part in columns if part[1] == TEMPLATE] == [
        ("about", TEMPLATE),
        (":", TEMPLATE),
    ]
    title_text = "".join(text for text, column in columns if column == "title")
    assert bool(title_text) == bool(title)
    assert set(title_text) <= set(title)


def test_a_token_over_two_columns_belongs_to_the_one_with_more_of_it() -> None:
    [row] = rows_of((("title", "ban"), ("note", "k")))
    assert columns_of(row) == [("bank", "title")]


def test_special_tokens_belong_to_no_column() -> None:
    [row] = rows_of((("note", "the desk"),))
    assert row.pieces_of.tolist() == [-1, 0, 0, -1]


def test_what_is_cut_off_is_counted_by_column() -> None:
    long = ((None, "about "), ("title", "card"), (None, ": "), ("note", "the desk was very"))
    whole, part, removed, empty = rows_of(
        ((None, "about "), ("title", "card"), (None, ": "), ("note", "")),
        long,
        (("title", "the desk was my letter"), (None, ": "), ("note", "desk")),
        (("title", "the desk was my letter"), ("note", "")),
        length=6,
    )
    assert whole.cut == ()
    assert part.cut == ("note",)
    assert len(part.ids) == 6
    assert removed.cut == ("title", TEMPLATE, "note")
    assert empty.cut == ("title",)


def test_a_long_row_is_refused_where_the_recipe_does_not_cut() -> None:
    with pytest.raises(InputError, match="9 tokens, more than the 6 of the longest"):
        rows_of((("note", "the desk was my letter and desk"),), length=6, truncate=False)
