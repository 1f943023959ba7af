"""The registry of local runs: MLflow's, in a sqlite file."""

import fcntl
import json
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from sashiko.base.files import sha256_file, translate_disk_errors
from sashiko.errors import InputError
from sashiko.registry import versions
from sashiko.registry.versions import (
    ARTIFACT_FILE,
    ApprovalStatus,
    Decision,
    LineageEdge,
    ModelVersion,
)

SQLITE = "sqlite:///"
# sqlite's messages for a full disk: SQLITE_FULL, and SQLITE_IOERR under a quota.
_NO_ROOM = ("database or disk is full", "disk I/O error")
_STATUS = "model_approval_status"
_PENDING = "PendingManualApproval"
_DECISION = "decision."  # prefix of the tags that hold one decision each
_EXECUTION_TAG = "execution_id"  # of a run
_DESCRIPTION = 5000  # characters


class MlflowRegistry:
    """MLflow's model registry at a tracking URI."""

    def __init__(self, tracking_uri: str) -> None:
        """Opens the registry.

        Raises:
            InputError: if it cannot be reached.
        """
        self._uri = tracking_uri
        self._client = mlflow_client(tracking_uri)

    def versions(self, group: str) -> list[ModelVersion]:
        """Returns a group's versions, newest first; none if the group does not exist."""
        if not self._client.search_registered_models(f"name='{group}'"):
            return []
        # The search returns versions without aliases; the registered model has all of them.
        aliases = self._client.get_registered_model(group).aliases
        items = self._client.search_model_versions(f"name='{group}'")
        group_versions = []
        for item in items:
            tags = {k: value for k, value in item.tags.items() if not k.startswith(_DECISION)}
            names = (key for key, number in aliases.items() if str(number) == str(item.version))
            status, number = tags.get(_STATUS, _PENDING), int(item.version)
            marks = tuple(sorted(names))
            group_versions.append(
                versions.to_version(group, number, status=status, tags=tags, aliases=marks)
            )
        return sorted(group_versions, key=lambda version: version.version, reverse=True)

    def champion(self, group: str) -> ModelVersion | None:
        """Returns the version in use, or None if no version is approved yet."""
        return next((item for item in self.versions(group) if "champion" in item.aliases), None)

    def version(self, group: str, number: int) -> ModelVersion:
        """Returns one version.

        Raises:
            InputError: if there is no such version.
        """
        return versions.number_in(self.versions(group), number, group=group)

    def download(self, version: ModelVersion, folder: Path) -> Path:
        """Copies a version's `model.tar.gz` into `folder` and returns its path.

        Raises:
            InputError: if it is missing, or is not the file that was registered.
        """
        path = self._fetch(version, ARTIFACT_FILE, folder)
        if sha256_file(path) != version.artifact_sha256:
            raise InputError(
                f"model {version.group} version {version.version}: {ARTIFACT_FILE} is not the file "
                f"that was registered (its sha256 differs); {_repair_advice(version)}"
            )
        return path

    def file(self, version: ModelVersion, name: str) -> bytes:
        """Reads one of the files that were registered with a version.

        Raises:
            InputError: if it is missing.
        """
        with tempfile.TemporaryDirectory() as folder:
            return self._fetch(version, name, Path(folder)).read_bytes()

    def register(
        self, group: str, *, files: Path, run_id: str | None, threshold: float, tags: dict[str, str]
    ) -> tuple[ModelVersion, bool]:
        """Registers an artifact as the group's `candidate`, pending approval.

        The artifact is stored before the version is created, so no version lacks it. An artifact
        that is registered already with the same threshold and data is not registered again; its
        files are stored again if they are damaged, and a missing alias of a killed registration is
        set. The tags must have `execution_id`, `data_sha256` and `contract_sha256`.

        Returns:
            The version, and whether it is new.

        Raises:
            InputError: if there is no run.
        """
        if run_id is None:
            raise InputError("MLflow could not be reached, so there is no run to register")
        digest = sha256_file(files / ARTIFACT_FILE)
        tags = versions.recorded(tags, artifact_sha256=digest, threshold=threshold)
        tags[_STATUS] = _PENDING
        if existing := versions.already_registered(self.versions(group), tags):
            return self._repair(existing, files, digest), False
        with translate_full_disk(self._uri):
            if not self._client.search_registered_models(f"name='{group}'"):
                self._client.create_registered_model(group)
            source = f"{self._client.get_run(run_id).info.artifact_uri}/model"
            self._store(files, source, run_id=run_id)
            card = files / versions.MARKDOWN_FILE
            text = card.read_text(encoding="utf-8")[:_DESCRIPTION] if card.is_file() else None
            item = self._client.create_model_version(
                group, source, run_id=run_id, tags=tags, description=text
            )
            self._client.set_registered_model_alias(group, "candidate", item.version)
        return self.version(group, int(item.version)), True

    def decide(
        self, group: str, number: int, *, status: ApprovalStatus, by: str, reason: str
    ) -> ModelVersion:
        """Appends a person's decision; the newest approved version is the champion.

        Raises:
            InputError: if there is no such version, or the disk is full.
        """
        version = self.version(group, number)
        time = datetime.now(UTC).isoformat(timespec="microseconds")
        decision = Decision(
            status=status, by=by, reason=reason, time=time, digests=versions.digests_of(version)
        )
        suffix = secrets.token_hex(4)  # two decisions at one time are two records
        tags = {f"{_DECISION}{time[:-6].replace(':', '.')}.{suffix}": json.dumps(asdict(decision))}
        if len(before := self.decisions(version)) == 1 and before[0].time is None:
            tags[f"{_DECISION}0"] = json.dumps(asdict(before[0]))
        # The record comes first: no decision is in force without one.
        with translate_full_disk(self._uri):
            for key, value in {**tags, _STATUS: status}.items():
                self._client.set_model_version_tag(group, str(number), key, value)
        approved = [item for item in self.versions(group) if item.status == "Approved"]
        if approved:
            self._client.set_registered_model_alias(group, "champion", str(approved[0].version))
        elif "champion" in version.aliases:
            self._client.delete_registered_model_alias(group, "champion")
        return self.version(group, number)

    def decisions(self, version: ModelVersion) -> list[Decision]:
        """Returns the decisions on a version, oldest first."""
        tags = self._client.get_model_version(version.group, str(version.version)).tags
        records = sorted(item for item in tags.items() if item[0].startswith(_DECISION))
        if records or "approval.by" not in tags:
            return [Decision(**json.loads(text)) for _, text in records]
        # An earlier engine kept the last decision alone, without its time.
        by, reason = tags["approval.by"], tags.get("approval.reason", "")
        return [Decision(status=version.status, by=by, reason=reason, time=None, digests={})]

    def lineage(self, version: ModelVersion) -> list[LineageEdge]:
        """Returns the lineage in a version's tags, nearest first."""
        tags = version.tags
        artifact = f"artifact sha256:{version.artifact_sha256}"
        data = f"data sha256:{tags['data_sha256']}"
        return [
            LineageEdge(artifact, "DerivedFrom", f"version {version.group} {version.version}"),
            LineageEdge(data, "DerivedFrom", artifact),
            LineageEdge(f"commit {tags.get('git_sha', 'unknown')}", "ContributedTo", artifact),
            LineageEdge(f"contract sha256:{tags['contract_sha256']}", "ContributedTo", data),
        ]

    def _repair(self, existing: ModelVersion, files: Path, digest: str) -> ModelVersion:
        """Restores files and alias of an existing version with the artifact in `files`."""
        item = self._client.get_model_version(existing.group, str(existing.version))
        folder = _local_folder(item.source)
        stored = folder / ARTIFACT_FILE if folder else None
        damaged = stored and not (stored.is_file() and sha256_file(stored) == digest)
        with translate_full_disk(self._uri):
            if damaged and existing.artifact_sha256 == digest:
                self._store(files, item.source, run_id=item.run_id)
            if existing == self.versions(existing.group)[0] and "candidate" not in existing.aliases:
                self._client.set_registered_model_alias(existing.group, "candidate", item.version)
        return self.version(existing.group, existing.version)

    def _store(self, files: Path, source: str, *, run_id: str) -> None:
        """Writes files to a version's source; on this machine atomically.

        MLflow copies them one by one, so a killed job would leave a partial file.
        """
        folder = _local_folder(source)
        if folder is None:
            self._client.log_artifacts(run_id, str(files), "model")
            return
        with translate_disk_errors(f"cannot write {folder}"):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".tmp-") as scratch:
                shutil.copytree(files, Path(scratch, "new"))
                if folder.exists():
                    folder.rename(Path(scratch, "old"))
                Path(scratch, "new").rename(folder)

    def _fetch(self, version: ModelVersion, name: str, folder: Path) -> Path:
        import mlflow.artifacts

        item = self._client.get_model_version(version.group, str(version.version))
        try:
            path = mlflow.artifacts.download_artifacts(
                artifact_uri=f"{item.source}/{name}", dst_path=str(folder), tracking_uri=self._uri
            )
            return Path(path)
        except Exception as error:
            label = "its artifact" if name == ARTIFACT_FILE else name
            raise InputError(
                f"model {version.group} version {version.version}: {label} cannot be read: "
                f"{error}; {_repair_advice(version)}"
            ) from error


