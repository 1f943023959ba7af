"""Whether a recipe and its data contract fit together."""

from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.recipe import Recipe
from sashiko.serving.text import columns


def check_recipe(recipe: Recipe, contract: Contract) -> None:
    """Finds what recipe and contract disagree on, before anything is downloaded or trained.

    Raises:
        InputError: naming the recipe's key, and what the contract offers.
    """
    facets = [facet.column for facet in contract.facets]
    named = [("bias.gates", gate.facet) for gate in recipe.bias.gates]
    named += [("reweighing.facets", facet) for facet in recipe.reweighing.facets]
    for key, facet in named:
        if facet not in facets:
            raise InputError(
                f"recipe {recipe.name}: key `{key}`: {facet} is no facet of {recipe.contract}; "
                f"its facets: {', '.join(facets)}"
            )
    try:
        used = columns(recipe.text.template)
    except ValueError as error:
        raise InputError(f"recipe {recipe.name}: key `text.template`: {error}") from error
    for column in used:
        if column not in contract.text_columns:
            raise InputError(
                f"recipe {recipe.name}: key `text.template`: {{{column}}} is no text column of "
                f"{recipe.contract}; its text columns: {', '.join(contract.text_columns)}"
            )
