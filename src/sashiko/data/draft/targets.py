"""What is learned and by what bias is judged: the label and the facets that a person named."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from sashiko.data.draft.profile import Profile, RawTable
from sashiko.data.draft.records import FacetDraft, LabelDraft
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Bools

_MOST_GROUPS = 50  # what the bias steps take for a category
_SHOWN = 5
_SMALLEST_SHARE = 0.02  # of the rows: the rate of fewer says little


def find_column(raw: RawTable, name: str, *, option: str, path: Path) -> Profile:
    """Finds a column by the file's name for it or by the lake's.

    Raises:
        InputError: if there is none, with the file's columns.
    """
    for column in raw.columns:
        if name in (column.physical_name, column.name):
            return column
    known = ", ".join(f"`{column.physical_name}`" for column in raw.columns)
    raise InputError(f"{path}: there is no column `{name}` for {option}; the file has {known}")


def label_draft(column: Profile, *, path: Path) -> LabelDraft:
    """Takes the rarer of the two values for the positive one.

    Raises:
        InputError: if the column has gaps, or not exactly two values.
    """
    _refuse_gaps(column, path=path, role="label", fix="leave rows without a label out of the file")
    counts = _counts(column)
    if len(counts) != 2:
        raise InputError(
            f"{path}: label column `{column.physical_name}` has {_listed(counts)}; a label has "
            "exactly two: make a column that says yes or no"
        )
    positive, negative = sorted(counts, key=lambda value: (counts[value], value))
    share = 100 * counts[positive] / len(column.texts)
    why = f"the rarer value is taken for the positive one, {share:.1f} % of the rows"
    return LabelDraft(column=column.name, positive=positive, negative=negative, why=why)


def positives(column: Profile, label: LabelDraft) -> Bools:
    """Says of each row whether it has the positive label, shape (rows,)."""
    return np.asarray(pc.equal(column.texts, label.positive), dtype=np.bool_)


def facet_drafts(
    columns: Sequence[Profile], positive: Bools, *, label: LabelDraft, path: Path
) -> tuple[FacetDraft, ...]:
    """Takes the group of which the smallest share is positive for the one that bias may harm.

    Args:
        columns: the facets.
        positive: per row whether it has the positive label.
        label: the label, which is no facet.
        path: the file, for errors.

    Raises:
        InputError: if a facet is named twice, is the label, has gaps, or one value or too many.
    """
    names = [column.name for column in columns]
    for column in columns:
        if column.name == label.column:
            raise InputError(f"--facet: `{column.physical_name}` is the label; name other columns")
        if names.count(column.name) > 1:
            raise InputError(f"--facet: `{column.physical_name}` is named twice; name it once")
    return tuple(_facet(column, positive, path=path) for column in columns)


def _facet(column: Profile, positive: Bools, *, path: Path) -> FacetDraft:
    fix = "give rows of unknown group a value of their own, such as `unknown`"
    _refuse_gaps(column, path=path, role="facet", fix=fix)
    counts = _counts(column)
    if not 2 <= len(counts) <= _MOST_GROUPS:
        raise InputError(
            f"{path}: facet column `{column.physical_name}` has {len(counts):,} different values; "
            f"bias is judged for 2 to {_MOST_GROUPS} groups: put values into bands, such as 18-29"
        )
    enough = _SMALLEST_SHARE * len(column.texts)
    judged = [value for value, rows in counts.items() if rows >= enough]
    rates = {
        value: float(positive[np.asarray(pc.equal(column.texts, value))].mean()) for value in judged
    }
    harmed = min(rates, key=lambda value: (rates[value], value))
    why = f"of its rows {100 * rates[harmed]:.1f} % are positive, the smallest share of all groups"
    return FacetDraft(column=column.name, disadvantaged=harmed, why=why)


def _refuse_gaps(column: Profile, *, path: Path, role: str, fix: str) -> None:
    gaps = column.texts.null_count
    if gaps:
        raise InputError(
            f"{path}: {role} column `{column.physical_name}` has no value in {gaps:,} of "
            f"{len(column.texts):,} rows; {fix}"
        )


def _counts(column: Profile) -> dict[str, int]:
    found = pc.value_counts(column.texts).to_pylist()
    return {item["values"]: item["counts"] for item in found}


def _listed(counts: dict[str, int]) -> str:
    shown = ", ".join(repr(value) for value in sorted(counts)[:_SHOWN])
    more = ", ..." if len(counts) > _SHOWN else ""
    return f"{len(counts):,} value{'s' if len(counts) > 1 else ''} ({shown}{more})"