def _repair_advice(version: ModelVersion) -> str:
    # A run stores the artifact again, after a damaged champion is rejected.
    recipe = f" --recipe {version.tags['recipe']}" if "recipe" in version.tags else ""
    withdrawn = f"`sashiko model reject {version.version}{recipe} --reason damaged`, then "
    return (
        f"{withdrawn if 'champion' in version.aliases else ''}`sashiko run{recipe}` of the same "
        "data and code, which stores it again"
    )


def _local_folder(source: str) -> Path | None:
    """Returns the folder of a version's source URI, if it is on this machine."""
    uri = urlsplit(source)
    return Path(url2pathname(uri.path)) if uri.scheme == "file" else None


def mlflow_client(tracking_uri: str) -> Any:
    """Returns an MlflowClient; creates its database if it does not exist.

    Raises:
        InputError: if MLflow cannot be reached.
    """
    if not tracking_uri:
        raise InputError("MLFLOW_TRACKING_URI is not set: the pipeline's parameter sets it")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # By default MLflow sends telemetry for each created run and version.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from mlflow import MlflowClient

    def connect(uri: str) -> Any:
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
        return client

    try:
        database = Path(tracking_uri.removeprefix(SQLITE))
        if tracking_uri.startswith(SQLITE) and not database.exists():
            # Made in a temporary folder: MLflow creates its tables one by one, and refuses a
            # database that has only some of them.
            with tempfile.TemporaryDirectory(dir=database.parent, prefix=".tmp-") as scratch:
                connect(f"{SQLITE}{Path(scratch, database.name)}")
                with suppress(FileExistsError):  # another step was faster
                    os.link(Path(scratch, database.name), database)
        return connect(tracking_uri)
    except Exception as error:
        raise InputError(f"MLflow at {tracking_uri} cannot be reached: {error}") from error


