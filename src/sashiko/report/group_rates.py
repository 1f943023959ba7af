"""What each group of a facet gets from the model, counted from BiasInput's CSV."""

import csv
from dataclasses import dataclass
from pathlib import Path

from sashiko.contract.bias_config import GROUP_VARIABLE, LABEL, PREDICTED_LABEL
from sashiko.errors import InputError

_NO_FACETS = (LABEL, PREDICTED_LABEL, GROUP_VARIABLE)


@dataclass(frozen=True)
class GroupRates:
    """One group on the test split.

    Attributes:
        facet: the sensitive column.
        group: its value.
        rows: how many.
        positives: of them, rows with the positive label.
        predicted: of them, rows predicted positive.
        found: rows that are both.
    """

    facet: str
    group: str
    rows: int
    positives: int
    predicted: int
    found: int


def read_group_rates(path: Path) -> tuple[GroupRates, ...]:
    """Counts the rows of `data.csv` by each facet's values.

    Returns:
        The groups by facet, in the file's order, and value.

    Raises:
        InputError: if the file lacks a column or holds something but 0 and 1.
    """
    counts: dict[tuple[str, str], list[int]] = {}
    with path.open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        facets = [name for name in reader.fieldnames or () if name not in _NO_FACETS]
        try:
            for row in reader:
                label, predicted = int(row[LABEL]), int(row[PREDICTED_LABEL])
                for facet in facets:
                    cell = counts.setdefault((facet, row[facet]), [0, 0, 0, 0])
                    for at, one in enumerate((1, label, predicted, label * predicted)):
                        cell[at] += one
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path.name} is not what BiasInput writes: {error!r}") from error
    ordered = sorted(counts, key=lambda pair: (facets.index(pair[0]), pair[1]))
    return tuple(GroupRates(*pair, *counts[pair]) for pair in ordered)
