"""Notes for the user on a data file: its format, repeated rows, excluded keys, the split."""

from collections.abc import Iterator, Mapping, Sequence

from sashiko.contract.leaks import LEAK
from sashiko.data.draft.column_drafts import describe_personal, near_key_repeats
from sashiko.data.draft.profile import Profile, RawTable
from sashiko.data.draft.records import Repeats, SplitDraft
from sashiko.data.raw_files import describe_delimiter
from sashiko.data.splits import FEWEST_OF_A_LABEL, FEWEST_ROWS


def notes(
    raw: RawTable,
    *,
    repeats: Repeats,
    keys: Sequence[Profile],
    aucs: Mapping[str, float],
    split: SplitDraft,
    positives: int,
) -> Iterator[str]:
    """Yields a note on each of these; `keys` are excluded from training.

    `aucs` are those of columns that tell the label apart alone, or nearly; `positives` counts the
    rows of the positive label.
    """
    rows = len(raw.columns[0].texts)
    yield from _format_notes(raw)
    # As `steps.prepare` does.
    if rows < FEWEST_ROWS or positives < FEWEST_OF_A_LABEL:
        yield (
            f"{rows:,} rows, {positives:,} of them positive: `sashiko run` will refuse this, as it "
            f"needs at least {FEWEST_ROWS} rows and {FEWEST_OF_A_LABEL} of each label to train on"
        )
    if repeats.rows:
        fix = "remove at the source what was loaded twice, and start again"
        if repeats.excluded:
            fix = "check whether these are one case under two numbers"
        yield f"{describe_repeats(repeats)}, such as {example_rows(repeats.examples)}: {fix}"
    yield from _near_key_notes(raw)
    if keys:
        names = ", ".join(column.name for column in keys)
        yield f"kept from training and from data scientists, as a key or nearly one: {names}"
    if leaks := [f"{name} (AUC {auc:.3f})" for name, auc in aucs.items() if auc > LEAK]:
        yield (
            "left out of the text, as each tells the label apart alone and may be filled in after "
            f"the decision: {', '.join(leaks)}"
        )
    if suspects := [f"{name} (AUC {auc:.3f})" for name, auc in aucs.items() if auc <= LEAK]:
        yield f"nearly tells the label apart alone; is it known in time? {', '.join(suspects)}"
    if split.column:
        yield f"split: by time, on {split.column}"
    else:
        yield f"split: by a hash of the text, not by time: {split.why}"


def describe_repeats(repeats: Repeats) -> str:
    """Returns how many rows repeat an earlier one."""
    excluded = f" but {', '.join(repeats.excluded)}" if repeats.excluded else ""
    verb = "row repeats" if repeats.rows == 1 else "rows repeat"
    return f"{repeats.rows:,} {verb} an earlier one in every column{excluded}"


def example_rows(rows: Sequence[int]) -> str:
    """Formats the numbers of rows: `row 17`, `rows 17, 230`."""
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(f'{row:,}' for row in rows)}"


def _format_notes(raw: RawTable) -> Iterator[str]:
    csv, marks = raw.csv, raw.marks
    parts = (
        (csv.encoding != "utf-8", csv.encoding),
        (csv.delimiter != ",", f"{describe_delimiter(csv.delimiter)} between values"),
        ((marks.decimal, marks.thousands) != (".", ""), f"`{marks.decimal}` before decimals"),
        (marks.thousands, f"`{marks.thousands}` between thousands"),
    )
    if unusual := [part for is_unusual, part in parts if is_unusual]:
        yield f"read with {', '.join(unusual)}; the contract says so under `ingest`"
    if marks.ambiguity:
        yield marks.ambiguity
    for column in raw.columns:
        if column.is_prose and (counts := describe_personal(column.texts)):
            yield f"{column.name}: of the texts {counts}"
        if column.date_format or column.warning:
            yield f"{column.name}: {column.why if column.date_format else column.warning}"


def _near_key_notes(raw: RawTable) -> Iterator[str]:
    for column in raw.columns:
        if column.logical_type not in ("string", "integer") or column.is_prose:
            continue
        near = near_key_repeats(column)
        if near.rows:
            yield (
                f"{column.name} is nearly a key: {near.rows:,} of {len(column.texts):,} rows "
                f"repeat an earlier value, such as {example_rows(near.examples)}; if each row has "
                "its own, correct these"
            )
