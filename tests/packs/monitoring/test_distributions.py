import numpy as np
import pytest

from sashiko.evaluation.reference import ColumnCounts
from sashiko_packs.monitoring.steps.drift import cell_names, make_distribution


def _ordered(kind: str, *edges: float) -> ColumnCounts:
    return ColumnCounts(column="c", kind=kind, edges=edges, counts=(0,) * (len(edges) + 3))


def test_counts_below_ten_are_hidden_with_another_on_both_sides() -> None:
    counts = ColumnCounts(
        column="product", kind="category", values=("Card", "Loan"), counts=(10, 0, 9, 1)
    )
    distribution = make_distribution(counts, np.array([1, 11, 0, 10]))
    assert distribution.name == "product"
    assert distribution.cells == ("Card", "Loan", "other", "none")
    assert distribution.reference == (10, 0, None, None)
    assert distribution.window == (None, 11, 0, None)


@pytest.mark.parametrize(
    ("counts", "names"),
    [
        (_ordered("number", 12, 20.5), ("up to 12", "12 to 20.5", "above 20.5")),
        (_ordered("number", -1, 0, 1234567), ("up to -1", "-1 to 0", "0 to 1,234,567",
                                              "above 1,234,567")),
        (_ordered("number", 0.123456, 0.5), ("up to 0.123", "0.123 to 0.5", "above 0.5")),
        (_ordered("number", 0.99991, 0.99993), ("up to 0.99991", "0.99991 to 0.99993",
                                                "above 0.99993")),
        (_ordered("number", 12345.6, 2e300), ("up to 12300", "12300 to 2" + "0" * 300,
                                              "above 2" + "0" * 300)),
        (_ordered("text", 12, 20), ("up to 12 letters", "12 to 20 letters", "above 20 letters")),
        (_ordered("text"), ("all letters",)),
        (_ordered("number"), ("all",)),
    ],
    ids=["mixed", "whole", "digits", "close", "large", "text", "one text bin", "one bin"],
)  # fmt: skip
def test_ranges_are_read_by_people(counts, names) -> None:
    assert cell_names(counts) == (*names, "other", "none")


def test_a_value_that_is_called_other_or_none_is_distinguished_from_the_rest() -> None:
    values = ("none", "other")
    counts = ColumnCounts(column="c", kind="category", values=values, counts=(0,) * 4)
    assert cell_names(counts) == ("none", "other", "all other values", "no value")
