"""`sashiko model compare-import`: an imported model on Amazon Bedrock against the judged one."""

import json
import sys
import tempfile
from pathlib import Path

import typer

from sashiko.base.exit_status import CHECK_FAILED
from sashiko.commands.options import AsJson, Environment, RecipeName
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import describe
from sashiko.pipeline.project import choose_recipe
from sashiko.settings.environment import load_deployed
from sashiko_packs.bedrock.commands.model_import import Version


def compare_import(
    version: Version, env: Environment = "dev", recipe: RecipeName = None, json_: AsJson = False
) -> None:
    """Compare a version's imported model with the judged one, by DeviceCheck's rows and bounds.

    The rows of the test split that DeviceCheck drew are sent to the imported model through the
    environment's guardrail; scores come from the log probabilities of the answers. Your credentials
    must be those of the role `data-scientist`. Exit status: 0 as judged; 4 a check failed; 1 an
    error.
    """
    from sashiko.account.account import Account
    from sashiko_packs.bedrock import compare as bedrock_compare
    from sashiko_packs.bedrock.import_job import ImportJobs
    from sashiko_packs.bedrock.model_import import imported_name, save_version

    settings = load_deployed(env)
    recipe_config = choose_recipe(settings, recipe)
    name = imported_name(settings, recipe_config, version)
    account = Account(settings)
    account.check_identity()
    model = ImportJobs(account).find(name, role=bedrock_compare.COMPARED_BY)
    if model is None:
        raise InputError(f"Bedrock has no imported model {name} in {env}: sashiko model import")
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
