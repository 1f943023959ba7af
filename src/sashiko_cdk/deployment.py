"""The inputs of a deployment: an environment's settings, and what they name."""

from dataclasses import dataclass

from sashiko.contract.model import Contract
from sashiko.pipeline.project import choose_recipe
from sashiko.settings.delivery import GitHubTrust, github_trust
from sashiko.settings.environment import Settings, deployed_environments
from sashiko.settings.recipe import Recipe
from sashiko.settings.tools import Tools, stages_tools
from sashiko_cdk.inputs import compile_pipelines, read_contracts
from sashiko_cdk.pipeline.compiled_pipeline import Compiled

__all__ = ["Deployment", "read_deployment"]


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The inputs of every stack."""

    settings: Settings  # the environment
    environments: tuple[str, ...]  # names of all that have an account
    contracts: tuple[Contract, ...]  # of the lake's tables
    recipes: tuple[Recipe, ...]  # what the environment's pipelines train
    pipelines: tuple[Compiled, ...]  # of each recipe, as `compile_pipelines` returns them
    github: GitHubTrust | None = None  # if GitHub Actions deploys the environment
    tools: Tools | None = None  # if a pipeline in the tools' account does


def read_deployment(settings: Settings) -> Deployment:
    """Reads what the settings name, and compiles the pipelines.

    Raises:
        InputError: if a contract or a recipe is missing or not valid, one cannot be compiled, or
            `config/delivery.yaml` is not valid.
    """
    recipes = (choose_recipe(settings, None),)
    return Deployment(
        settings=settings,
        environments=deployed_environments(),
        contracts=read_contracts(settings),
        recipes=recipes,
        pipelines=compile_pipelines(settings, recipes),
        github=github_trust(settings.environment),
        tools=stages_tools(settings),
    )
