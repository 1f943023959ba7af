"""Monitoring in an account, for a person: outcomes to read, rows to draw, labels to add."""

import datetime as dt
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sashiko.aws.operations.runs.content_store import split_uri
from sashiko.aws.operations.runs.executions import Executions
from sashiko.aws.resources.account import Account
from sashiko.aws.resources.monitor_places import MonitorPlaces, monitor_places
from sashiko.aws.resources.names import Role
from sashiko.contract.model import Contract
from sashiko.core.yaml_models import validate
from sashiko.errors import InputError
from sashiko.monitoring.capture.record import Window
from sashiko.monitoring.draws import Draw, draw_period
from sashiko.monitoring.labels import AddedLabels, add_labels, create_stores
from sashiko.monitoring.result import RESULT_FILE, MonitorResult
from sashiko.monitoring.retraining import Candidate
from sashiko.pipeline.candidates import candidates_of
from sashiko.registry.versions import ModelVersion
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe

_ROLE: Final[Role] = "data-scientist"
_MOST_EXECUTIONS: Final = 100
# Somebody else has written the object, or is writing it.
_WRITTEN: Final = {"PreconditionFailed", "ConditionalRequestConflict"}


@dataclass(frozen=True)
class MonitoredModel:
    """A recipe's monitoring in an account, as the role `data-scientist` sees it."""

    account: Account
    settings: Settings
    recipe: Recipe

    @property
    def places(self) -> MonitorPlaces:
        """S3 URIs of what is kept."""
        return monitor_places(self.settings, self.recipe)

    def results(self) -> tuple[MonitorResult, ...]:
        """Reads the outcomes of all windows so far, by their ends.

        Raises:
            InputError: if the caller may not read them, or one is not valid.
        """
        results = (
            validate(MonitorResult, json.loads(self._get(uri)["Body"].read()), source=uri)
            for uri in self._objects(self.places.windows)
            if uri.endswith(f"/{RESULT_FILE}")
        )
        return tuple(sorted(results, key=lambda result: (result.end, result.version)))

    def candidates(
        self, version: ModelVersion, versions: Sequence[ModelVersion]
    ) -> tuple[Candidate, ...]:
        """Returns the candidates since a version was made, by their start.

        Args:
            version: the one that is monitored.
            versions: all of its group.
        """
        executions = Executions(
            self.settings, self.recipe.name, account=self.account, command=""
        ).newest(_MOST_EXECUTIONS)
        ids = [item.id for item in executions]
        made_by = version.tags["execution_id"]
        # A promoted version was made in another environment: all count, so that the guards rather
        # refuse a run than propose one too many.
        newer = executions[: ids.index(made_by)] if made_by in ids else executions
        return candidates_of([item.record() for item in reversed(newer)], versions)

    @contextmanager
    def draw(self, version: int, *, window: Window, rows: int) -> Iterator[Draw]:
        """Draws rows to label, and keeps the draw in the account.

        Args:
            version: whose answers.
            window: as of `draw_period`.
            rows: how many.

        Yields:
            The draw, whose file is there until the end.

        Raises:
            InputError: as `draw_period`; if the caller may not read the ledger, or somebody else
                draws at the same time.
        """
        with tempfile.TemporaryDirectory() as scratch:
            draws, ledger = Path(scratch, "draws"), Path(scratch, "ledger")
            known = self._download(self.places.draws, draws)
            self._download(self.places.ledger, ledger)
            draw = draw_period(draws, ledger, version=version, window=window, rows=rows)
            if draw.path.name not in known:  # a period that was drawn before gives the same rows
                self._put(f"{self.places.draws}/{draw.path.name}", draw.path, {"IfNoneMatch": "*"})
            yield draw

    def add_labels(self, file: Path, contract: Contract, *, now: dt.datetime) -> AddedLabels:
        """Adds the labels of a file.

        Args:
            file: as of `sashiko.monitoring.labels.add_labels`.
            contract: names and types its columns.
            now: when the labels were received.

        Raises:
            InputError: as `add_labels`; if the file has facets, which no person writes in an
                account, or somebody else adds labels at the same time.
        """
        with tempfile.TemporaryDirectory() as scratch:
            labels, facets = Path(scratch, "labels"), Path(scratch, "facets")
            versions = self._download(self.places.labels, labels)
            others = {name: Path(scratch, name) for name in ("ledger", "draws")}
            create_stores(contract, labels=labels, facets=facets, **others)
            added = add_labels(file, contract, labels=labels, facets=facets, now=now)
            if added.facets is not None:
                raise InputError(
                    f"{file}: it has facets, and in an account the bias evaluator's jobs alone "
                    "write them: leave those columns out"
                )
            for path in sorted(labels.iterdir()):
                unchanged = {"IfMatch": versions[path.name]} if path.name in versions else {}
                self._put(f"{self.places.labels}/{path.name}", path, unchanged)
        return added

    def _objects(self, uri: str) -> Iterator[str]:
        bucket, prefix = split_uri(f"{uri}/")
        with self.account.translate_errors(f"s3:ListBucket of {uri}", role=_ROLE):
            pages = self.account.client("s3").get_paginator("list_objects_v2")
            for page in pages.paginate(
                Bucket=bucket, Prefix=prefix, ExpectedBucketOwner=self.account.number
            ):
                for item in page.get("Contents", ()):
                    yield f"s3://{bucket}/{item['Key']}"

    def _get(self, uri: str) -> Any:
        bucket, key = split_uri(uri)
        return self.account.read(
            "s3",
            "get_object",
            role=_ROLE,
            Bucket=bucket,
            Key=key,
            ExpectedBucketOwner=self.account.number,
        )

    def _download(self, uri: str, folder: Path) -> dict[str, str]:
        """Copies the objects of a store, and returns name -> ETag.

        Raises:
            InputError: if there is no such store.
        """
        folder.mkdir(mode=0o700)
        etags = {}
        for item in self._objects(uri):
            response, name = self._get(item), item.rpartition("/")[2]
            (folder / name).write_bytes(response["Body"].read())
            etags[name] = str(response["ETag"])
        if not etags:
            options = f"--env {self.settings.environment} --recipe {self.recipe.name}"
            raise InputError(f"{uri} does not exist yet: sashiko stage {options}")
        return etags

    def _put(self, uri: str, path: Path, condition: dict[str, str]) -> None:
        from botocore.exceptions import ClientError

        bucket, key = split_uri(uri)
        with self.account.translate_errors(f"s3:PutObject {uri}", role=_ROLE):
            try:
                self.account.client("s3").put_object(
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
