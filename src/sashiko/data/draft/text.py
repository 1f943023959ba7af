"""Drafts the model's input: the text columns, a template, and the length of its texts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from sashiko.data.draft.profile import Profile
from sashiko.data.draft.records import TextDraft
from sashiko.errors import InputError

_MOST_SHORT = 12  # further columns make texts long and slow; the user may add them
_CHARACTERS_A_TOKEN = 3.5
_LENGTHS = (32, 64, 128, 256, 512)
_SHORT = 32
_BEYOND_ASCII = r"[^\x{0}-\x{7f}\PL]"


def text_draft(columns: Sequence[Profile], *, leaks: Sequence[Profile], path: Path) -> TextDraft:
    """Returns a template with short values first, each after its name, and sentences last.

    Args:
        columns: all that a text may use: no key, label, date, sensitive or personal column.
        leaks: columns that tell the label apart alone, which are not among them.
        path: the data file, for the error.

    Raises:
        InputError: if no column is left.
    """
    varied = [column for column in columns if column.distinct > 1]
    if not varied:
        raise InputError(
            f"{path}: no column is left for the text that a model reads; key, label, date, facets, "
            "columns with one value, columns that sound like a person's, near keys and columns "
            "that tell the label apart alone cannot be used"
        )
    prose = [column for column in varied if column.is_prose]
    short = [column for column in varied if not column.is_prose][:_MOST_SHORT]
    values = ", ".join(f"{c.name.replace('_', ' ')} {{{c.name}}}" for c in short)
    sentences = " ".join(f"{{{column.name}}}" for column in prose)
    template = ": ".join(text for text in (values, sentences) if text)
    return TextDraft(
        columns=tuple(column.name for column in varied),
        template=template,
        tokens=_tokens(template, [*short, *prose]),
        foreign_percent=_foreign([*short, *prose]),
        leaks=tuple(column.name for column in leaks),
    )


def _foreign(columns: Sequence[Profile]) -> int:
    """Returns the percentage of rows with a letter beyond ASCII, rounded down."""
    foreign = [
        np.asarray(pc.fill_null(pc.match_substring_regex(c.texts, _BEYOND_ASCII), False))
        for c in columns
    ]
    return int(100 * np.mean(np.any(foreign, axis=0)))


def _tokens(template: str, columns: Sequence[Profile]) -> int:
    lengths = [
        np.asarray(pc.fill_null(pc.utf8_length(c.texts), 0), dtype=np.int64) for c in columns
    ]
    names = sum(len(column.name) + 2 for column in columns)
    characters = float(np.quantile(np.sum(lengths, axis=0), 0.95)) + len(template) - names
    tokens = characters / _CHARACTERS_A_TOKEN
    return next((length for length in _LENGTHS if length >= tokens), _LENGTHS[-1])
