"""The monitor's stores in an account, as they begin."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from sashiko.account.account import Account
from sashiko.account.content_store import ContentStore
from sashiko.base.files import sha256_file
from sashiko.contract.model import Contract
from sashiko.pipeline.cloud.stage import StagedPlace, put_place
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_packs.monitoring.labels import create_stores
from sashiko_packs.monitoring.places import monitor_places


def stage_stores(
    settings: Settings, recipe: Recipe, *, contract: Contract, account: Account
) -> Iterator[StagedPlace]:
    """Writes the monitor's stores without rows, where a file of them is missing.

    A job's input may not be empty. What a store holds is kept: nothing is overwritten.

    Yields:
        each store.

    Raises:
        InputError: if the caller may not write there.
    """
    store, places = ContentStore(account), monitor_places(settings, recipe)
    uris = {
        name: getattr(places, name) for name in ("ledger", "labels", "draws", "facets", "windows")
    }
    with tempfile.TemporaryDirectory() as scratch:
        folders = {name: Path(scratch) / name for name in uris}
        create_stores(contract, **folders)
        for name, folder in folders.items():
            files = {file.name: file for file in sorted(folder.iterdir())}
            digests = {file: sha256_file(path) for file, path in files.items()}
            yield put_place(store.put_new, uris[name], files, digests)
