"""`sashiko definition`: prints the pipeline's definition, and validates it offline."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from sashiko.commands.options import (
    AsJson,
    DeployedEnvironment,
    Environment,
    Home,
    Overrides,
    RecipeName,
    problems_found,
)
from sashiko.contract.load import load_contract
from sashiko.errors import InputError
from sashiko.packs import pack_objects
from sashiko.pipeline.project import FINETUNE, HOME, contract_file, use_recipe
from sashiko.settings.environment import load_deployed, load_settings

# Minutes until a job runs. AWS publishes none; people report 3 to 8, such as 8 min 17 s for one of
# 30 s (github.com/aws/sagemaker-python-sdk/issues/4358).
_START = (3, 8)


def stage(
    env: DeployedEnvironment = "dev",
    recipe: RecipeName = None,
    seed_data: Annotated[
        str | None,
        typer.Option(
            metavar="AS_OF",
            help="Also load the recipe's own data into raw, as the extract of this time.",
        ),
    ] = None,
    home: Home = HOME,
    json_: AsJson = False,
) -> None:
    """Upload weights, code and configuration to an environment's bucket, as jobs download nothing.

    Packs add files, such as the empty stores of monitoring. Existing files are kept; one whose
    content does not match its name is an error. Your credentials must be those of the role
    `deployer`.
    """
    from sashiko.account.account import Account
    from sashiko.pipeline.cloud.start import check_seed, stage_inputs, stage_seed
    from sashiko.pipeline.compiled import compile_pipelines
    from sashiko.pipeline.staging import staged_inputs

    settings = load_deployed(env)
    if seed_data is not None:
        check_seed(settings, seed_data)
    recipe_config = use_recipe(settings, recipe)
    account = Account(settings)
    account.check_identity()
    pipelines = compile_pipelines(settings, recipe_config, home=home)
    staged = staged_inputs(settings, recipe_config, *(item.channels for item in pipelines))
    contract = load_contract(contract_file(recipe_config))
    if seed_data is not None and contract.lake is not None:
        raise InputError(
            f"--seed-data: {contract.lake.full_name} has another owner, and nothing is loaded into "
            "it: leave the option out"
        )
    cache = home / "cache"
    places = list(stage_inputs(staged, recipe_config, account=account, cache=cache))
    for stage_more in pack_objects("staged"):
        places += stage_more(settings, recipe_config, contract=contract, account=account)
    if seed_data is not None:
        places.append(
            stage_seed(
                settings,
                recipe_config,
                table=contract.table,
                as_of=seed_data,
                account=account,
                cache=cache,
            )
        )
    if json_:
        typer.echo(json.dumps([asdict(place) for place in places], indent=2))
        return
    for place in places:
        typer.echo(f"{place.uri}  files: {len(place.files)}, new: {len(place.uploaded)}")


def definition(
    env: Environment = "local",
    recipe: RecipeName = None,
    set_: Overrides = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Validate it offline against SageMaker's API; print no JSON."),
    ] = False,
    path: Annotated[
        bool,
        typer.Option("--path", help="Print the longest path of jobs; print no JSON."),
    ] = False,
    pipeline: Annotated[str, typer.Option(help="The pipeline: a module of pipelines/.")] = FINETUNE,
    home: Home = HOME,
) -> None:
    """Print a pipeline's definition: the JSON that runs in SageMaker and on this machine.

    With --check, validate it and print a line for each problem, with step and path. Exit status:
    0 no problem; 4 problems; 1 an error. With --path, print the jobs that start one after another:
    each waits minutes for a machine in SageMaker.
    """
    from sashiko.pipeline.compiled import compile_pipeline
    from sashiko.pipeline.definition.definition_records import parse_definition
    from sashiko.pipeline.definition.graph import longest_path

    settings = load_settings(env)
    recipe_config = use_recipe(settings, recipe, overrides=tuple(set_ or ()))
    text = compile_pipeline(settings, recipe_config, home=home, pipeline=pipeline).definition
    if path:
        jobs = longest_path(parse_definition(json.loads(text)))
        least, most = (minutes * len(jobs) for minutes in _START)
        typer.echo("\n".join(jobs))
        each = f"{_START[0]} to {_START[1]} minutes a start"
        typer.echo(f"{len(jobs)} jobs: {least} to {most} minutes of starts at {each}")
        return
    if not check:
        typer.echo(text, nl=False)
        return
    from sashiko.pipeline.definition.validator.check import check_definition

    with problems_found():
        checked = check_definition(json.loads(text))
    typer.echo(f"{checked.steps} steps, {checked.arguments} arguments checked: no problem")
