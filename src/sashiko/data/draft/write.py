"""Writes a draft as two commented YAML files, which never replace what is there."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from sashiko.core.files import write_bytes
from sashiko.data.draft.notes import example_rows, repeated
from sashiko.data.draft.records import Draft
from sashiko.errors import InputError

_MOST_ROWS = 8000  # to train on: minutes on a laptop
_SHORTEST = 32  # tokens
_MODEL = "models/all-minilm-l6-v2.yaml"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
_ENDLESS = 1 << 20


def refuse_existing(name: str) -> None:
    """Holds that a name is one that a recipe may have, and that nothing of it is here yet.

    Raises:
        InputError: if the name is none, the repository is elsewhere, or a file is there already.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"--name {name}: expected a small letter, then small letters, digits and hyphens, "
            "41 characters at most"
        )
    if not (Path("recipes") / _MODEL).is_file():
        raise InputError(f"recipes/{_MODEL} is not here: run the command in the repository's root")
    for path in _files(name):
        if path.exists():
            raise InputError(f"{path} is there already; choose another --name, or remove the file")


def source_path(data: Path) -> str:
    """Returns how a recipe names a file: relative to the repository if it lies in it."""
    absolute, root = data.resolve(), Path.cwd().resolve()
    inside = absolute.is_relative_to(root)
    return (absolute.relative_to(root) if inside else absolute).as_posix()


def write_draft(draft: Draft) -> tuple[Path, Path]:
    """Writes `contracts/<name>.odcs.yaml` and `recipes/<name>.yaml` below the current folder.

    Returns:
        The two files.

    Raises:
        InputError: if one of them is there already, or cannot be written; nothing is left then.
    """
    refuse_existing(draft.name)
    contract, recipe = _files(draft.name)
    lengths = sorted({_SHORTEST, draft.text.tokens})
    about = {"draft": draft, "model": _MODEL, "most_rows": _MOST_ROWS, "lengths": lengths}
    try:
        write_bytes(contract, _render("contract.yaml.j2", about).encode())
        write_bytes(recipe, _render("recipe.yaml.j2", about).encode())
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
        "yaml": _scalar, "quoted": _quoted, "one_line": _one_line, "words": _words,
        "candidates": _candidates, "repeated": repeated, "rows": example_rows,
    }  # fmt: skip
    text: str = environment.get_template(template).render(values)
    return text.lstrip()


def _scalar(value: str | float) -> str:
    """Writes a value as YAML that fits a line, in a flow or out of one."""
    plain = partial(yaml.safe_dump, [value], width=_ENDLESS, allow_unicode=True)
    text = str(plain(default_flow_style=True)).strip()
    if "\n" in text:
        text = str(plain(default_flow_style=True, default_style='"')).strip()
    return text[1:-1]


def _quoted(value: str) -> str:
    r"""Writes a mark so that a reader sees it: `";"`, and a tab as `"\t"`."""
    return str(yaml.safe_dump([value], default_flow_style=True, default_style='"')).strip()[1:-1]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _words(name: str) -> str:
    """Turns a name into words: `customer_age` is `Customer age`."""
    return name.replace("_", " ").replace("-", " ").capitalize()


def _candidates(draft: Draft) -> str:
    """Names the columns that could be facets, for a reason to go on with."""
    if not draft.groups:
        return ""
    named = ", ".join(draft.groups)
    return f"; {named} may tell groups: then start again with --facet"
