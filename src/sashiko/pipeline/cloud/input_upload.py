"""Stages the inputs of a run in the account: configuration, code, weights, and seed data.

Each object is written once under a content-addressed name, and S3 verifies its SHA-256. So an
aborted command, or two concurrent ones, lead to the same objects.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sashiko.account.account import Account
from sashiko.account.content_store import ContentStore
from sashiko.account.names import bucket_name
from sashiko.base.files import sha256_bytes, sha256_file
from sashiko.data.sources import fetch_data, fetch_weights
from sashiko.errors import InputError
from sashiko.pipeline.cloud.start import check_as_of
from sashiko.pipeline.staging import Staged
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe

_MARKER = "_SUCCESS"


@dataclass(frozen=True, kw_only=True)
class StagedPlace:
    """The objects below one prefix."""

    uri: str  # its S3 URI
    files: dict[str, str]  # name -> hex SHA-256
    uploaded: tuple[str, ...]  # those that were not there before


def stage_inputs(
    staged: Staged, recipe: Recipe, *, account: Account, cache: Path
) -> Iterator[StagedPlace]:
    """Uploads the inputs of a recipe's pipeline, small files first.

    Yields:
        each place as it is done.

    Raises:
        InputError: if the weights cannot be had, a place holds another content, or the caller may
            not write there.
    """
    store = ContentStore(account)
    digests = staged.places
    for channel in staged.channels:
        yield put_place(store.put, channel.uri, channel.files, digests[channel.uri])
    folder = cache / "weights" / staged.weights_uri.rpartition("/")[2]
    fetch_weights(recipe.model, folder)
    weights = {name: folder / name for name in staged.weights}
    yield put_place(store.put, staged.weights_uri, weights, digests[staged.weights_uri])


def stage_seed(
    settings: Settings, recipe: Recipe, *, table: str, as_of: str, account: Account, cache: Path
) -> StagedPlace:
    """Writes a recipe's own data to raw, as the whole extract of an instant.

    The marker comes last: it says that the extract is complete. `as_of` is an instant such as
    20261125T104500Z.

    Raises:
        InputError: if the data cannot be had, or the extract has other files.
    """
    data = fetch_data(recipe.data, cache=cache)
    digest = sha256_file(data)
    # Named by its content: raw is not for the deployer to read, so the name must tell it.
    name = f"{digest[:16]}{data.suffix.lower()}"
    uri = f"s3://{bucket_name(settings, 'raw')}/{table}/as_of={as_of}"
    store = ContentStore(account)
    other_files = sorted(set(store.sizes(uri)) - {name, _MARKER})
    if other_files:
        raise InputError(
            f"{uri} holds {other_files[0]} already: an extract is loaded as a whole; give another "
            "instant to --seed-data"
        )
    files: dict[str, bytes | Path] = {name: data, _MARKER: b""}
    digests = {name: digest, _MARKER: sha256_bytes(b"")}
    return put_place(store.put_new, uri, files, digests)


def check_seed(settings: Settings, as_of: str) -> None:
    """Checks that example data may be loaded into an environment, as of an instant.

    Raises:
        InputError: if it keeps its data, or `as_of` is no instant.
    """
    check_as_of(as_of, option="--seed-data")
    if settings.on_destroy == "retain":
        raise InputError(
            f"{settings.environment} keeps its data (`on_destroy: retain`), so no example data go "
            "there: what loads your extracts writes them to raw, and `_SUCCESS` after them"
        )


def put_place(
    put: Callable[..., bool], uri: str, files: Mapping[str, bytes | Path], digests: dict[str, str]
) -> StagedPlace:
    """Uploads the files of a place (name -> content) that are not there.

    `put` is `ContentStore.put`, or `put_new`, which keeps what is there; `digests` are hex SHA-256.

    Raises:
        InputError: if the caller may not write there, or the place holds another content.
    """
    uploaded = []
    for name, content in files.items():
        print(f"{uri}/{name}", file=sys.stderr)
        if put(f"{uri}/{name}", content, sha256=digests[name]):
            uploaded.append(name)
    return StagedPlace(uri=uri, files=digests, uploaded=tuple(uploaded))
