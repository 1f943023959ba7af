"""Shipped contracts with something changed in them, and the templates that follow."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.infra.variants import ROOT, deployment_of, new_app, settings_of

Document = dict[str, Any]
Change = Callable[[Document], None]


def changed(name: str, change: Change) -> Document:
    document = yaml.safe_load((ROOT / f"contracts/{name}.odcs.yaml").read_text())
    change(document)
    return document


def table_of(document: Document) -> Document:
    return document["schema"][0]


def column_of(document: Document, name: str) -> Document:
    return next(c for c in table_of(document)["properties"] if c["name"] == name)


def set_custom(document: Document, name: str, value: Any) -> None:
    table_of(document)["customProperties"].append({"property": name, "value": value})


def mortgages(*columns: str, persona: str = "data-scientist") -> Change:
    """Gives a reader of complaints a row filter that shows `columns`."""
    row_filter = {
        "persona": persona,
        "filter": "product = 'Mortgage'",
        "columns": list(columns or ("complaint_id", "product")),
    }
    return lambda document: set_custom(document, "rowFilters", [row_filter])


def synthesized_with(
    folder: Path, complaints: Change, *, variant: str = "dev", reverse: bool = False
) -> dict[str, Document]:
    """Stack id -> template of an environment whose contract of complaints is changed.

    Args:
        folder: an empty one.
        complaints: the change.
        variant: of `variants.py`.
        backwards: the settings name the contracts in the other order.
    """
    assembly = assembled_with(folder, complaints, variant=variant, reverse=reverse)
    templates = assembly.glob("*.template.json")
    return {f.name.removesuffix(".template.json"): json.loads(f.read_text()) for f in templates}


def assembled_with(
    folder: Path, complaints: Change, *, variant: str = "dev", reverse: bool = False
) -> Path:
    """The cloud assembly of such an environment."""
    from infra.app import add_stacks
    from sashiko.contract.load import load_contract

    settings = settings_of(variant)
    contracts = []
    for name in settings.contracts:
        path = folder / f"{name}.odcs.yaml"
        document = changed(name, complaints if name == "complaints" else lambda _: None)
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        contracts.append(load_contract(path))
    if reverse:
        contracts.reverse()
    app = new_app()
    add_stacks(app, deployment_of(settings, contracts=tuple(contracts)))
    return Path(app.synth().directory)
