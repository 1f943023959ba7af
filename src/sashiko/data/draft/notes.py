"""What a person should know of a file before anything else, in a few sentences."""

from collections.abc import Iterator, Sequence

from sashiko.data.draft.keys import near_key_rows
from sashiko.data.draft.profile import Profile, RawTable
from sashiko.data.draft.records import Repeats, SplitDraft
from sashiko.data.raw_files import shown


def notes(
    raw: RawTable, *, repeats: Repeats, keys: Sequence[Profile], split: SplitDraft
) -> tuple[str, ...]:
    """Says how the file is read, what repeats, what is set apart, and how rows are split."""
    return (
        *_reading(raw),
        *_repetition(raw, repeats),
        *_kept_out(keys),
        f"split: {_split(split)}",
    )


def repeated(repeats: Repeats) -> str:
    """Says how many rows repeat an earlier one; empty where none does."""
    if not repeats.rows:
        return ""
    but = f" but {', '.join(repeats.but_for)}" if repeats.but_for else ""
    verb = "row repeats" if repeats.rows == 1 else "rows repeat"
    return f"{repeats.rows:,} {verb} an earlier one in every column{but}"


def example_rows(rows: Sequence[int]) -> str:
    """Names rows: `row 17`, `rows 17, 230`."""
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(f'{row:,}' for row in rows)}"


def _reading(raw: RawTable) -> Iterator[str]:
    parts: list[str] = []
    if raw.csv.encoding != "utf-8":
        parts.append(raw.csv.encoding)
    if raw.csv.delimiter != ",":
        parts.append(f"{shown(raw.csv.delimiter)} between values")
    if (raw.marks.decimal, raw.marks.thousands) != (".", ""):
        parts.append(f"`{raw.marks.decimal}` before decimals")
    if raw.marks.thousands:
        parts.append(f"`{raw.marks.thousands}` between thousands")
    if parts:
        yield f"read with {', '.join(parts)}; the contract says so under `ingest`"
    if raw.marks.unsure:
        yield raw.marks.unsure
    for column in raw.columns:
        if column.date_format:
            yield f"{column.name}: {column.why}"
        elif column.warning:
            yield f"{column.name}: {column.warning}"


def _repetition(raw: RawTable, repeats: Repeats) -> Iterator[str]:
    if repeats.rows:
        todo = "remove at the source what was loaded twice, and start again"
        if repeats.but_for:
            todo = "look whether one case stands there under two numbers"
        yield f"{repeated(repeats)}, such as {example_rows(repeats.examples)}: {todo}"
    for column in raw.columns:
        count, examples = near_key_rows(column, raw.rows)
        if count and column.logical_type in ("string", "integer") and not column.is_prose:
            yield (
                f"{column.name} is nearly a key: {count:,} of {raw.rows:,} rows repeat an earlier "
                f"value, such as {example_rows(examples)}; if each row has its own, mend these"
            )


def _kept_out(keys: Sequence[Profile]) -> Iterator[str]:
    if keys:
        named = ", ".join(column.name for column in keys)
        yield f"kept from training and from data scientists, as a key or nearly one: {named}"


def _split(split: SplitDraft) -> str:
    if split.column:
        return f"by time, on {split.column}"
    return f"by a hash of the text, not by time: {split.why}"
