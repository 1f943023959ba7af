"""What a run needs in the bucket before it starts, under prefixes named by their content."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sashiko.aws.resources.names import bucket_name
from sashiko.core.files import canonical_json, sha256_bytes
from sashiko.pipeline.project import source
from sashiko.serving import container
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.steps.sections import Channel, make_channel

_SERVING = Path(container.__file__).parent


@dataclass(frozen=True)
class Staged:
    """Every content-addressed input of a recipe's pipeline.

    Attributes:
        channels: what the pipeline's steps read, and the run manifest; each place once.
        run_manifest: `source.json`, the commit that the run is started from.
        weights_uri: where the pre-trained weights belong.
        weights: name of each file of theirs -> hex SHA-256.
    """

    channels: tuple[Channel, ...]
    run_manifest: Channel
    weights_uri: str
    weights: Mapping[str, str]

    @property
    def places(self) -> dict[str, dict[str, str]]:
        """What makes each place complete: URI -> name of each of its files -> hex SHA-256."""
        places = {
            channel.uri: {name: sha256_bytes(content) for name, content in channel.files.items()}
            for channel in self.channels
        }
        return places | {self.weights_uri: dict(self.weights)}


def staged_inputs(settings: Settings, recipe: Recipe, channels: Sequence[Channel]) -> Staged:
    """Collects the staged inputs of a recipe in an environment, of this checkout's commit.

    Args:
        settings: the environment.
        recipe: the recipe.
        channels: those that building its pipeline has made.
    """
    manifest = run_manifest(settings)
    return Staged(
        channels=(*channels, manifest),
        run_manifest=manifest,
        weights_uri=weights_uri(settings, recipe),
        weights=recipe.model.files,
    )


def run_manifest(settings: Settings) -> Channel:
    """Makes the channel that says which commit a run is started from."""
    files = {"source.json": canonical_json(asdict(source()))}
    return make_channel(bucket_name(settings, "artifacts"), "source", files)


def weights_uri(settings: Settings, recipe: Recipe) -> str:
    """Names the place of a recipe's pre-trained weights by the digests that the recipe gives."""
    digest = sha256_bytes(canonical_json(recipe.model.files))[:16]
    return f"s3://{bucket_name(settings, 'artifacts')}/weights/{digest}"


def serving_code() -> dict[str, bytes]:
    """Returns the serving code that Compile runs and ships: file name -> content."""
    return {
        path.name: path.read_bytes()
        for path in sorted(_SERVING.glob("*.py"))
        if path.name != "__init__.py"
    }
