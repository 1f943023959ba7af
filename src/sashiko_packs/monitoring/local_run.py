"""A run of the monitoring pipeline on this machine, in a folder of its own."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from sashiko.account.names import bucket_name
from sashiko.base.files import walk_files
from sashiko.data.lake_reader import DuckDbLake
from sashiko.errors import InputError
from sashiko.pipeline.local_run import local_images, stage_pipeline
from sashiko.pipeline.project import CAPTURES, LAKE, command_options, recipe_table
from sashiko.pipeline.runner.definition_run import run_definition
from sashiko.pipeline.runner.run_lock import run_lock
from sashiko.pipeline.runner.run_record import RunRecord, new_run_id, open_view
from sashiko.pipeline.runner.store import Store, copy_files
from sashiko.registry.versions import MONITORING_TAGS, ModelVersion
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_packs.monitoring.places import (
    FOLDER,
    MonitorPlaces,
    monitor_pipeline_name,
    monitor_places,
)
from sashiko_packs.monitoring.result import MonitorResult, read_history
from sashiko_packs.monitoring.window import Window, basic_time

_BIAS_ROWS = "BiasRowsUri"
_PARAMETERS = ("ReferenceUri", "TestUri", _BIAS_ROWS)  # of the tags in `MONITORING_TAGS`


@dataclass(frozen=True)
class MonitorFolder:
    """This machine's monitoring of a recipe: `<home>/monitor`, which has a store of its own."""

    home: Path  # of all local state
    settings: Settings
    recipe: Recipe

    @property
    def places(self) -> MonitorPlaces:
        """S3 URIs of the store."""
        return monitor_places(self.settings, self.recipe)

    @property
    def store(self) -> Store:
        """The stand-in for S3, apart from that of the runs, so both may run at once."""
        return Store((self.home / FOLDER / "s3").resolve())

    @property
    def report(self) -> Path:
        """The page over all windows."""
        return self.home / FOLDER / f"{self.recipe.model_package_group}.html"

    def path(self, uri: str) -> Path:
        """Returns the folder of an S3 URI."""
        return self.store.path(uri)

    def results(self) -> tuple[MonitorResult, ...]:
        """Reads the outcomes of all windows so far, by their ends."""
        return read_history(self.path(self.places.windows))


def capture_uri(settings: Settings, *, endpoint: str) -> str:
    """Returns the S3 URI of an endpoint's captures."""
    return f"s3://{bucket_name(settings, 'capture')}/{endpoint}"


def run_monitor(
    folder: MonitorFolder, version: ModelVersion, *, window: Window, command: str
) -> tuple[RunRecord, MonitorResult | None]:
    """Runs the monitoring pipeline on the captures of this machine's server.

    The window's end is the time of the read; the command line repeats the run.

    Returns:
        The run, and the window's outcome; None if the run did not succeed.

    Raises:
        InputError: if nothing was captured, the version's held-out rows are gone, or the machine
            does not allow a run.
    """
    settings, recipe, places = folder.settings, folder.recipe, folder.places
    home = folder.home / FOLDER
    captured = folder.home / CAPTURES / version.group
    if not any(captured.rglob("*.jsonl")):
        options = command_options(recipe=recipe.name, home=folder.home)
        raise InputError(
            f"nothing is captured in {captured} yet: sashiko model serve{options} --capture 100"
        )
    run_id = new_run_id(home)
    # A copy of this run's own: what another one stages or removes does not concern it.
    captures = f"{capture_uri(settings, endpoint=version.group)}/{run_id}"
    with run_lock(home, run_id):
        _remove_texts(folder)
        definition = stage_pipeline(
            settings, recipe, home=folder.home, store=folder.store, module="monitor"
        )
        parameters = _references(folder, version)
        if recipe.bias.judged:
            lake = (folder.home / LAKE).resolve()
            as_of = DuckDbLake(folder=lake).version(recipe_table(recipe))
            parameters |= {"LakeUri": f"duckdb://{lake}", "AsOf": as_of}
        target = folder.path(captures)
        try:
            shutil.copytree(captured, target, copy_function=os.link)
        except (OSError, shutil.Error) as error:
            raise InputError(f"cannot stage {captured} in {target}: {error}") from error
    try:
        with open_view() as view:
            record = run_definition(
                json.loads(definition),
                home=home,
                images=local_images(settings, recipe),
                parameters={
                    "CaptureUri": captures,
                    "ModelVersion": str(version.version),
                    "WindowStart": basic_time(window.start),
                    "WindowEnd": basic_time(window.end),
                    "Now": basic_time(window.end),
                    **parameters,
                },
                pipeline=monitor_pipeline_name(settings, recipe.name),
                run_id=run_id,
                view=view,
                command=command,
            )
    finally:
        for uri in (captures, f"{places.decoded}/{run_id}", f"{places.decisions}/{run_id}"):
            shutil.rmtree(folder.path(uri), ignore_errors=True)
    if record.status != "succeeded":
        return record, None
    result = record.step("JudgeMonitor").outputs["result"]
    return record, MonitorResult.read(folder.path(result.uri))


def _remove_texts(folder: MonitorFolder) -> None:
    """Removes what killed and failed runs left of captured requests, which expires nowhere else.

    A failed step's own folder is kept until then, so that the step can be run again.
    """
    captures = capture_uri(folder.settings, endpoint=folder.recipe.model_package_group)
    left = (folder.home / FOLDER / "runs").glob("*/work")
    uris = (captures, folder.places.decoded, folder.places.decisions)
    for path in (*map(folder.path, uris), *left):
        shutil.rmtree(path, ignore_errors=True)


def _references(folder: MonitorFolder, version: ModelVersion) -> dict[str, str]:
    """Copies what the version is compared with; returns the pipeline's parameters for it.

    Raises:
        InputError: if the version does not name it, or its files are gone.
    """
    runs = Store((folder.home / "s3").resolve())
    again = "run the pipeline again and approve the new version"
    parameters: dict[str, str] = {}
    for tag, parameter in zip(MONITORING_TAGS, _PARAMETERS, strict=True):
        if parameter == _BIAS_ROWS and not folder.recipe.bias.judged:
            continue
        name, uri = f"{version.group} version {version.version}", version.tags.get(tag)
        if uri is None:
            raise InputError(f"{name} has no `{tag}`, which monitoring compares it with: {again}")
        if not any(walk_files(runs.path(uri))):
            raise InputError(
                f"{name}: {runs.path(uri)}, which monitoring compares it with, is gone: {again}"
            )
        copy_files(runs.files(uri), folder.path(uri))
        parameters[parameter] = uri
    return parameters
