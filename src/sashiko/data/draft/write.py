"""Writes a draft as two commented YAML files."""

import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from sashiko.base.files import write_bytes
from sashiko.data.draft.draft_notes import describe_repeats, example_rows
from sashiko.data.draft.records import Draft
from sashiko.errors import InputError

_MOST_ROWS = 8000  # to train on: minutes on a laptop
_SHORTEST = 32  # tokens
_MODEL = "models/all-minilm-l6-v2.yaml"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
_ENDLESS = 1 << 20


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


def write_draft(draft: Draft, *, replace: bool = False) -> tuple[Path, Path]:
    """Writes `contracts/<name>.odcs.yaml` and `recipes/<name>.yaml` below the current folder.

    Raises:
        InputError: if one of them exists, without `replace`, or cannot be written; then neither is
            written.
    """
    check_place(draft.name)
    if not replace:
        refuse_existing(draft.name)
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
