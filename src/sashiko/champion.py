"""The approved model on this machine: unpacked for scoring, and called over HTTP."""

import json
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sashiko.errors import InputError
from sashiko.recipe import Recipe
from sashiko.registry import MlflowRegistry
from sashiko.repository import tracking_uri

_TIMEOUT_SECONDS = 60


def open_local(home: Path) -> MlflowRegistry:
    """Opens this machine's registry.

    Raises:
        InputError: if no run has made one yet.
    """
    if not (home / "mlflow.db").is_file():
        raise InputError(f"no model is registered below {home} yet: sashiko run")
    return MlflowRegistry(tracking_uri(home))


@contextmanager
def champion_artifact(recipe: Recipe, *, home: Path) -> Iterator[tuple[Path, float]]:
    """Yields the champion's `model.tar.gz` and its threshold; the copy is removed afterwards.

    Raises:
        InputError: if no version was approved yet, or its artifact is damaged.
    """
    registry = open_local(home)
    version = registry.champion(recipe.model_package_group)
    if version is None:
        raise InputError(
            f"{recipe.model_package_group} has no champion yet: look at `sashiko model list`, then "
            "`sashiko model approve VERSION --reason ...`"
        )
    with tempfile.TemporaryDirectory(prefix="sashiko-champion-") as folder:
        yield registry.download(version, Path(folder)), version.threshold


def invoke_local(text: str, *, port: int) -> str:
    """Posts a text, or a JSON request body, to the local server and returns the answer's body.

    Raises:
        InputError: if nothing listens there, or the request was refused.
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
        raise InputError(f"nothing answers on 127.0.0.1:{port}: start `make serve`") from error
