"""`sashiko model import` and `delete-import`: an approved causal LM on Amazon Bedrock."""

import sys
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer

from sashiko.base.exit_status import CHECK_FAILED, INTERRUPTED
from sashiko.commands.confirmation import confirm
from sashiko.commands.options import Environment, Home, RecipeName
from sashiko.errors import InputError
from sashiko.pipeline.champion import open_local
from sashiko.pipeline.project import HOME, choose_recipe
from sashiko.serving.compile_lock import LOCK_FILE
from sashiko.settings.environment import Settings, load_deployed, load_settings
from sashiko.settings.recipe import Recipe

Version = Annotated[int, typer.Argument(help="The version's number.")]


def import_(
    version: Version,
    to: Annotated[Literal["bedrock"], typer.Option("--to", help="The service.")],
    env: Environment = "dev",
    recipe: RecipeName = None,
    home: Home = HOME,
) -> None:
    """Import an approved causal LM into Amazon Bedrock, and print its ARN.

    The signed manifest and every file are verified, the language model is written as a Hugging Face
    folder and checked for what would fail the import or change the model, then uploaded and
    imported. Repeat an interrupted command: it goes on with the same import. With an environment of
    tier `local`, only the checks are made, without a call. Your credentials must be those of the
    role `endpoint-deployer`. Exit status: 0 imported; 4 a check failed; 1 an error.
    """
    settings = load_settings(env)
    recipe_config = choose_recipe(settings, recipe)
    if settings.tier == "local":
        _check_here(settings, recipe_config, version, name=recipe, home=home)
        return
    try:
        _import(settings, recipe_config, version, home=home)
    except KeyboardInterrupt:
        print(
            f"interrupted: a started import job goes on in {to}; the same command goes on with it",
            file=sys.stderr,
        )
        raise typer.Exit(INTERRUPTED) from None


def delete_import(
    version: Version,
    env: Environment = "dev",
    recipe: RecipeName = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Delete the imported model of a version from Amazon Bedrock; the version itself stays.

    The uploaded folder stays too: a later import of the version needs no upload.
    """
    from sashiko.account.account import Account
    from sashiko_packs.bedrock.import_job import ImportJobs
    from sashiko_packs.bedrock.model_import import imported_name

    settings = load_deployed(env)
    name = imported_name(settings, choose_recipe(settings, recipe), version)
    account = Account(settings)
    account.check_identity()
    jobs = ImportJobs(account)
    model = jobs.find(name)
    if model is None:
        raise InputError(f"Bedrock has no imported model {name} in {env}")
    if not yes:
        confirm(name, word=name)
    jobs.delete(model)
    typer.echo(f"{model.arn} is deleted; its folder is {model.uri}")


def _import(settings: Settings, recipe: Recipe, version: int, *, home: Path) -> None:
    from sashiko.account.account import Account
    from sashiko_packs.bedrock.model_import import (
        import_model,
        importable,
        require_enabled,
        save_version,
    )

    require_enabled(settings)
    account = Account(settings)
    account.check_identity()
    with tempfile.TemporaryDirectory(prefix="sashiko-version-") as name:
        files = Path(name)
        judged = save_version(account, settings, recipe, version, folder=files)
        with importable(files, settings, recipe, version, cache=home / "cache") as model:
            _refuse_faults(model.faults)
            imported = import_model(account, settings, judged, model)
    typer.echo(imported.arn)
    print(
        f"{imported.name} is imported as {imported.architecture}, {imported.units or 'unknown'} "
        f"custom model units a copy; its decision threshold is {judged.threshold}",
        file=sys.stderr,
    )


def _check_here(
    settings: Settings, recipe: Recipe, version: int, *, name: str | None, home: Path
) -> None:
    from sashiko_packs.bedrock.model_import import importable

    registry = open_local(home, recipe=name or settings.recipe)
    registered = registry.version(recipe.model_package_group, version)
    with tempfile.TemporaryDirectory(prefix="sashiko-version-") as scratch:
        files = Path(scratch)
        registry.download(registered, files)
        (files / LOCK_FILE).write_bytes(registry.file(registered, LOCK_FILE))
        with importable(files, settings, recipe, version, cache=home / "cache") as model:
            _refuse_faults(model.faults)
            size = sum(path.stat().st_size for path in model.folder.iterdir())
    typer.echo(
        f"{registered.group} version {version} has no fault, {size / 1e6:.1f} MB; an environment "
        "with an account imports it: --env"
    )


def _refuse_faults(faults: tuple[object, ...]) -> None:
    for fault in faults:
        print(f"fault: {fault}", file=sys.stderr)
    if faults:
        print(f"not imported: {len(faults)} faults; nothing was uploaded", file=sys.stderr)
        raise typer.Exit(CHECK_FAILED)
