"""A project's recipes, contracts and local state; whether a recipe fits its contract."""

import os
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from sashiko.base.files import canonical_json, sha256_bytes
from sashiko.base.plugin_names import is_built_in
from sashiko.base.plugins import load
from sashiko.bias.clarify.contract_config import MOST_COMBINATIONS, combination_count, intersections
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.data.draft.review import refuse_unreviewed
from sashiko.errors import InputError
from sashiko.serving.container.text import columns
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe, load_recipe, recipe_files
from sashiko.settings.recipe_data import GeneratorSource, OwnSource
from sashiko.settings.recipe_quality import (
    BINARY_METRICS,
    CLASS_BASELINES,
    CLASS_METRICS,
    NUMBER_BASELINES,
    NUMBER_METRICS,
    QUALITY_METRICS,
    TOP_METRICS,
    EvaluateSection,
    SliceMetric,
    SlicesSection,
    ThresholdSection,
)
from sashiko.settings.targets import CompileOption, load_target

__all__ = ["open_recipe"]


def chosen_record(recipe: Recipe, *, home: Path) -> Path:
    """Returns the file with the newest selection that chose a recipe as it is; it may not exist."""
    return home / SELECTIONS / "chosen" / f"{recipe_sha256(recipe)}.json"


def recipe_sha256(recipe: Recipe) -> str:
    """Returns the digest of a recipe's content."""
    return sha256_bytes(canonical_json(recipe.model_dump(mode="json")))


HOME = Path(".sashiko")
SELECTIONS = "selections"  # folder of the home: one folder a selection, and `chosen/`
SELECTION_FILE = "selection.json"
CAPTURES = "capture"  # folder of the home that holds the local server's captures
FINETUNE: Final = "finetune"  # the module of pipelines/ that trains; packs have others
LAKE = "lake"  # folder of the home that holds the local lake


def check_recipe(recipe: Recipe, contract: Contract, *, source: Path) -> None:
    """Checks a recipe against its contract, before anything is downloaded or trained.

    Raises:
        InputError: naming the recipe's key and what the contract allows, or the error of a plugin
            that the recipe names.
    """
    problems = [
        *_plugin_problems(recipe),
        *_target_problems(recipe),
        *_number_problems(recipe, contract),
        *_bias_problems(recipe, contract),
        *_text_problems(recipe, contract),
        *_quality_problems(recipe, contract),
    ]
    if problems:
        raise InputError("\n".join(f"{source}: {problem}" for problem in problems))


def _plugin_problems(recipe: Recipe) -> Iterator[str]:
    """Imports the plugins that the recipe names, so that an error shows before the run."""
    references = [("metrics", f"quality.gates.{index}.metric", gate.metric)
             for index, gate in enumerate(recipe.quality.gates)
             if gate.metric in recipe.quality.own_metrics]  # fmt: skip
    references += [("gates", f"quality.own_gates.{index}.gate", gate.gate)
                   for index, gate in enumerate(recipe.quality.own_gates)]  # fmt: skip
    for section in ("data", "model"):
        for index, source in enumerate(getattr(recipe, section).sources):
            key = f"{section}.sources.{index}"
            if isinstance(source, OwnSource):
                references.append(("sources", f"{key}.source", source.source))
            elif isinstance(source, GeneratorSource) and not is_built_in(
                "generators", source.generator
            ):
                references.append(("generators", f"{key}.generator", source.generator))
    for group, key, name in references:
        try:
            load(group, name, key=key)
        except InputError as error:
            yield str(error)


def _bias_problems(recipe: Recipe, contract: Contract) -> Iterator[str]:
    """Bias is judged if, and only if, the contract has facets, and these are not too many."""
    bias, file = recipe.bias, recipe.contract
    facets = [facet.column for facet in contract.facets]
    if bias.judged and not facets:
        yield (
            f"key `bias`: {file} has no facets, so bias cannot be judged; say "
            "`bias: {judged: false, reason: why}` here, or name facets there"
        )
    # Without a champion there is no change to judge.
    if bias.judged and facets and all(gate.change_since for gate in bias.gates):
        yield (
            f"key `bias.gates`: no gate judges the facets of {file}; add one, such as "
            f"{{metric: DI, facet: {facets[0]}, minimum: 0.8, reason: why}}"
        )
    if not bias.judged and facets:
        yield (
            f"key `bias.judged`: {file} has facets ({', '.join(facets)}), so bias is judged; "
            "remove `judged: false` and its reason here, or the facets there"
        )
    if not bias.judged and (recipe.reweighing.facets or recipe.reweighing.strength):
        yield "key `reweighing`: it needs facets; with `bias.judged: false` remove it"
    for index, gate in enumerate(bias.gates):
        if gate.of_numbers and not contract.is_number:
            yield (
                f"key `bias.gates.{index}.metric`: {gate.metric} is of a label that is a number, "
                f"and the label of {file} has classes; choose a metric of Clarify, such as DI"
            )
    references = [("bias.gates", facet) for gate in bias.gates for facet in gate.facets]
    references += [("reweighing.facets", facet) for facet in recipe.reweighing.facets]
    for key, facet in references:
        if facets and facet not in facets:
            yield f"key `{key}`: {facet} is no facet of {file}; its facets: {', '.join(facets)}"
    gated = [gate.facets for gate in bias.gates]
    combinations = intersections(contract, depth=bias.intersection_depth, gated=gated)
    count = combination_count(contract, combinations)
    if count > MOST_COMBINATIONS:
        yield (
            f"key `bias.intersection_depth`: the facets of {file} have {count:,} "
            f"combinations of groups, more than {MOST_COMBINATIONS}; say `intersection_depth: 1` "
            "and name single intersections in `bias.gates`, or join groups there under `facets`"
        )


