"""Loans to judge: the labels of two groups, and a fair and an unfair model's predictions."""

from tests.unit.bias.steps.bias_folders import facet_rows

FOUR_FIFTHS = {
    "metric": "DI",
    "facet": "age",
    "minimum": 0.8,
    "maximum": 1.25,
    "reason": "four fifths",
}
# Of the labels: 300 rows of old, of them 60 late, and 500 of young, of them 150 late.
FACETS = facet_rows(
    [f"L{number}" for number in range(800)],
    ["old"] * 300 + ["young"] * 500,
    ["yes"] * 60 + ["no"] * 240 + ["yes"] * 150 + ["no"] * 350,
)


def rows(*, old: tuple[int, int], young: tuple[int, int], count: int = 200) -> str:
    """CSV rows; per group how many of `count` are right positives, and how many wrong ones."""
    lines = ["label,predicted_label,age"]
    for age, (right, wrong) in (("old", old), ("young", young)):
        lines += [f"1,1,{age}"] * right + [f"0,1,{age}"] * wrong
        lines += [f"1,0,{age}"] * 10 + [f"0,0,{age}"] * (count - right - wrong - 10)
    return "\n".join(lines) + "\n"


FAIR = rows(old=(80, 10), young=(85, 10))
UNFAIR = rows(old=(30, 10), young=(90, 10))
