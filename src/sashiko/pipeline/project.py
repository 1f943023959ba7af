"""Locates the repository's files: recipes, contracts, and the local state."""

import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sashiko.contract.load import load_contract
from sashiko.data.draft.review import refuse_unreviewed
from sashiko.errors import InputError
from sashiko.pipeline.consistency import check_recipe
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe, load_recipe, recipe_files

__all__ = ["open_recipe"]

HOME = Path(".sashiko")
CAPTURES = "capture"  # folder of the home that holds the local server's captures
FINETUNE: Final = "finetune"  # the module of pipelines/ that trains; packs have others
MONITOR = "monitor"  # folder of the home that holds what monitoring keeps
LAKE = "lake"  # folder of the home that holds the local lake


@dataclass(frozen=True)
class Source:
    """The commit that a run was started from.

    Attributes:
        git_sha: the full commit id, or `unknown` outside a git checkout.
        dirty: whether tracked files differ from that commit.
    """

    git_sha: str
    dirty: bool


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
    from sashiko.contract.load import load_contract

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
        completed = subprocess.run(
            ["git", "-C", str(folder), *arguments],  # noqa: S607  # the user's own git
            capture_output=True,
            text=True,
            check=True,
        )
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
    """Returns the file of the named recipe, or of the settings' recipe."""
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
    """Formats the options that select the same model in a printed command.

    Args:
        recipe: a recipe's name or file, as `--recipe` takes it.
        env: the environment; the default `local` is left out.
        home: the folder of all local state; the default is left out.

    Returns:
        Such as ` --env dev --recipe loans`: with a space before it, quoted for a shell.
    """
    parts = [] if env == "local" else ["--env", env]
    parts += ["--recipe", recipe]
    parts += [] if home == HOME else ["--home", str(home)]
    return f" {shlex.join(parts)}"


def tracking_uri(home: Path) -> str:
    """Returns the URI of the local MLflow database."""
    return f"sqlite:///{home.resolve() / 'mlflow.db'}"
