"""From a raw file to a draft: what the parts make of its columns, put together."""

from collections.abc import Sequence
from pathlib import Path

from sashiko.data.draft.columns import Classes, classify, column_draft, row_number_draft
from sashiko.data.draft.csv_format import Stated
from sashiko.data.draft.keys import find_key, is_reference, key_like, repeated_rows
from sashiko.data.draft.notes import notes
from sashiko.data.draft.profile import Profile, RawTable, read_raw
from sashiko.data.draft.records import Draft, Repeats
from sashiko.data.draft.split import split_draft
from sashiko.data.draft.targets import facet_drafts, find_column, label_draft, positives
from sashiko.data.draft.text import text_draft

_ROW_NUMBER = "row_number"
_NOTHING_STATED = Stated()


def make_draft(
    path: Path,
    *,
    name: str,
    source: str,
    label: str,
    facets: Sequence[str],
    stated: Stated = _NOTHING_STATED,
) -> Draft:
    """Looks at a data file and guesses its contract and recipe.

    Args:
        path: a CSV or Parquet file.
        name: of the recipe.
        source: the file as the recipe will name it.
        label: the column to learn, by the file's name or the lake's.
        facets: the columns by which bias is judged; may be empty.
        stated: how the file is written, where a person says so.

    Raises:
        InputError: if the file cannot be read or used, naming file, column and the fix.
    """
    raw = read_raw(path, stated)
    target = find_column(raw, label, option="--label", path=path)
    learned = label_draft(target, path=path)
    positive = positives(target, learned)
    groups = [find_column(raw, facet, option="--facet", path=path) for facet in facets]
    judged = facet_drafts(groups, positive, label=learned, path=path)
    classes = classify(raw, target=target, facets=groups)
    key = find_key(raw, classes, target=target)
    if key is not None:
        why = "all who read rows read their key; where it names a person, take another one"
        classes[key.name] = ("none", why)
    kept = [column for column in (target, *groups, key) if column is not None]
    keys = _set_keys_apart(raw, classes, kept=kept)

    used = {target.name} | ({key.name} if key else set())
    free = [c for c in raw.columns if classes[c.name][0] == "none" and c.name not in used]
    dated = ("date", "timestamp")
    texts = [c for c in free if c.logical_type not in dated and not is_reference(c, raw.rows)]
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
    split = split_draft(free, positive, raw=raw)
    repeats = _repeats(raw, [*keys, *([key] if key else [])])
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
        split=split,
        text=text_draft(texts, path=path),
        row_number=row_number,
        trim=raw.trim,
        stand_ins=raw.stand_ins,
        csv=raw.csv,
        marks=raw.marks,
        repeats=repeats,
        notes=notes(raw, repeats=repeats, keys=keys, split=split),
    )


def _set_keys_apart(
    raw: RawTable, classes: Classes, *, kept: Sequence[Profile]
) -> tuple[Profile, ...]:
    """Classes what finds rows or persons again as personal, but for `kept`; returns all of it."""
    keys = []
    for column in raw.columns:
        why = key_like(column, raw.rows)
        if not why or column in kept:
            continue
        keys.append(column)
        if classes[column.name][0] == "none":
            classes[column.name] = ("pii", why)
    return tuple(keys)


def _repeats(raw: RawTable, keys: Sequence[Profile]) -> Repeats:
    """Finds the rows that repeat an earlier one, in every column or in all but the keys."""
    exact = repeated_rows(raw.columns)
    return exact if exact.rows or not keys else repeated_rows(raw.columns, without=keys)


def _unused(name: str, raw: RawTable) -> str:
    taken = {column.name for column in raw.columns}
    while name in taken:
        name = f"{name}_"
    return name
