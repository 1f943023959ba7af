"""Selects the columns that Prepare reads, and assembles texts."""

from collections.abc import Sequence

import pyarrow as pa

from sashiko.contract.model import Contract, TimeSplit
from sashiko.errors import InputError
from sashiko.serving.container import text as texts_of
from sashiko.settings.recipe import TextSection


def template_columns(contract: Contract, template: str) -> tuple[str, ...]:
    """Returns the columns of the recipe's template, all of which a model may read.

    Raises:
        InputError: if the template is malformed, names no column, or names one that is not in the
            contract's text columns; those are never key, label, sensitive or personal.
    """
    try:
        columns = texts_of.columns(template)
    except ValueError as error:
        raise InputError(f"recipe key text.template `{template}`: {error}") from error
    refused = [column for column in columns if column not in contract.text_columns]
    if refused or not columns:
        problem = f"names `{'`, `'.join(refused)}`" if refused else "names no column"
        raise InputError(
            f"recipe key text.template `{template}` {problem}; the contract's textColumns are: "
            f"{', '.join(contract.text_columns)}"
        )
    return columns


def slice_columns(contract: Contract) -> list[str]:
    """Returns the columns for slices: all of the view except key and label.

    None is sensitive; the bias steps use the sensitive columns.
    """
    view = contract.view_columns("training")
    return [c.name for c in view if c.name not in (contract.key, contract.label.column)]


def needed_columns(contract: Contract, columns: Sequence[str]) -> list[str]:
    """Returns the distinct columns that Prepare reads from the snapshot."""
    needed = [contract.key, contract.label.column, *columns, *slice_columns(contract)]
    if isinstance(contract.split, TimeSplit):
        needed.append(contract.split.column)
    return list(dict.fromkeys(needed))


def assemble_texts(table: pa.Table, columns: Sequence[str], text: TextSection) -> list[str]:
    """Returns the text of each row by the recipe's template."""
    rows = table.select(list(columns)).to_pylist()
    return [texts_of.assemble(text.template, row, text.missing) for row in rows]
