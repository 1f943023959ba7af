"""Monitoring in an account, for a person: stores and outcomes to read, draws, labels."""

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from sashiko.account.account import Account
from sashiko.account.content_store import ContentStore, list_objects, read_object, split_uri
from sashiko.account.names import Role
from sashiko.base.files import sha256_file
from sashiko.base.yaml_models import validate
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.pipeline.cloud.start import StagedPlace, put_place
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_packs.monitoring.labels import AddedLabels, add_labels, create_stores
from sashiko_packs.monitoring.ledger import Draw, draw_period
from sashiko_packs.monitoring.places import MonitorPlaces, monitor_places
from sashiko_packs.monitoring.result import MonitorResult, sort_history
from sashiko_packs.monitoring.window import Window

# Somebody else has written the object, or is writing it.
_WRITTEN: Final = {"PreconditionFailed", "ConditionalRequestConflict"}


@dataclass(frozen=True)
class MonitorFiles:
    """The objects of a recipe's stores in S3, and of its windows' outcomes."""

    account: Account
    settings: Settings
    recipe: Recipe
    role: Role  # that may use them, for errors

    @property
    def places(self) -> MonitorPlaces:
        """S3 URIs of what is kept."""
        return monitor_places(self.settings, self.recipe)

    def etags(self, uri: str) -> dict[str, str]:
        """Lists the objects below a URI: the rest of each one's URI -> its ETag.

        Raises:
            InputError: if the caller may not list them.
        """
        objects = list_objects(self.account, uri, role=self.role)
        return {name: str(item["ETag"]) for name, item in objects.items()}

    @contextmanager
    def copies(self, *uris: str) -> Iterator[tuple["Copy", ...]]:
        """Copies stores to a folder of this machine that is removed at the end.

        Raises:
            InputError: if the caller may not read one, or there is no such store.
        """
        with TemporaryDirectory() as scratch:
            yield tuple(
                self._copy(uri, Path(scratch, str(number))) for number, uri in enumerate(uris)
            )

    def put(self, path: Path, copy: "Copy") -> str:
        """Writes a file of a copy back, unless the object has changed; returns its new ETag.

        Raises:
            InputError: if the caller may not write it, or somebody else has done so since.
        """
        from botocore.exceptions import ClientError

        uri = f"{copy.uri}/{path.name}"
        bucket, key = split_uri(uri)
        etag = copy.etags.get(path.name)
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        with self.account.translate_errors(f"s3:PutObject {uri}", role=self.role):
            try:
                response = self.account.client("s3").put_object(
                    Bucket=bucket,
                    Key=key,
                    Body=path.read_bytes(),
                    ExpectedBucketOwner=self.account.number,
                    **condition,
                )
            except ClientError as error:
                if error.response["Error"]["Code"] not in _WRITTEN:
                    raise
                raise InputError(
                    f"{uri}: somebody else has just changed it; run the command again"
                ) from error
        return str(response["ETag"])

    def _copy(self, uri: str, folder: Path) -> "Copy":
        folder.mkdir(mode=0o700)
        etags = {}
        for name in self.etags(uri):
            content, etags[name] = read_object(self.account, f"{uri}/{name}", role=self.role)
            (folder / name).write_bytes(content)
        if not etags:
            options = f"--env {self.settings.environment} --recipe {self.recipe.name}"
            raise InputError(f"{uri} does not exist yet: sashiko env stage {options}")
        return Copy(uri=uri, folder=folder, etags=etags)


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A store as it was when it was copied."""

    uri: str
    folder: Path  # on this machine
    etags: dict[str, str]  # file -> the object's ETag


def stage_stores(
    settings: Settings,
    recipe: Recipe,
    *,
    contract: Contract,  # noqa: ARG001 - a hook's
    account: Account,
) -> Iterator[StagedPlace]:
    """Writes the monitor's stores without rows, where a file of them is missing.

    A job's input may not be empty. What a store holds is kept: nothing is overwritten.

    Yields:
        each store.

    Raises:
        InputError: if the caller may not write there.
    """
    store, places = ContentStore(account), monitor_places(settings, recipe)
    with TemporaryDirectory() as scratch:
        folders = {name: Path(scratch) / name for name in places.stores}
        create_stores(**folders)
        for name, folder in folders.items():
            files = {file.name: file for file in sorted(folder.iterdir())}
            digests = {file: sha256_file(path) for file, path in files.items()}
            yield put_place(store.put_new, places.stores[name], files, digests)


@dataclass(frozen=True)
class MonitoredModel(MonitorFiles):
    """A recipe's monitoring in an account, as a data scientist sees it."""

    role: Role = "data-scientist"

    def results(self) -> tuple[MonitorResult, ...]:
        """Reads the outcomes of all windows so far, by their ends.

        Raises:
            InputError: if the caller may not read them.
        """
        windows = self.places.windows
        results, others = [], []
        for name in self.etags(windows):
            uri = f"{windows}/{name}"
            if not uri.endswith(f"/{MonitorResult.FILE}"):
                continue
            content = json.loads(read_object(self.account, uri, role=self.role)[0])
            try:
                results.append(validate(MonitorResult, content, source=uri))
            except InputError:
                others.append(uri)
        return sort_history(results, others=others)

    @contextmanager
    def draw(self, version: int, *, window: Window, rows: int) -> Iterator[Draw]:
        """Draws rows to label, and keeps the draw in the account.

        Yields:
            The draw, whose file is there until the end.

        Raises:
            InputError: as `draw_period`; if the caller may not read the ledger, or somebody else
                draws at the same time.
        """
        with self.copies(self.places.draws, self.places.ledger) as (draws, ledger):
            draw = draw_period(
                draws.folder, ledger.folder, version=version, window=window, rows=rows
            )
            # A period that was drawn before gives the same rows.
            if draw.path.name not in draws.etags:
                self.put(draw.path, draws)
            yield draw

    def add_labels(
        self, file: Path, contract: Contract, *, now: dt.datetime, corrected_by: str | None = None
    ) -> AddedLabels:
        """Adds the labels of a file, as `sashiko_packs.monitoring.labels.add_labels`.

        Raises:
            InputError: as `add_labels`; or if somebody else adds labels at the same time.
        """
        with self.copies(self.places.labels) as (labels,):
            added = add_labels(
                file, contract, labels=labels.folder, now=now, corrected_by=corrected_by
            )
            for path in sorted(labels.folder.iterdir()):
                self.put(path, labels)
        return added
