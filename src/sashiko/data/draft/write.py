"""Writes a draft as two commented YAML files, and the notes on it."""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from sashiko.base.files import write_bytes
from sashiko.contract.leaks import LEAK
from sashiko.data.draft.column_drafts import describe_personal, near_key_repeats
from sashiko.data.draft.naming import IDENTIFIER, classify_name, lake_names, name_matches
from sashiko.data.draft.profile import Draft, Profile, RawTable, Repeats, SplitDraft
from sashiko.data.existing_table import CatalogTable, logical_type
from sashiko.data.ingest import describe_delimiter
from sashiko.data.splits import FEWEST_OF_A_LABEL, FEWEST_ROWS
from sashiko.errors import InputError

_MOST_ROWS = 8000  # to train on: minutes on a laptop
_SHORTEST = 32  # tokens
_MODEL = "models/all-minilm-l6-v2.yaml"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
_ENDLESS = 1 << 20


def notes(
    raw: RawTable,
    *,
    repeats: Repeats,
    keys: Sequence[Profile],
    aucs: Mapping[str, float],
    split: SplitDraft,
    rows_of: Mapping[str, int],
) -> Iterator[str]:
    """Yields a note on each of these; `keys` are excluded from training.

    `aucs` are those of columns that tell the label apart alone, or nearly; `rows_of` counts the
    rows of each class.
    """
    rows = len(raw.columns[0].texts)
    yield from _format_notes(raw)
    # As `steps.prepare` does.
    fewest, rarest = min((count, label) for label, count in rows_of.items())
    if rows < FEWEST_ROWS or fewest < FEWEST_OF_A_LABEL:
        yield (
            f"{rows:,} rows, {fewest:,} of them labelled {rarest}: `sashiko run` will refuse this, "
            f"as it needs at least {FEWEST_ROWS} rows and {FEWEST_OF_A_LABEL} of each label"
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
            "left out of the text, as each predicts the label alone and may be filled in after "
            f"the decision: {', '.join(leaks)}"
        )
    if suspects := [f"{name} (AUC {auc:.3f})" for name, auc in aucs.items() if auc <= LEAK]:
        yield f"nearly predicts the label alone; is it known in time? {', '.join(suspects)}"
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


def check_place(name: str) -> None:
    """Checks a recipe's name and the current folder.

    Raises:
        InputError: if the name is not valid, or the current folder is not the repository's root.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"--name {name}: expected a small letter, then small letters, digits and hyphens, "
            "41 characters at most"
        )
    if not (Path("recipes") / _MODEL).is_file():
        raise InputError(f"recipes/{_MODEL} does not exist: run this in the repository's root")


def refuse_existing(name: str) -> None:
    """Checks that a recipe's files do not exist yet.

    Raises:
        InputError: if one does, with the option that replaces both.
    """
    for path in _files(name):
        if path.exists():
            raise InputError(
                f"{path} is there already: add --replace to draft both files again, or "
                "choose another --name"
            )


def source_path(data: Path) -> str:
    """Returns the path of a file for a recipe: relative if it is in the repository."""
    path, root = data.resolve(), Path.cwd().resolve()
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def write_draft(draft: Draft) -> tuple[Path, Path]:
    """Writes `contracts/<name>.odcs.yaml` and `recipes/<name>.yaml` below the current folder.

    Raises:
        InputError: if one of them cannot be written; then neither is.
    """
    contract, recipe = _files(draft.name)
    # The columns that could be facets, as the end of a reason.
    groups = ", ".join(draft.groups)
    restart = "may tell groups: then start again with --replace --facet"
    values = {
        "draft": draft,
        "model": _MODEL,
        "most_rows": _MOST_ROWS,
        "lengths": sorted({_SHORTEST, draft.text.tokens}),
        "candidates": f"; {groups} {restart}" if groups else "",
    }
    try:
        write_bytes(contract, _render("contract.yaml.j2", values).encode())
        write_bytes(recipe, _render("recipe.yaml.j2", values).encode())
    except InputError:
        contract.unlink(missing_ok=True)
        raise
    return contract, recipe


def write_catalog_draft(table: CatalogTable, *, name: str, label: str) -> Path:
    """Writes `contracts/<name>.odcs.yaml` for a table of another owner from its catalog alone.

    Columns of a type that a contract has not, such as structs, are left out, and named on stderr.

    Raises:
        InputError: if the table has no such label, or the file cannot be written.
    """
    columns = [one for one in table.columns if logical_type(one["Type"])]
    others = [f"{one['Name']} ({one['Type']})" for one in table.columns if one not in columns]
    names = lake_names([one["Name"] for one in columns])
    text = f"{table.lake.full_name} has {', '.join(names) or 'no column to use'}"
    text += f"; left out, as a contract has no such type: {', '.join(others)}" if others else ""
    if label not in names:
        raise InputError(f"--label {label}: {text}")
    if others:
        print(text, file=sys.stderr)
    classes = {own: classify_name(own) for own in names}
    classes[label] = "none", "the label, which a model is trained on"
    rest = [own for own in names if own != label]
    keys = [own for own in rest if name_matches(IDENTIFIER, own)] or rest or [label]
    texts = [own for own in rest if classes[own][0] == "none" and own != keys[0]]
    values = {
        "table": table, "name": name, "label": label, "key": keys[0], "texts": texts,
        "columns": list(zip(names, columns, strict=True)), "classes": classes, "type": logical_type,
    }  # fmt: skip
    contract, _ = _files(name)
    write_bytes(contract, _render("catalog.yaml.j2", values).encode())
    return contract


def _files(name: str) -> tuple[Path, Path]:
    return Path("contracts") / f"{name}.odcs.yaml", Path("recipes") / f"{name}.yaml"


def _render(template: str, values: Mapping[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # noqa: S701 - YAML, not HTML: each value goes through `yaml`
        loader=PackageLoader("sashiko.data", "draft"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "yaml": _scalar, "quoted": json.dumps, "one_line": lambda text: " ".join(text.split()),
        "words": lambda name: name.replace("_", " ").replace("-", " ").capitalize(),
        "repeats": describe_repeats, "rows": example_rows,
    }  # fmt: skip
    text: str = environment.get_template(template).render(values)
    return text.lstrip()


def _scalar(value: str | float) -> str:
    """Formats a value as YAML that fits a line, in a flow or out of one."""
    dump = partial(yaml.safe_dump, [value], width=_ENDLESS, allow_unicode=True)
    text = str(dump(default_flow_style=True)).strip()
    if "\n" in text:
        text = str(dump(default_flow_style=True, default_style='"')).strip()
    return text[1:-1]
