"""A run of the batch pipeline on this machine, in a folder of its own."""

import datetime as dt
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from sashiko.base.files import translate_disk_errors, walk_files, write_json
from sashiko.base.yaml_models import read_record
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.data.lake_reader import DuckDbLake
from sashiko.errors import InputError
from sashiko.pipeline.local_run import local_images, stage_pipeline
from sashiko.pipeline.project import CAPTURES, LAKE, contract_file, tracking_uri
from sashiko.pipeline.runner.definition_run import run_definition
from sashiko.pipeline.runner.run_lock import run_lock
from sashiko.pipeline.runner.run_record import RunRecord, new_run_id, open_view
from sashiko.pipeline.runner.store import Store
from sashiko.registry.versions import ModelVersion
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_packs.batch.places import (
    FOLDER,
    BatchPlaces,
    batch_pipeline_name,
    batch_places,
    time_text,
)
from sashiko_packs.batch.records import Publication
from sashiko_packs.batch.settings import BatchSection

Window = tuple[dt.datetime, dt.datetime]


@dataclass(frozen=True)
class BatchFolder:
    """This machine's batches of a recipe: `<home>/batch`, which has a store of its own."""

    home: Path  # of all local state
    settings: Settings
    recipe: Recipe

    @property
    def contract(self) -> Contract:
        """The contract of the rows to score."""
        contract = load_contract(contract_file(self.recipe))
        return self.recipe.section(BatchSection).scored(contract)

    @property
    def places(self) -> BatchPlaces:
        """S3 URIs of the store."""
        return batch_places(self.settings, self.recipe, table=self.contract.table)

    @property
    def store(self) -> Store:
        """The stand-in for S3, apart from that of the runs, so both may run at once."""
        return Store((self.home / FOLDER / "s3").resolve())

    def publications(self) -> tuple[Publication, ...]:
        """Reads the records of all published batches, by the times of their runs."""
        folder = self.store.path(self.places.published)
        files = sorted(folder.rglob(Publication.FILE))
        records = [read_record(Publication, file) for file in files]
        return tuple(sorted(records, key=lambda record: (record.time, record.batch)))


def run_batch(
    folder: BatchFolder, version: ModelVersion, *, window: Window | None, command: str
) -> tuple[RunRecord, Publication | None]:
    """Scores the rows of the local lake, all or those of a window, by a version.

    Returns:
        The run, and the published batch; None if the run did not succeed. A batch that an earlier
        run has published has the id of that run.

    Raises:
        InputError: if the table has no rows, or the machine does not allow a run.
    """
    settings, recipe, places = folder.settings, folder.recipe, folder.places
    home, table = folder.home / FOLDER, folder.contract.table
    lake = (folder.home / LAKE).resolve()
    if not any((lake / table).glob("*.parquet")):
        raise InputError(
            f"the lake has no table `{table}` of rows to score: put Parquet files with the "
            f"contract's columns, without the label, into {lake / table}"
        )
    run_id = new_run_id(home)
    start, end = window or (None, None)
    with run_lock(home, run_id):
        _pass_captures(folder)  # of a run that was killed
        _remove_rows(folder)
        definition = stage_pipeline(
            settings, recipe, home=folder.home, store=folder.store, module="batch"
        )
        write_json(folder.store.path(places.empty_file), {})
    try:
        with open_view() as view:
            record = run_definition(
                json.loads(definition),
                home=home,
                images=local_images(settings, recipe),
                parameters={
                    "LakeUri": f"duckdb://{lake}",
                    "AsOf": DuckDbLake(folder=lake).version(table),
                    "WindowStart": time_text(start),
                    "WindowEnd": time_text(end),
                    "ModelVersion": str(version.version),
                    "Now": time_text(dt.datetime.now(dt.UTC)),
                    "ModelRegistry": "mlflow",
                    "MlflowTrackingUri": tracking_uri(folder.home),
                    "AnswersUri": f"duckdb://{lake}",
                },
                pipeline=batch_pipeline_name(settings, recipe.name),
                run_id=run_id,
                view=view,
                command=command,
            )
        if record.status != "succeeded":
            return record, None
        published = record.step("PublishAnswers").outputs["published"]
        return record, Publication.read(folder.store.path(published.uri))
    finally:
        _pass_captures(folder)
        _remove_rows(folder)


def _pass_captures(folder: BatchFolder) -> None:
    """Moves what monitoring reads of the answers beside the requests that the server captured."""
    source = folder.store.path(folder.places.captures)
    target = folder.home / CAPTURES / source.name
    with translate_disk_errors(f"cannot write {target}"):
        for file in walk_files(source):
            if file.stat().st_size:
                place = target / file.relative_to(source)
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                file.replace(place)


def _remove_rows(folder: BatchFolder) -> None:
    """Removes what runs left of rows, which expires nowhere else; answers and records stay.

    A failed step's own folder is kept until the next run, so that it can be looked at.
    """
    uris = (folder.places.rows, folder.places.captures)
    for uri in uris:
        shutil.rmtree(folder.store.path(uri), ignore_errors=True)
