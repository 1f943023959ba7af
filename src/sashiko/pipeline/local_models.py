"""This machine's models: selects one, unpacks it for scoring, calls it over HTTP."""

import codecs
import csv
import itertools
import json
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from sashiko.account.endpoint_spec import VARIANT
from sashiko.base.files import atomic_writer
from sashiko.contract.model import Contract
from sashiko.data.ingest import typed_columns
from sashiko.errors import InputError, disk_reason
from sashiko.pipeline.project import CAPTURES, command_options, tracking_uri
from sashiko.registry.mlflow import MlflowRegistry
from sashiko.registry.versions import ModelVersion
from sashiko.serving.artifact import Artifact, RequestRefusedError, open_artifact
from sashiko.serving.container.text import columns
from sashiko.serving.local_capture import CaptureSettings
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


def invoke_local(text: str, *, port: int) -> str:
    """Posts a text, or a JSON request body, to the local server and returns the response body.

    Raises:
        InputError: if no server listens on the port, or the server refuses the request.
    """
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    payload = body if isinstance(body, dict) else {"inputs": [text]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        data=json.dumps(payload).encode(),
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


_BATCH_ROWS = 1000


def predict_file(
    archive: Path, *, threshold: float, contract: Contract, path: Path, out: Path | None
) -> None:
    """Writes a line of label and score for each row of a file, in its order.

    Values are cleaned and typed as the contract says, so that the model reads what it was trained
    on. Columns that the artifact's template does not name are ignored. A `.csv` has a header, and
    is written as the contract says. Without `out` the CSV goes to stdout, once all are scored.

    Raises:
        InputError: if the file cannot be read, lacks a column or holds a row that is refused, or
            the result cannot be written.
    """
    with open_artifact(archive, threshold=threshold) as artifact:
        batches = typed_columns(path, contract, columns(artifact.template))
        lines = itertools.chain([("label", "score")], _answers(artifact, batches, path))
        if out is not None:
            with atomic_writer(out) as file:
                csv.writer(codecs.getwriter("utf-8")(file), lineterminator="\n").writerows(lines)
            return
        try:
            with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as temporary:
                csv.writer(temporary, lineterminator="\n").writerows(lines)
                temporary.seek(0)
                shutil.copyfileobj(temporary, sys.stdout)
        except OSError as error:
            raise InputError(f"cannot write stdout: {disk_reason(error)}") from error


def _answers(
    artifact: Artifact, batches: Iterable[pa.RecordBatch], path: Path
) -> Iterator[tuple[str, str]]:
    done = 0
    slices = (
        batch.slice(start, _BATCH_ROWS).to_pylist()
        for batch in batches
        for start in range(0, batch.num_rows, _BATCH_ROWS)
    )
    for rows in slices:
        try:
            answers = artifact.predict(rows)
        except RequestRefusedError as error:
            row = done + (error.position or 0) + 1
            raise InputError(f"{path}: row {row}: {error.reason}") from error
        done += len(rows)
        print(f"scored {done:,} rows", file=sys.stderr)
        for answer in answers:
            yield answer.label, repr(answer.score)
