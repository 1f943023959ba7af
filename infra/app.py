"""The CDK app: an environment's settings in, its stacks out. The CDK command line runs it.

`make synth ENV=dev`, or `npx --no-install cdk synth -c env=dev`. It reads files and calls nothing.
"""

import sys
from itertools import pairwise
from pathlib import Path

from aws_cdk import App

from infra.bootstrap import write_policies
from infra.components.compiled_pipeline import Compiled
from infra.inputs import cloud_settings, compile_pipelines, read_contracts, read_recipes
from infra.security_rules.plugin import add_rules
from infra.stacks.base import EnvironmentStack
from infra.stacks.data_lake import DataLake
from infra.stacks.governance import Governance
from infra.stacks.identity import Identity
from infra.stacks.lake_formation_account import LakeFormationAccount
from infra.stacks.network import Network
from infra.stacks.pipeline import Pipeline
from infra.stacks.platform import Platform
from infra.stacks.serving import Serving
from sashiko.aws.preflight import expected_version
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.recipe import Recipe
from sashiko.settings import Settings, deployed_environments


def add_stacks(
    app: App,
    settings: Settings,
    contracts: tuple[Contract, ...],
    recipes: tuple[Recipe, ...],
    pipelines: tuple[Compiled, ...],
) -> None:
    """Adds an environment's stacks, in the order in which they are deployed."""
    enforced = settings.lake_formation.mode == "enforced"
    stacks: list[EnvironmentStack] = [Identity(app, settings=settings)]
    if enforced and settings.lake_formation.account_stack:
        environments = deployed_environments()
        stacks.append(
            LakeFormationAccount(
                app, settings=settings, contracts=contracts, environments=environments
            )
        )
    network = Network(app, settings=settings)
    lake = DataLake(app, settings=settings, contracts=contracts, pipelines=pipelines)
    stacks += [network, lake]
    if enforced:
        stacks.append(Governance(app, settings=settings, contracts=contracts))
    platform = Platform(app, settings=settings, recipes=recipes)
    stacks.append(platform)
    stacks.append(
        Pipeline(
            app,
            settings=settings,
            pipelines=pipelines,
            contracts=contracts,
            recipes=recipes,
            network=network,
            lake=lake,
            platform=platform,
        )
    )
    for recipe in recipes:
        if expected := expected_version(settings, recipe):
            stacks.append(
                Serving(
                    app,
                    settings=settings,
                    recipe=recipe,
                    expected=expected,
                    network=network,
                    lake=lake,
                )
            )
    for before, after in pairwise(stacks):
        after.add_stack_dependency(before)


def main() -> None:
    """Synthesizes the environment that the context key `env` names.

    Raises:
        InputError: if a setting, a contract or the recipe is wrong, or a template breaks a rule.
    """
    app = App()
    settings = cloud_settings(app.node.try_get_context("env") or "dev")
    contracts, recipes = read_contracts(settings), read_recipes(settings)
    add_stacks(app, settings, contracts, recipes, compile_pipelines(settings, recipes))
    report = bool(app.node.try_get_context("security-report"))
    add_rules(app, retains=settings.on_destroy == "retain", nist=report)
    try:
        app.synth()
    except RuntimeError as error:
        # What was found stands on stderr already, resource by resource.
        if "ValidationFailed" not in str(error):
            raise
        if not report:  # else whether a finding is a failure is for `infra.security_report` to say
            raise InputError("the templates break a rule: see the findings above") from error
    write_policies(settings, Path(app.outdir) / "bootstrap", report=report)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