@contextmanager
def translate_full_disk(tracking_uri: str) -> Iterator[None]:
    """Turns sqlite's errors of a full disk, as raised by MLflow, into one clear error.

    Raises:
        InputError: if the database could not grow.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if not any(text in str(error) for text in _NO_ROOM):
            raise
        problem = "its disk is full or failing; free some space and run again"
        raise InputError(f"cannot write {tracking_uri}: {problem}") from error


def execution_run(
    client: Any, experiment: str, execution_id: str, *, tracking_uri: str
) -> tuple[str, bool]:
    """Returns the id of an execution's run, and whether it is finished; creates it if missing.

    Track and Register may ask for it at the same time. A file's lock lets one of them create it; of
    two that a server has nevertheless, both take the older one.
    """
    same = f"tags.{_EXECUTION_TAG} = '{execution_id}'"
    with _one_at_a_time(tracking_uri):
        id_ = experiment_id(client, experiment, tracking_uri=tracking_uri)
        if not (runs := client.search_runs([id_], same)):
            client.create_run(id_, run_name=execution_id, tags={_EXECUTION_TAG: execution_id})
            runs = client.search_runs([id_], same)
        oldest = min(runs, key=lambda run: (run.info.start_time, run.info.run_id)).info
    return str(oldest.run_id), oldest.status == "FINISHED"


@contextmanager
def _one_at_a_time(tracking_uri: str) -> Iterator[None]:
    if not tracking_uri.startswith(SQLITE):
        yield
        return
    with Path(f"{tracking_uri.removeprefix(SQLITE)}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
        yield


def experiment_id(client: Any, name: str, *, tracking_uri: str) -> str:
    """Returns the id of an experiment; creates it if missing.

    With a sqlite URI the artifacts are stored in the folder of the database file.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment:
        return str(experiment.experiment_id)
    location = None
    if tracking_uri.startswith(SQLITE):
        database = Path(tracking_uri.removeprefix(SQLITE))
        location = (database.parent / "mlartifacts").as_uri()
    return str(client.create_experiment(name, artifact_location=location))
