"""`sashiko model bedrock import`, `compare` and `delete`: a version on Amazon Bedrock."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from sashiko.commands.options import AsJson, Environment, Home, RecipeName, Yes, confirm
from sashiko.contract.load import load_contract
from sashiko.errors import CHECK_FAILED, INTERRUPTED, InputError
from sashiko.evaluation.gates.verdict import describe
from sashiko.pipeline.local_models import open_local
from sashiko.pipeline.project import HOME, choose_recipe, contract_file
from sashiko.serving.compile_lock import LOCK_FILE
from sashiko.settings.environment import Settings, load_deployed, load_settings
from sashiko.settings.recipe import Recipe

app = typer.Typer(
    help="Import a registered causal LM into Amazon Bedrock, compare it, or delete the import.",
    no_args_is_help=True,
)
Version = Annotated[int, typer.Argument(help="The version's number.")]


@app.command("import")
def import_(
    version: Version, env: Environment = "dev", recipe: RecipeName = None, home: Home = HOME
) -> None:
    """Import an approved causal LM into Amazon Bedrock, and print its ARN.

    The signed manifest and every file are verified. The language model is rebuilt as a Hugging Face
    folder and checked for what would fail the import or change the model, then uploaded and
    imported. Repeat an interrupted command: it goes on with the same import. With an environment of
    tier `local`, only the checks are made. Your credentials must be those of the role
    `endpoint-deployer`. Exit status: 0 imported; 4 a check failed; 1 an error.
    """
    settings = load_settings(env)
    recipe_config = choose_recipe(settings, recipe)
    load_contract(contract_file(recipe_config)).pair("Amazon Bedrock's import")
    if settings.tier == "local":
        _check_here(settings, recipe_config, version, name=recipe, home=home)
        return
    try:
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
            judged = save_version(account, settings, recipe_config, version, folder=files)
            with importable(files, settings, recipe_config, version, cache=home / "cache") as model:
                _refuse_faults(model.faults)
                imported = import_model(account, settings, judged, model)
        typer.echo(imported.arn)
        print(
            f"{imported.name} is imported as {imported.architecture}, "
            f"{imported.units or 'unknown'} custom model units a copy; its decision threshold is "
            f"{judged.threshold}",
            file=sys.stderr,
        )
    except KeyboardInterrupt:
        print(
            "interrupted: a started import job continues; the same command continues with it",
            file=sys.stderr,
        )
        raise typer.Exit(INTERRUPTED) from None


@app.command("delete")
def delete_import(
    version: Version, env: Environment = "dev", recipe: RecipeName = None, yes: Yes = False
) -> None:
    """Delete the imported model of a version from Amazon Bedrock; the version itself stays.

    The uploaded folder stays too: a later import of the version needs no upload.
    """
    from sashiko.account.account import Account
    from sashiko_packs.bedrock.model_import import ImportJobs, imported_name

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
        f"{registered.group} version {version} passes the checks, {size / 1000000.0:.1f} MB; an "
        "environment with an account imports it: --env"
    )


def _refuse_faults(faults: tuple[object, ...]) -> None:
    for fault in faults:
        print(f"fault: {fault}", file=sys.stderr)
    if faults:
        print(f"not imported: {len(faults)} faults; nothing was uploaded", file=sys.stderr)
        raise typer.Exit(CHECK_FAILED)


@app.command("compare")
def compare_import(
    version: Version, env: Environment = "dev", recipe: RecipeName = None, json_: AsJson = False
) -> None:
    """Compare an imported model with the evaluated version, by DeviceCheck's rows and bounds.

    The rows of the test split that DeviceCheck drew are sent to the imported model through the
    environment's guardrail; scores come from the log probabilities of the answers. Your credentials
    must be those of the role `data-scientist`. Exit status: 0 within the bounds; 4 a check
    failed; 1 an error.
    """
    from sashiko.account.account import Account
    from sashiko_packs.bedrock import compare as bedrock_compare
    from sashiko_packs.bedrock.model_import import ImportJobs, imported_name, save_version

    settings = load_deployed(env)
    recipe_config = choose_recipe(settings, recipe)
    name = imported_name(settings, recipe_config, version)
    account = Account(settings)
    account.check_identity()
    model = ImportJobs(account).find(name, role=bedrock_compare.COMPARED_BY)
    if model is None:
        raise InputError(
            f"Bedrock has no imported model {name} in {env}: sashiko model bedrock import"
        )
    with tempfile.TemporaryDirectory(prefix="sashiko-compare-") as folder:
        files, scratch = Path(folder, "files"), Path(folder, "scratch")
        files.mkdir()
        scratch.mkdir()
        judged = save_version(
            account,
            settings,
            recipe_config,
            version,
            folder=files,
            role=bedrock_compare.COMPARED_BY,
        )
        verdict = bedrock_compare.compare_import(
            account, settings, recipe_config, judged, model, files=files, scratch=scratch
        )
    if json_:
        typer.echo(json.dumps(verdict.model_dump(mode="json", by_alias=True), indent=2))
    else:
        for check in verdict.checks:
            typer.echo(f"{check.outcome}: {describe(check)}")
        print(verdict.summary, file=sys.stderr)
    if not verdict.passed:
        raise typer.Exit(CHECK_FAILED)
