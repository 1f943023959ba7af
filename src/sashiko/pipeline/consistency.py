"""Whether a recipe and its data contract fit together."""

from collections.abc import Iterator
from pathlib import Path

from sashiko.contract.intersections import (
    MOST_COMBINATIONS,
    combination_count,
    intersections,
)
from sashiko.contract.model import Contract
from sashiko.core.plugin_names import is_built_in
from sashiko.core.plugins import load
from sashiko.errors import InputError
from sashiko.serving.container.text import columns
from sashiko.settings.recipe import GeneratorSource, OwnSource, Recipe


def check_recipe(recipe: Recipe, contract: Contract, *, source: Path) -> None:
    """Finds what recipe and contract disagree on, before anything is downloaded or trained.

    Args:
        recipe: the recipe.
        contract: its data contract.
        source: the recipe's file, named in every error.

    Raises:
        InputError: naming the recipe's key, and what the contract offers, or what is wrong with
            an object that the recipe names of the project.
    """
    problems = [
        *_plugins(recipe),
        *_bias(recipe, contract),
        *_facets(recipe, contract),
        *_intersections(recipe, contract),
        *_template(recipe, contract),
    ]
    if problems:
        raise InputError("\n".join(f"{source}: {problem}" for problem in problems))


def _plugins(recipe: Recipe) -> Iterator[str]:
    """Imports what the recipe names of the project: better now than in the last step that does."""
    named = [("metrics", f"quality.gates.{at}.metric", gate.metric)
             for at, gate in enumerate(recipe.quality.gates)
             if gate.metric in recipe.quality.own_metrics]  # fmt: skip
    for section in ("data", "model"):
        for at, source in enumerate(getattr(recipe, section).sources):
            if isinstance(source, OwnSource):
                named.append(("sources", f"{section}.sources.{at}.source", source.source))
            if isinstance(source, GeneratorSource) and not is_built_in(
                "generators", source.generator
            ):
                named.append(("generators", f"{section}.sources.{at}.generator", source.generator))
    for group, key, name in named:
        try:
            load(group, name, key=key)
        except InputError as error:
            yield str(error)


def _bias(recipe: Recipe, contract: Contract) -> Iterator[str]:
    """Holds that bias is judged if the contract has facets, and only then."""
    judged = recipe.bias.judged
    if judged and not contract.facets:
        yield (
            f"key `bias`: {recipe.contract} has no facets, so bias cannot be judged; say "
            "`bias: {judged: false, reason: why}` here, or name facets there"
        )
    if judged and contract.facets and not recipe.bias.gates:
        yield (
            f"key `bias.gates`: no gate judges the facets of {recipe.contract}; add one, such as "
            f"{{metric: DI, facet: {contract.facets[0].column}, minimum: 0.8, reason: why}}"
        )
    if not judged and contract.facets:
        named = ", ".join(facet.column for facet in contract.facets)
        yield (
            f"key `bias.judged`: {recipe.contract} has facets ({named}), so bias is judged; remove "
            "`judged: false` and its reason here, or the facets there"
        )
    if not judged and (recipe.reweighing.facets or recipe.reweighing.strength):
        yield "key `reweighing`: it needs facets; with `bias.judged: false` remove it"


def _facets(recipe: Recipe, contract: Contract) -> Iterator[str]:
    known = [facet.column for facet in contract.facets]
    named = [("bias.gates", facet) for gate in recipe.bias.gates for facet in gate.facets]
    named += [("reweighing.facets", facet) for facet in recipe.reweighing.facets]
    for key, facet in named:
        if known and facet not in known:
            yield (
                f"key `{key}`: {facet} is no facet of {recipe.contract}; "
                f"its facets: {', '.join(known)}"
            )


def _intersections(recipe: Recipe, contract: Contract) -> Iterator[str]:
    """Holds that what is combined is little enough to look at."""
    bias = recipe.bias
    gated = [gate.facets for gate in bias.gates]
    crossed = intersections(contract, depth=bias.intersection_depth, gated=gated)
    count = combination_count(contract, crossed)
    if count > MOST_COMBINATIONS:
        yield (
            f"key `bias.intersection_depth`: the facets of {recipe.contract} have {count:,} "
            f"combinations of groups, more than {MOST_COMBINATIONS}; say `intersection_depth: 1` "
            "and name single intersections in `bias.gates`, or join groups there under `facets`"
        )


def _template(recipe: Recipe, contract: Contract) -> Iterator[str]:
    try:
        used = columns(recipe.text.template)
    except ValueError as error:
        yield f"key `text.template`: {error}"
        return
    for column in used:
        if column not in contract.text_columns:
            yield (
                f"key `text.template`: {{{column}}} is no text column of "
                f"{recipe.contract}; its text columns: {', '.join(contract.text_columns)}"
            )
