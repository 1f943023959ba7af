"""From a raw file to a draft: which column is the key, and what the parts make of the others."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow.compute as pc

from sashiko.draft.columns import Classes, classify, column_draft, row_number_draft
from sashiko.draft.naming import is_identifier
from sashiko.draft.profile import Profile, RawTable, read_raw
from sashiko.draft.records import Draft
from sashiko.draft.split import split_draft
from sashiko.draft.targets import facet_drafts, find_column, label_draft, positives
from sashiko.draft.text import text_draft

_LONGEST_KEY = 64
_ROW_NUMBER = "row_number"


def make_draft(path: Path, *, name: str, source: str, label: str, facets: Sequence[str]) -> Draft:
    """Looks at a data file and guesses its contract and recipe.

    Args:
        path: a CSV or Parquet file.
        name: of the recipe.
        source: the file as the recipe will name it.
        label: the column to learn, by the file's name or the lake's.
        facets: the columns by which bias is judged; may be empty.

    Raises:
        InputError: if the file cannot be read or used, naming file, column and the fix.
    """
    raw = read_raw(path)
    target = find_column(raw, label, option="--label", path=path)
    learned = label_draft(target, path=path)
    positive = positives(target, learned)
    groups = [find_column(raw, facet, option="--facet", path=path) for facet in facets]
    judged = facet_drafts(groups, positive, label=learned, path=path)
    classes = classify(raw, target=target, facets=groups)
    key = _key(raw, classes, target=target)

    used = {target.name} | ({key.name} if key else set())
    free = [c for c in raw.columns if classes[c.name][0] == "none" and c.name not in used]
    dated = ("date", "timestamp")
    texts = [c for c in free if c.logical_type not in dated and not _is_reference(c, raw.rows)]
    categories = {column.name for column in (target, *groups)}
    drafts = [
        column_draft(
            column,
            rows=raw.rows,
            classified=classes[column.name],
            key=column is key,
            category=column.name in categories,
        )
        for column in raw.columns
    ]
    row_number = "" if key else _unused(_ROW_NUMBER, raw)
    if row_number:
        drafts.insert(0, row_number_draft(row_number))
    return Draft(
        name=name,
        table=name.replace("-", "_"),
        file=path.name,
        source=source,
        rows=raw.rows,
        columns=tuple(drafts),
        label=learned,
        facets=judged,
        groups=tuple(c.name for c in drafts if c.classification == "sensitive" and not judged),
        split=split_draft(free, positive),
        text=text_draft(texts, path=path),
        row_number=row_number,
        trim=raw.trim,
        stand_ins=raw.stand_ins,
    )


def _key(raw: RawTable, classes: Classes, *, target: Profile) -> Profile | None:
    """Takes a column that tells every row apart: one that is called so, or else the first one."""
    if raw.numbered:
        return None
    unique = [
        column
        for column in raw.columns
        if column is not target
        and classes[column.name][0] == "none"
        and _is_unique(column, raw.rows)
        and _is_short(column)
    ]
    named = [column for column in unique if is_identifier(column.physical_name)]
    first = [column for column in unique if column is raw.columns[0]]
    return next(iter([*named, *first]), None)


def _is_unique(column: Profile, rows: int) -> bool:
    return column.missing == 0 and column.distinct == rows


def _is_short(column: Profile) -> bool:
    """A key is a whole number or one word."""
    if column.logical_type == "integer":
        return True
    spaced = pc.any(pc.match_substring_regex(column.texts, r"\s")).as_py()
    longest = pc.max(pc.utf8_length(column.texts)).as_py()
    return bool(column.logical_type == "string" and not spaced and longest <= _LONGEST_KEY)


def _is_reference(column: Profile, rows: int) -> bool:
    """A number that every row has for itself tells nothing of the next one."""
    return is_identifier(column.physical_name) and _is_unique(column, rows)


def _unused(name: str, raw: RawTable) -> str:
    taken = {column.name for column in raw.columns}
    while name in taken:
        name = f"{name}_"
    return name
