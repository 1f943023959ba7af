"""The content-addressed objects that a run needs in the bucket before it starts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sashiko.account.names import bucket_name
from sashiko.base.files import canonical_json, sha256_bytes
from sashiko.errors import InputError
from sashiko.pipeline.project import source
from sashiko.registry.attestation import WHEEL_FILE
from sashiko.serving.targets import CONTAINER, EAGER, HANDLER
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.settings.targets import load_target
from sashiko.steps.sections import Channel, make_channel

__all__ = ["run_manifest", "serving_code", "weights_uri"]


@dataclass(frozen=True)
class Staged:
    """Every content-addressed input of a recipe's pipeline."""

    # The channels of the pipeline's steps, and the run manifest; each URI once.
    channels: tuple[Channel, ...]
    run_manifest: Channel  # `source.json`, the commit that the run is started from
    weights_uri: str  # S3 URI of the pre-trained weights
    weights: Mapping[str, str]  # name of each weights file -> hex SHA-256

    @property
    def places(self) -> dict[str, dict[str, str]]:
        """The complete content of each URI: URI -> file name -> hex SHA-256."""
        files = {
            channel.uri: {name: sha256_bytes(content) for name, content in channel.files.items()}
            for channel in self.channels
        }
        return files | {self.weights_uri: dict(self.weights)}


def staged_inputs(settings: Settings, recipe: Recipe, *pipelines: Sequence[Channel]) -> Staged:
    """Returns the staged inputs of a recipe in an environment, for this checkout's commit.

    `pipelines` are the channels of each of its pipelines, which may share some.
    """
    manifest = run_manifest(settings)
    channels = {channel.uri: channel for channels in pipelines for channel in channels}
    return Staged(
        channels=(*channels.values(), manifest),
        run_manifest=manifest,
        weights_uri=weights_uri(settings, recipe),
        weights=recipe.model.files,
    )


def run_manifest(settings: Settings) -> Channel:
    """Returns the channel that records the commit of a run, and the engine's provenance.

    The latter is the statement beside the wheel that a project has in `vendor/`.
    """
    files = {"source.json": canonical_json(asdict(source()))}
    for statement in Path("vendor").glob("*.whl.provenance.json"):
        files[Path(WHEEL_FILE).name] = statement.read_bytes()
    return make_channel(bucket_name(settings, "artifacts"), "source", files)


def weights_uri(settings: Settings, recipe: Recipe) -> str:
    """Returns the S3 URI of a recipe's pre-trained weights, named by the recipe's digests."""
    digest = sha256_bytes(canonical_json(recipe.model.files))[:16]
    return f"s3://{bucket_name(settings, 'artifacts')}/weights/{digest}"


def serving_code(target: str) -> dict[str, bytes]:
    """Returns the code that Compile runs and ships for a recipe's `compile.target`.

    Returns:
        File name -> content: the engine's files, those of the target, and `target.json`, which
        tells Compile what to run and what to copy into the artifact.

    Raises:
        InputError: if a file of the target does not exist, or has the name of the engine's.
    """
    facts = load_target(target)
    files = {path.name: path for path in CONTAINER.glob("*.py") if path.name != "__init__.py"}
    served = (facts.backend, *facts.modules)
    for path in (facts.exporter, *served):
        if not path.is_file():
            raise InputError(f"compile target {target}: {path} does not exist: add the file")
        if files.setdefault(path.name, path) != path:
            raise InputError(
                f"compile target {target}: {path} has the name of a file of the engine, which is "
                "copied to the same folder: rename it"
            )
    handler = {*HANDLER, *(EAGER if facts.accelerated else ()), *(path.name for path in served)}
    job = {
        "exporter": facts.exporter.stem,
        "backend": facts.backend.stem,
        "handler": sorted(handler),
        "accelerated": facts.accelerated,
    }
    content = {name: path.read_bytes() for name, path in sorted(files.items())}
    return content | {"target.json": canonical_json(job)}
