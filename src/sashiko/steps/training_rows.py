"""What Prepare reads of the snapshot's training view, and the texts that it makes of it."""

from collections.abc import Sequence

import pyarrow as pa

from sashiko.contract.model import Contract, TimeSplit
from sashiko.errors import InputError
from sashiko.serving.container import text as texts_of
from sashiko.settings.recipe import TextSection


def template_columns(contract: Contract, template: str) -> tuple[str, ...]:
    """Returns the columns that the recipe's template names, all of which a model may read.

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
        named = f"names `{'`, `'.join(refused)}`" if refused else "names no column"
        raise InputError(
            f"recipe key text.template `{template}` {named}; the contract's textColumns are: "
            f"{', '.join(contract.text_columns)}"
        )
    return columns


def slice_columns(contract: Contract) -> list[str]:
    """Returns the columns that a model may be sliced by: all of the view but key and label.

    None is sensitive: by those, bias is judged, in steps that see no model.
    """
    view = contract.view_columns("training")
    return [c.name for c in view if c.name not in (contract.key, contract.label.column)]


def needed_columns(contract: Contract, columns: Sequence[str]) -> list[str]:
    """Returns what Prepare reads of the snapshot, each column once.

    Args:
        contract: the data contract.
        columns: what the texts are made of.
    """
    needed = [contract.key, contract.label.column, *columns, *slice_columns(contract)]
    if isinstance(contract.split, TimeSplit):
        needed.append(contract.split.column)
    return list(dict.fromkeys(needed))


def assemble_texts(table: pa.Table, columns: Sequence[str], text: TextSection) -> list[str]:
    """Returns per row the text that the recipe's template makes of it."""
    rows = table.select(list(columns)).to_pylist()
    return [texts_of.assemble(text.template, row, text.missing) for row in rows]
