"""Drafts contract and recipe from a raw file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from sashiko.contract.leaks import LEAK
from sashiko.data.draft.columns import classify, column_draft, row_number_draft
from sashiko.data.draft.csv_format import FormatOptions
from sashiko.data.draft.keys import find_key, key_like, repeated_rows
from sashiko.data.draft.leaks import describe_suspicion, suspicious_columns
from sashiko.data.draft.naming import IDENTIFIER, name_matches
from sashiko.data.draft.notes import notes
from sashiko.data.draft.profile import read_raw
from sashiko.data.draft.records import Draft
from sashiko.data.draft.split import split_draft
from sashiko.data.draft.targets import facet_drafts, find_column, label_draft
from sashiko.data.draft.text import text_draft


def make_draft(
    path: Path,
    *,
    name: str,
    source: str,
    label: str,
    facets: Sequence[str],
    options: FormatOptions,
) -> Draft:
    """Guesses the contract and the recipe of a data file.

    Args:
        path: a CSV or Parquet file.
        name: of the recipe.
        source: the file as the recipe will name it.
        label: the column to learn, by its name in the file or in the lake.
        facets: the columns by which bias is judged; may be empty.
        options: the user's, on the format of the file.

    Raises:
        InputError: if the file cannot be read or used, naming file, column and the fix.
    """
    raw = read_raw(path, options)
    target = find_column(raw, label, option="--label", path=path)
    label_ = label_draft(target, path=path)
    positive = np.asarray(pc.equal(target.texts, label_.positive))
    groups = [find_column(raw, facet, option="--facet", path=path) for facet in facets]
    facets_ = facet_drafts(groups, positive, label=label_, path=path)
    classes = classify(raw, target=target, facets=groups)
    key = find_key(raw, classes, target=target)
    if key is not None:
        why = "every role reads the key of its rows; if it names a person, take another one"
        classes[key.name] = ("none", why)
    others = [column for column in raw.columns if column not in (target, *groups, key)]
    keys = [column for column in others if key_like(column)]
    for column in keys:
        if classes[column.name][0] == "none":
            classes[column.name] = ("pii", key_like(column))
    free = [
        column
        for column in raw.columns
        if classes[column.name][0] == "none" and column not in (target, key)
    ]
    aucs = suspicious_columns(free, positive)
    for column in free:
        if column.name in aucs:
            why = describe_suspicion(column, aucs[column.name], positive)
            classes[column.name] = ("none", why)
    usable = [column for column in free if aucs.get(column.name, 0) <= LEAK]
    leaks = [column for column in free if column not in usable]
    drafts = [
        column_draft(
            column,
            classification=classes[column.name],
            key=column is key,
            category=column in (target, *groups),
        )
        for column in raw.columns
    ]
    row_number = ""
    if key is None:
        row_number = "row_number"
        while row_number in classes:
            row_number += "_"
        drafts.insert(0, row_number_draft(row_number))
    split = split_draft(usable, positive, raw=raw)
    repeats = repeated_rows(raw.columns)
    if not repeats.rows:
        repeats = repeated_rows(raw.columns, without=[*keys, *([key] if key else [])])
    # A number of its own for each row says nothing about the next one.
    texts = [
        column
        for column in usable
        if not column.is_date
        and not (column.is_unique and name_matches(IDENTIFIER, column.physical_name))
    ]
    return Draft(
        name=name,
        table=name.replace("-", "_"),
        file=path.name,
        source=source,
        rows=len(positive),
        columns=tuple(drafts),
        label=label_,
        facets=facets_,
        groups=tuple(c.name for c in drafts if c.classification == "sensitive" and not facets),
        split=split,
        text=text_draft(texts, leaks=leaks, path=path),
        row_number=row_number,
        trim=raw.trim,
        null_values=raw.null_values,
        csv=raw.csv,
        marks=raw.marks,
        repeats=repeats,
        notes=tuple(
            notes(
                raw,
                repeats=repeats,
                keys=keys,
                aucs=aucs,
                split=split,
                positives=int(positive.sum()),
            )
        ),
    )
