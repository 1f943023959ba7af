"""This machine's models: selects one, unpacks it for scoring, calls it over HTTP."""

import json
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sashiko.account.endpoint_spec import VARIANT, required_gates
from sashiko.errors import InputError
from sashiko.pipeline.project import CAPTURES, command_options, tracking_uri
from sashiko.registry.mlflow import MlflowRegistry
from sashiko.registry.preflight.registered import check_registered
from sashiko.registry.versions import ModelVersion, Registry
from sashiko.serving.local_capture import CaptureSettings
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe, load_recipe

_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Group:
    """A model package group that has versions."""

    name: str
    recipe: str  # a recipe that registers in it, as `--recipe` takes it
    versions: tuple[ModelVersion, ...]


def open_local(home: Path, *, recipe: str) -> MlflowRegistry:
    """Opens this machine's registry.

    Raises:
        InputError: if no run has created it yet.
    """
    if not (home / "mlflow.db").is_file():
        raise InputError(
            f"no model is registered below {home} yet: sashiko run"
            f"{command_options(recipe=recipe, home=home)}"
        )
    return MlflowRegistry(tracking_uri(home))


def other_groups(registry: MlflowRegistry, group: str) -> tuple[Group, ...]:
    """Returns the other groups with versions that the recipes in `recipes/` name."""
    recipes: dict[str, str] = {}
    for file in sorted(Path("recipes").glob("*.yaml")):
        with suppress(InputError):  # `sashiko run` reports what is wrong with that recipe
            recipes.setdefault(load_recipe(file).model_package_group, file.stem)
    recipes.pop(group, None)
    groups = (Group(name, recipes[name], tuple(registry.versions(name))) for name in recipes)
    return tuple(item for item in groups if item.versions)


def refuse_ambiguous(
    registry: MlflowRegistry, number: int, *, group: str, recipe: str, home: Path
) -> None:
    """Refuses a version number without `--recipe` if the group of another recipe has it too.

    Raises:
        InputError: with the choices.
    """
    own = Group(group, recipe, tuple(registry.versions(group)))
    groups = (own, *other_groups(registry, group))
    holders = [item for item in groups if number in {version.version for version in item.versions}]
    if not holders or holders == [own]:
        return
    named = {item.name: command_options(recipe=item.recipe, home=home) for item in holders}
    choices = " or ".join(f"`{options.strip()}` for {name}" for name, options in named.items())
    if own in holders:
        raise InputError(f"several groups have a version {number}: add {choices}")
    raise InputError(f"{group} has no version {number}: add {choices}, which has one")


@contextmanager
def champion_artifact(
    recipe: Recipe, *, name: str | None, home: Path
) -> Iterator[tuple[Path, ModelVersion]]:
    """Yields the champion's `model.tar.gz` and the version; the copy is removed afterwards.

    Prints the group of the champion to stderr, and without a recipe name the other groups that
    have one.

    Raises:
        InputError: if no version is approved yet, or its artifact is damaged.
    """
    registry = open_local(home, recipe=name or recipe.name)
    group = recipe.model_package_group
    version = registry.champion(group)
    choices = ", ".join(
        f"{other.name} by --recipe {other.recipe}"
        for other in (() if name else other_groups(registry, group))
        if any("champion" in item.aliases for item in other.versions)
    )
    options = command_options(recipe=name or recipe.name, home=home)
    if version is None and not registry.versions(group):
        raise InputError(
            f"{group} has no version: no run has registered one yet, or a gate blocked each; see "
            f"`sashiko runs list`, then `sashiko run{options}`"
            + (f"; these have a champion: {choices}" if choices else "")
        )
    if version is None:
        raise InputError(
            f"{group} has no champion yet: look at `sashiko model list{options}`, then "
            f"`sashiko model approve VERSION{options} --reason ...`"
            + (f"; these have one: {choices}" if choices else "")
        )
    message = f"{group} version {version.version}, the champion"
    message += f" of the default recipe {recipe.name}; there is also {choices}" if choices else ""
    print(message, file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="sashiko-champion-") as folder:
        yield registry.download(version, Path(folder)), version


def check_version(
    settings: Settings, recipe: Recipe, registry: Registry, version: ModelVersion
) -> None:
    """Makes the preflight's checks of a version of this machine's registry before it scores rows.

    A waived check is accepted until its waiver is over.

    Raises:
        InputError: with the reason, if the version may not score.
    """
    gates = required_gates(settings, recipe)
    check_registered(registry, version, gates=gates, allow_waived=True)


def request_body(text: str) -> bytes:
    """Returns the body of a request: the text's own, if it is one in JSON, or one of that text."""
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    return json.dumps(body if isinstance(body, dict) else {"inputs": [text]}).encode()


def invoke_local(text: str, *, port: int) -> str:
    """Posts a text, or a JSON request body, to the local server and returns the response body.

    Raises:
        InputError: if no server listens on the port, or the server refuses the request.
    """
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        data=request_body(text),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - loopback only
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        raise InputError(f"refused with {error.code}: {error.read().decode()}") from error
    except OSError as error:
        raise InputError(
            f"nothing answers on 127.0.0.1:{port}: start `sashiko model serve --recipe NAME`"
        ) from error


def capture_settings(
    version: ModelVersion, home: Path, *, percent: int, retention: int
) -> CaptureSettings:
    """Returns where and how the requests to a version are captured."""
    return CaptureSettings(
        folder=home / CAPTURES,
        endpoint=version.group,
        variant=VARIANT,
        version=version.version,
        percent=percent,
        retention=retention,
    )
