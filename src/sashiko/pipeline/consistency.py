"""Checks a recipe against its data contract."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from sashiko.base.plugin_names import is_built_in
from sashiko.base.plugins import load
from sashiko.bias.clarify.contract_intersections import (
    MOST_COMBINATIONS,
    combination_count,
    intersections,
)
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.serving.container.text import columns
from sashiko.settings.recipe import Recipe
from sashiko.settings.sources import GeneratorSource, OwnSource
from sashiko.settings.targets import CompileOption, load_target


def check_recipe(recipe: Recipe, contract: Contract, *, source: Path) -> None:
    """Checks a recipe against its contract, before anything is downloaded or trained.

    Raises:
        InputError: naming the recipe's key and what the contract allows, or the error of a plugin
            that the recipe names.
    """
    problems = [
        *_plugins(recipe),
        *_target(recipe),
        *_bias(recipe, contract),
        *_facets(recipe, contract),
        *_intersections(recipe, contract),
        *_template(recipe, contract),
        *_answers(recipe, contract),
    ]
    if problems:
        raise InputError("\n".join(f"{source}: {problem}" for problem in problems))


def _plugins(recipe: Recipe) -> Iterator[str]:
    """Imports the plugins that the recipe names, so that an error shows before the run."""
    references = [("metrics", f"quality.gates.{index}.metric", gate.metric)
             for index, gate in enumerate(recipe.quality.gates)
             if gate.metric in recipe.quality.own_metrics]  # fmt: skip
    references += [("gates", f"quality.own_gates.{index}.gate", gate.gate)
                   for index, gate in enumerate(recipe.quality.own_gates)]  # fmt: skip
    for section in ("data", "model"):
        for index, source in enumerate(getattr(recipe, section).sources):
            if isinstance(source, OwnSource):
                references.append(("sources", f"{section}.sources.{index}.source", source.source))
            if isinstance(source, GeneratorSource) and not is_built_in(
                "generators", source.generator
            ):
                references.append(
                    ("generators", f"{section}.sources.{index}.generator", source.generator)
                )
    for group, key, name in references:
        try:
            load(group, name, key=key)
        except InputError as error:
            yield str(error)


def _target(recipe: Recipe) -> Iterator[str]:
    """Checks that the compile target exists and supports the options of the recipe."""
    name = recipe.compile.target
    try:
        target = load_target(name)
    except InputError as error:
        yield str(error)
        return
    if target.encoders_only and recipe.model.family == "causal":
        yield (
            f"key `compile.target`: {name} serves encoders only, and `model.family` is "
            "causal: choose cpu, gpu-vllm or inf2-causal"
        )
    if target.causal_only and recipe.model.family == "encoder":
        yield (
            f"key `compile.target`: {name} serves causal LMs only, and `model.family` is "
            "encoder: choose another target"
        )
    dtype = recipe.compile.dtype
    if dtype not in target.dtypes:
        yield (
            f"key `compile.dtype`: target {name} does not serve {dtype}: set "
            f"{' or '.join(target.dtypes)}"
        )
    elif dtype != "float32" and recipe.model.family == "encoder":
        yield (
            f"key `compile.dtype`: {dtype} is for causal LMs: remove the key, or see "
            "`compile.auto_cast` and `compile.quantization`"
        )
    for option in get_args(CompileOption):
        value = getattr(recipe.compile, option)
        if value != "none" and option not in target.options:
            yield (
                f"key `compile.{option}`: target {name} does not support {value}: remove the key "
                "or choose another `compile.target`"
            )


def _bias(recipe: Recipe, contract: Contract) -> Iterator[str]:
    """Checks that bias is judged if, and only if, the contract has facets."""
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
        facets = ", ".join(facet.column for facet in contract.facets)
        yield (
            f"key `bias.judged`: {recipe.contract} has facets ({facets}), so bias is judged; "
            "remove `judged: false` and its reason here, or the facets there"
        )
    if not judged and (recipe.reweighing.facets or recipe.reweighing.strength):
        yield "key `reweighing`: it needs facets; with `bias.judged: false` remove it"


def _facets(recipe: Recipe, contract: Contract) -> Iterator[str]:
    facets = [facet.column for facet in contract.facets]
    references = [("bias.gates", facet) for gate in recipe.bias.gates for facet in gate.facets]
    references += [("reweighing.facets", facet) for facet in recipe.reweighing.facets]
    for key, facet in references:
        if facets and facet not in facets:
            yield (
                f"key `{key}`: {facet} is no facet of {recipe.contract}; "
                f"its facets: {', '.join(facets)}"
            )


def _intersections(recipe: Recipe, contract: Contract) -> Iterator[str]:
    """Checks that there are not too many combinations of groups to judge."""
    bias = recipe.bias
    gated = [gate.facets for gate in bias.gates]
    combinations = intersections(contract, depth=bias.intersection_depth, gated=gated)
    count = combination_count(contract, combinations)
    if count > MOST_COMBINATIONS:
        yield (
            f"key `bias.intersection_depth`: the facets of {recipe.contract} have {count:,} "
            f"combinations of groups, more than {MOST_COMBINATIONS}; say `intersection_depth: 1` "
            "and name single intersections in `bias.gates`, or join groups there under `facets`"
        )


def _template(recipe: Recipe, contract: Contract) -> Iterator[str]:
    try:
        placeholders = columns(recipe.text.template)
    except ValueError as error:
        yield f"key `text.template`: {error}"
        return
    for column in placeholders:
        if column not in contract.text_columns:
            yield (
                f"key `text.template`: {{{column}}} is no text column of "
                f"{recipe.contract}; its text columns: {', '.join(contract.text_columns)}"
            )


def _answers(recipe: Recipe, contract: Contract) -> Iterator[str]:
    """Checks that a prompt has an answer for each of the contract's two labels."""
    labels = (contract.label.negative, contract.label.positive)
    if recipe.prompt and set(recipe.prompt.answers) != set(labels):
        yield (
            f"key `prompt.answers`: it is for {', '.join(recipe.prompt.answers)}; the labels of "
            f"{recipe.contract} are {' and '.join(labels)}"
        )
