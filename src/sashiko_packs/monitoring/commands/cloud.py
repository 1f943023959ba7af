"""`sashiko monitor` for an environment with an account, whose schedule starts the windows."""

import datetime as dt
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sashiko.errors import CHECK_FAILED, InputError
from sashiko_packs.monitoring.commands.output import (
    sheet_file,
    show_draw,
    show_labels,
    show_window,
)
from sashiko_packs.monitoring.settings import MonitorSection

if TYPE_CHECKING:
    from sashiko.contract.model import Contract
    from sashiko.settings.environment import Settings
    from sashiko_packs.monitoring.account import MonitoredModel
    from sashiko_packs.monitoring.capture.record import Window
    from sashiko_packs.monitoring.deletion import DeletedRows
    from sashiko_packs.monitoring.result import MonitorResult
    from sashiko_packs.monitoring.retraining import Retraining


def show(
    settings: "Settings", recipe: str | None, *, home: Path, labels: Path | None, json_: bool
) -> None:
    """Shows the last window that the account's pipeline has judged.

    Raises:
        InputError: if no window was judged yet, or the caller may not read the outcomes.
    """
    model = _open(settings, recipe)
    if labels is not None:
        _add_labels(model, labels)
    results = model.results()
    if not results:
        raise InputError(
            f"no window of {model.recipe.name} was judged in {settings.environment} yet: where a "
            "version is served and `serving.capture.percent` is above 0, one is each Monday"
        )
    last = results[-1]
    show_window(
        results,
        last,
        _decide_retraining(model, last),
        page=home / "monitor" / f"{settings.environment}-{last.group}.html",
        options=_options(model),
        again=_options(model),
        others=partial(model.start_commands, history=results),
        json_=json_,
    )
    if last.outcome == "alarm":
        raise typer.Exit(CHECK_FAILED)


def audit(
    settings: "Settings",
    recipe: str | None,
    *,
    rows: int | None,
    labels: Path | None,
    correct: bool,
    out: Path | None,
    window: "Window",
    number: int | None,
    home: Path,
) -> None:
    """Draws rows of an account's answers for a person to label, or takes their labels.

    Raises:
        InputError: if nothing is served, the caller may not do so, or somebody else does it too.
    """
    model = _open(settings, recipe)
    if labels is not None:
        _add_labels(model, labels, correct=correct)
    if rows is not None:
        version = number if number is not None else _served_version(model)
        with model.draw(version, window=window, rows=rows) as draw:
            show_draw(
                draw,
                out or sheet_file(home, draw),
                contract=_contract(model),
                options=_options(model),
            )


def forget(settings: "Settings", recipe: str | None, *, keys: Sequence[str]) -> "DeletedRows":
    """Deletes what an account's monitoring keeps of keys.

    Raises:
        InputError: if the caller may not do so, or a window is judged or somebody else changes the
            stores at the same time.
    """
    from sashiko_packs.monitoring.account import MonitorFiles
    from sashiko_packs.monitoring.deletion import DELETED_BY, delete_account_rows

    model = _open(settings, recipe)
    files = MonitorFiles(model.account, settings, model.recipe, DELETED_BY)
    return delete_account_rows(files, keys, now=dt.datetime.now(dt.UTC).replace(microsecond=0))


def _open(settings: "Settings", recipe: str | None) -> "MonitoredModel":
    from sashiko.account.account import Account
    from sashiko.pipeline.project import use_recipe
    from sashiko_packs.monitoring.account import MonitoredModel

    account = Account(settings)
    account.check_identity()
    return MonitoredModel(account, settings, use_recipe(settings, recipe))


def _contract(model: "MonitoredModel") -> "Contract":
    from sashiko.contract.load import load_contract
    from sashiko.pipeline.project import contract_file

    return load_contract(contract_file(model.recipe))


def _add_labels(model: "MonitoredModel", file: Path, *, correct: bool = False) -> None:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    person = model.account.check_identity() if correct else None
    show_labels(file, model.add_labels(file, _contract(model), now=now, corrected_by=person))


def _served_version(model: "MonitoredModel") -> int:
    from sashiko.account.endpoint_spec import served_package

    package = served_package(model.settings, model.recipe)
    if package is None:
        raise InputError(
            f"{model.settings.environment} serves nothing: name the version to draw from with "
            "--version"
        )
    return int(package.rpartition("/")[2])


def _decide_retraining(model: "MonitoredModel", result: "MonitorResult") -> "Retraining":
    from sashiko_packs.monitoring.retraining import decide_retraining

    section = model.recipe.section(MonitorSection)
    return decide_retraining(section, result, model.candidates(), now=dt.datetime.now(dt.UTC))


def _options(model: "MonitoredModel") -> str:
    return f" --env {model.settings.environment} --recipe {model.recipe.name}"
