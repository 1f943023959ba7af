"""A run on this machine: seeds the lake, stages the pipeline's inputs, runs the pipeline."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import yaml

from sashiko.account.images.job_images import job_images
from sashiko.account.names import function_arn, pipeline_name
from sashiko.base.files import translate_disk_errors, write_bytes
from sashiko.contract.load import load_contract
from sashiko.data.lake import seed_lake, table_folder
from sashiko.data.sources import fetch_data, fetch_weights
from sashiko.errors import InputError
from sashiko.functions import gatekeeper_handler
from sashiko.pipeline.compiled import compile_pipeline
from sashiko.pipeline.definition.definition_records import PARAMETER, definition_sha256
from sashiko.pipeline.project import (
    LAKE,
    SELECTION_FILE,
    chosen_record,
    contract_file,
    tracking_uri,
)
from sashiko.pipeline.runner.code import slow_modules
from sashiko.pipeline.runner.definition_run import check_step, run_definition
from sashiko.pipeline.runner.execute import shared_environment
from sashiko.pipeline.runner.local_job import Image
from sashiko.pipeline.runner.process import Processes, usable_cores
from sashiko.pipeline.runner.run_lock import run_lock
from sashiko.pipeline.runner.run_record import RunRecord, new_run_id, open_view
from sashiko.pipeline.runner.store import Store
from sashiko.pipeline.staging import staged_inputs, weights_uri
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.settings.targets import load_target
from sashiko.steps.sections import Channel

# What steps import, in the order of its use. That of the first step is imported beside what comes
# before it. That takes long enough in a first run, which validates and makes the definition, for
# what the next ones import.
_EARLY = ("pydantic", "numpy", "pyarrow")
_OF_MOST_STEPS = ("jsonschema", "sashiko.contract.odcs", "sashiko.steps.sections")
_LATER = ("mlflow",)
_FIRST = (*_LATER, "great_expectations")


def run_pipeline(
    settings: Settings,
    recipe: Recipe,
    *,
    home: Path,
    from_step: str | None,
    command: str,
    until: str | None = None,
    as_of: str | None = None,
) -> RunRecord:
    """Runs a recipe's pipeline on this machine, up to the step `until`; `as_of` is `seed_lake`'s.

    Raises:
        InputError: if the contract, the data, the weights or the machine do not allow a run.
    """
    if load_target(recipe.compile.target).accelerated:
        raise InputError(
            f"recipe {recipe.name}: key `compile.target`: {recipe.compile.target}: a run on this "
            "machine compiles and serves on its CPU: run it with `--set compile.target=cpu`, or in "
            "an account (`recipe` of config/<env>.yaml)"
        )
    if recipe.train.distributed.nodes > 1:
        raise InputError(
            f"recipe {recipe.name}: key `train.distributed.nodes`: {recipe.train.distributed.nodes}"
            ": this machine is one node: run it with `--set train.distributed.nodes=1` and as many "
            "`train.distributed.processes` as it has cores, or in an account (`recipe` of "
            "config/<env>.yaml)"
        )
    contract_path = contract_file(recipe)
    store = Store((home / "s3").resolve())
    contract = load_contract(contract_path)
    if as_of is not None and table_folder(recipe, contract) is None:
        raise InputError("--as-of: the local lake has one version of the data; leave it out")
    _make_private(home)
    run_id = new_run_id(home)
    processes = Processes(usable_cores())
    with closing(processes):
        with run_lock(home, run_id):  # the lake must not change during another run
            processes.fork_early(
                environment=shared_environment({"OMP_NUM_THREADS": str(settings.threads)}),
                imports=(
                    *(*slow_modules(_EARLY), *_OF_MOST_STEPS),
                    *(() if (home / "cache" / "steps").is_dir() else slow_modules(_FIRST)),
                ),
                later=slow_modules(_LATER),
            )
            with ThreadPoolExecutor(max_workers=1) as pool:
                # Importing the SDK takes a process of its own seconds, with one core.
                compilation = pool.submit(compile_pipeline, settings, recipe, home=home)
                if from_step is not None:
                    check_step(json.loads(compilation.result().definition), from_step)
                table = seed_lake(
                    recipe, contract, lake=home / LAKE, cache=home / "cache", as_of=as_of
                )
                fetch_weights(recipe.model, store.path(weights_uri(settings, recipe)))
                pipeline = compilation.result()
            staged = staged_inputs(settings, recipe, pipeline.channels)
            for channel in staged.channels:
                for name, content in channel.files.items():
                    path = store.path(channel.uri) / name  # which has the content's digest in it
                    if not path.is_file() or path.read_bytes() != content:
                        write_bytes(path, content)

        definition = json.loads(pipeline.definition)
        with open_view() as view:
            return run_definition(
                definition,
                home=home,
                images=local_images(settings, recipe),
                functions={function_arn(settings, "gatekeeper"): gatekeeper_handler.judge},
                parameters={
                    "LakeUri": table.uri,
                    "AsOf": table.as_of,
                    "ModelRegistry": "mlflow",
                    "MlflowTrackingUri": tracking_uri(home),
                    "RunManifestUri": staged.run_manifest.uri,
                    PARAMETER: definition_sha256(definition),
                },
                pipeline=pipeline_name(settings, recipe.name),
                run_id=run_id,
                view=view,
                evidence=_evidence(
                    recipe, contract_path=contract_path, manifest=staged.run_manifest, home=home
                ),
                from_step=from_step,
                until=until,
                command=command,
                processes=processes,
            )


def stage_pipeline(
    settings: Settings, recipe: Recipe, *, home: Path, store: Store, module: str
) -> str:
    """Compiles a pipeline of a pack, and writes its channels into a store; returns the definition.

    Raises:
        InputError: if it cannot be compiled, or the store cannot be written.
    """
    pipeline = compile_pipeline(settings, recipe, home=home, pipeline=module)
    for channel in pipeline.channels:
        for name, content in channel.files.items():
            write_bytes(store.path(channel.uri) / name, content)
    return pipeline.definition


def local_images(settings: Settings, recipe: Recipe) -> dict[str, Image]:
    """Returns the image of each URI that a recipe's jobs name, as this machine starts it."""
    images = job_images(settings, recipe.compile.target).of_jobs()
    return {image.uri: Image(entrypoint=image.entrypoint) for image in images}


def fetch_inputs(settings: Settings, recipe: Recipe, *, home: Path) -> None:
    """Fetches or generates a recipe's raw data and weights, so that a run needs no network.

    Raises:
        InputError: if no source works, another run is active in `home`, or it cannot be written.
    """
    _make_private(home)
    with run_lock(home, "fetch"):
        if table_folder(recipe, load_contract(contract_file(recipe))) is None:
            fetch_data(recipe.data, cache=home / "cache")
        store = Store((home / "s3").resolve())
        fetch_weights(recipe.model, store.path(weights_uri(settings, recipe)))


def _make_private(home: Path) -> None:
    """Creates the home with mode 0700: its lake has personal and sensitive columns."""
    with translate_disk_errors(f"cannot make {home} (--home names another folder)"):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)


def _evidence(
    recipe: Recipe, *, contract_path: Path, manifest: Channel, home: Path
) -> dict[str, bytes]:
    """Returns the inputs of the run, and the selection that chose the recipe: name -> content."""
    text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    files = {"contract.odcs.yaml": contract_path.read_bytes(), "recipe.yaml": text.encode()}
    selected = chosen_record(recipe, home=home)
    if selected.is_file():
        files[SELECTION_FILE] = selected.read_bytes()
    return files | dict(manifest.files)
