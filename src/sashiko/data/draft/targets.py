"""Drafts the label and the facets from the columns that the user names."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.data.draft.profile import Profile, RawTable
from sashiko.data.draft.records import FacetDraft, LabelDraft
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Bools

_MOST_GROUPS = 50  # the bias steps' limit for a category
_SHOWN = 5
_SMALLEST_SHARE = 0.02  # of the rows: a smaller group's rate says little


def find_column(raw: RawTable, name: str, *, option: str, path: Path) -> Profile:
    """Returns a column by its name in the file or in the lake.

    Raises:
        InputError: if there is none, with the file's columns.
    """
    for column in raw.columns:
        if name in (column.physical_name, column.name):
            return column
    known = ", ".join(f"`{column.physical_name}`" for column in raw.columns)
    raise InputError(f"{path}: there is no column `{name}` for {option}; the file has {known}")


def label_draft(column: Profile, *, path: Path) -> LabelDraft:
    """Returns the label, whose rarer value is the positive one.

    Raises:
        InputError: if the column has gaps, or not exactly two values.
    """
    _refuse_gaps(column, path=path, role="label", fix="leave rows without a label out of the file")
    counts = {item["values"]: item["counts"] for item in pc.value_counts(column.texts).to_pylist()}
    if len(counts) != 2:
        values = ", ".join(repr(value) for value in sorted(counts)[:_SHOWN])
        more = ", ..." if len(counts) > _SHOWN else ""
        raise InputError(
            f"{path}: label column `{column.physical_name}` has {len(counts):,} "
            f"value{'s' if len(counts) > 1 else ''} ({values}{more}); a label has exactly two: "
            "make a column that says yes or no"
        )
    positive, negative = sorted(counts, key=lambda value: (counts[value], value))
    share = 100 * counts[positive] / len(column.texts)
    why = (
        f"the rarer value is taken for the positive one, {share:.1f} % of the rows; is it the one "
        "that is good for a person? Bias is counted as if it were: if not, exchange the two"
    )
    return LabelDraft(column=column.name, positive=positive, negative=negative, why=why)


def facet_drafts(
    columns: Sequence[Profile], positive: Bools, *, label: LabelDraft, path: Path
) -> tuple[FacetDraft, ...]:
    """Returns the facets, whose group with the smallest share of positives is disadvantaged.

    `positive` says per row whether it has the positive label, shape (rows,).

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
    table = pa.table({"group": column.texts, "positive": positive})
    aggregates = [("positive", "mean"), ("positive", "count")]
    groups = table.group_by("group").aggregate(aggregates).to_pylist()
    if not 2 <= len(groups) <= _MOST_GROUPS:
        raise InputError(
            f"{path}: facet column `{column.physical_name}` has {len(groups):,} different values; "
            f"bias is judged for 2 to {_MOST_GROUPS} groups: put values into bands, such as 18-29"
        )
    rate, group = min(
        (group["positive_mean"], group["group"])
        for group in groups
        if group["positive_count"] >= _SMALLEST_SHARE * len(positive)
    )
    why = (
        f"of its rows {100 * rate:.1f} % are positive, the smallest share of all groups; if the "
        "positive value is bad for a person, this is the group that is better off"
    )
    return FacetDraft(column=column.name, disadvantaged=group, why=why)


def _refuse_gaps(column: Profile, *, path: Path, role: str, fix: str) -> None:
    gaps = column.texts.null_count
    if gaps:
        raise InputError(
            f"{path}: {role} column `{column.physical_name}` has no value in {gaps:,} of "
            f"{len(column.texts):,} rows; {fix}"
        )