def _text_problems(recipe: Recipe, contract: Contract) -> Iterator[str]:
    """The template has the contract's text columns alone, a prompt an answer for each label."""
    try:
        for column in columns(recipe.text.template):
            if column not in contract.text_columns:
                yield (
                    f"key `text.template`: {{{column}}} is no text column of {recipe.contract}; "
                    f"its text columns: {', '.join(contract.text_columns)}"
                )
    except ValueError as error:
        yield f"key `text.template`: {error}"
    labels = contract.classes
    if recipe.prompt and not contract.is_number and set(recipe.prompt.answers) != set(labels):
        yield (
            f"key `prompt.answers`: it is for {', '.join(recipe.prompt.answers)}; the labels of "
            f"{recipe.contract} are {' and '.join(labels)}"
        )


def _number_problems(recipe: Recipe, contract: Contract) -> Iterator[str]:
    """A number has neither answers of one token nor logits that a temperature divides."""
    label = f"the label of {recipe.contract} is a number"
    if contract.is_number and recipe.model.family == "causal":
        yield (
            f"key `model.family`: {label}, and a causal LM answers with one of a few tokens; "
            "choose encoder or linear"
        )
    if contract.is_number and recipe.train.calibration != "none":
        yield (
            f"key `train.calibration`: {label}, and `temperature` divides the logits of classes; "
            "remove the key, as a number's interval is always fitted to the validation split"
        )


def _quality_problems(recipe: Recipe, contract: Contract) -> Iterator[str]:
    """Gates, slices and a threshold are those of a label of so many classes, or of a number."""
    classes, number = len(contract.classes), contract.is_number
    file = recipe.contract
    has = "is a number" if number else f"has {classes} classes"
    top_k, several = recipe.evaluate.top_k, classes > 2 and not number
    known = NUMBER_METRICS if number else BINARY_METRICS
    if several:
        known = (*CLASS_METRICS, TOP_METRICS[top_k])
    baselines = NUMBER_BASELINES if number else CLASS_BASELINES
    named = [
        (f"quality.gates.{index}.metric", gate.metric, known)
        for index, gate in enumerate(recipe.quality.gates)
        if gate.metric in QUALITY_METRICS and (gate.of_class is None or number)
    ]
    named += [
        (f"quality.gates.{index}.class", gate.of_class, contract.classes)
        for index, gate in enumerate(recipe.quality.gates)
        if gate.of_class is not None and not number
    ]
    named += [
        (f"quality.gates.{index}.better_than", gate.better_than, (*baselines, "champion"))
        for index, gate in enumerate(recipe.quality.gates)
        if gate.better_than
    ]
    # By value: the recipe that a run keeps has every key.
    if not number or recipe.evaluate.slices.metric != SlicesSection().metric:
        of_slices = tuple(name for name in get_args(SliceMetric) if name in known)
        named.append(("evaluate.slices.metric", recipe.evaluate.slices.metric, of_slices))
    for key, name, allowed in named:
        if name not in allowed:
            yield (
                f"key `{key}`: {name} does not fit the label of {file}, which {has}; choose one "
                f"of {', '.join(allowed)}"
            )
    if (number or classes > 2) and recipe.evaluate.threshold != ThresholdSection():
        how = "whose bound decides" if number else "of which the most probable one is predicted"
        yield f"key `evaluate.threshold`: the label of {file} {has}, {how}; remove the key"
    if recipe.evaluate.abstain and not several:
        how = "has no probability" if number else "is decided at `evaluate.threshold`"
        yield f"key `evaluate.abstain`: the label of {file} {has} and {how}; remove the key"
    if top_k >= classes and top_k != EvaluateSection().top_k:
        yield (
            f"key `evaluate.top_k`: the label of {file} {has}, and {top_k} must be fewer than its "
            "classes; choose a smaller number or remove the key"
        )
    if (number or classes > 2) and recipe.evaluate.injections:
        yield (
            f"key `evaluate.injections`: the label of {file} {has}, and an injection asks for the "
            "other one of two classes; remove the key"
        )


def _target_problems(recipe: Recipe) -> Iterator[str]:
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
    if recipe.model.family == "linear" and not target.serves_linear:
        yield (
            f"key `compile.target`: {name} serves no linear model, and `model.family` is linear: "
            "choose cpu"
        )
    if recipe.model.family == "linear" and recipe.compile.quantization != "none":
        yield (
            f"key `compile.quantization`: {recipe.compile.quantization} is for encoders: a linear "
            "model is served in float64; remove the key"
        )
    dtype = recipe.compile.dtype
    if dtype not in target.dtypes:
        yield (
            f"key `compile.dtype`: target {name} does not serve {dtype}: set "
            f"{' or '.join(target.dtypes)}"
        )
    elif dtype != "float32" and recipe.model.family != "causal":
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


@dataclass(frozen=True)
class Source:
    """The commit that a run was started from."""

    git_sha: str  # the full commit id, or `unknown` outside a git checkout
    dirty: bool  # whether tracked files differ from that commit


def find_recipe(name: str) -> Path:
    """Finds a recipe's file by name (`recipes/<name>.yaml`) or by path.

    Raises:
        InputError: if it does not exist, naming the known recipes.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else Path("recipes") / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in Path("recipes").glob("*.yaml")))
        hint = f"known: {known}" if known else "run the command in the repository's root"
        raise InputError(f"there is no recipe {path}; {hint}")
    return path


def open_recipe(path: Path, *, overrides: tuple[str, ...] = ()) -> Recipe:
    """Reads a recipe for use.

    Raises:
        InputError: if it is not valid, does not fit its contract, or either file has a value of
            `sashiko contract init` that is not reviewed.
    """
    recipe = load_recipe(path, overrides=overrides)
    contract = contract_file(recipe)
    refuse_unreviewed([contract, *recipe_files(path)])
    check_recipe(recipe, load_contract(contract), source=path)
    return recipe


def contract_file(recipe: Recipe) -> Path:
    """Returns the path of a recipe's contract.

    Raises:
        InputError: if the file does not exist.
    """
    path = Path(recipe.contract)
    if not path.is_file():
        raise InputError(f"recipe {recipe.name}: key `contract`: {path} does not exist")
    return path


def recipe_table(recipe: Recipe) -> str:
    """Returns the name of the table that a recipe's contract describes.

    Raises:
        InputError: if the contract is missing or not valid.
    """
    return load_contract(contract_file(recipe)).table


def source(folder: Path = Path()) -> Source:
    """Returns the git commit of a folder; `unknown` outside a checkout."""
    sha = _git(folder, "rev-parse", "HEAD")
    if sha is None:
        return Source(git_sha="unknown", dirty=True)
    status = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return Source(git_sha=sha, dirty=bool(status))


def has_commit(sha: str) -> bool:
    """Returns whether this checkout has a commit."""
    return _git(Path(), "cat-file", "-e", f"{sha}^{{commit}}") is not None


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(folder), *arguments]  # the user's own git
        completed = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return completed.stdout.strip()


def choose_recipe(settings: Settings, name: str | None) -> Recipe:
    """Reads the named recipe, or that of the settings, without checking its contract."""
    return load_recipe(_recipe_path(settings, name))


def use_recipe(settings: Settings, name: str | None, *, overrides: tuple[str, ...] = ()) -> Recipe:
    """Reads and checks the named recipe, or that of the settings, with `open_recipe`."""
    return open_recipe(_recipe_path(settings, name), overrides=overrides)


def _recipe_path(settings: Settings, name: str | None) -> Path:
    try:
        return find_recipe(name or settings.recipe)
    except InputError as error:
        if name is not None:
            raise
        raise InputError(
            f"{error}; set `recipe` in config/{settings.environment}.yaml to one, or name one "
            "(--recipe, or RECIPE= of make)"
        ) from error


def command_options(*, recipe: str, env: str = "local", home: Path = HOME) -> str:
    """Formats the options that select the same model in a printed command, without the defaults.

    Returns:
        Such as ` --env dev --recipe loans`: with a space before it, quoted for a shell.
    """
    parts = [] if env == "local" == os.environ.get("SASHIKO_ENV", env) else ["--env", env]
    parts += ["--recipe", recipe]
    parts += [] if home == HOME else ["--home", str(home)]
    return f" {shlex.join(parts)}"


def tracking_uri(home: Path) -> str:
    """Returns the URI of the local MLflow database."""
    return f"sqlite:///{home.resolve() / 'mlflow.db'}"
