"""What a run needs in the bucket before it starts, under prefixes named by their content."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from sashiko.aws.names import bucket_name
from sashiko.contract.bias_config import analysis_config
from sashiko.contract.model import load_contract
from sashiko.files import canonical_json, sha256_bytes
from sashiko.recipe import Recipe
from sashiko.repository import Source, contract_file, source
from sashiko.sections import configured_steps, content_uri, step_files
from sashiko.settings import Settings

_SERVING = Path(__file__).parent / "serving"


@dataclass(frozen=True)
class Channel:
    """A set of files and the S3 prefix that they are read from."""

    uri: str
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class Staged:
    """Every content-addressed input of a recipe's pipeline.

    Attributes:
        config: step name -> its configuration channel.
        code: the serving code that Compile runs and ships.
        source: `source.json`, the commit that the run is started from.
        weights_uri: where the pre-trained weights belong.
        weights: name of each file of theirs -> hex SHA-256.
        contract_hash: hex SHA-256 of the contract file.
    """

    config: Mapping[str, Channel]
    code: Channel
    source: Channel
    weights_uri: str
    weights: Mapping[str, str]
    contract_hash: str

    @property
    def channels(self) -> tuple[Channel, ...]:
        """All but the weights, each place once: steps that read the same files share one."""
        found = (*self.config.values(), self.code, self.source)
        return tuple({channel.uri: channel for channel in found}.values())

    @property
    def places(self) -> dict[str, dict[str, str]]:
        """What makes each place complete: URI -> name of each of its files -> hex SHA-256."""
        places = {
            channel.uri: {name: sha256_bytes(content) for name, content in channel.files.items()}
            for channel in self.channels
        }
        return places | {self.weights_uri: dict(self.weights)}


def staged_inputs(settings: Settings, recipe: Recipe) -> Staged:
    """Works out the staged inputs of a recipe in an environment, of this checkout's commit.

    Raises:
        InputError: if the contract is missing or not valid.
    """
    return stage(
        recipe,
        contract_file=contract_file(recipe),
        bucket=bucket_name(settings, "artifacts"),
        started_from=source(),
    )


def stage(recipe: Recipe, *, contract_file: Path, bucket: str, started_from: Source) -> Staged:
    """Works out the staged inputs of a recipe; nothing is written.

    Args:
        recipe: the recipe.
        contract_file: its data contract.
        bucket: the artifacts bucket.
        started_from: the commit.

    Returns:
        The channels with their files.

    Raises:
        InputError: if the contract is not valid.
    """
    contract = load_contract(contract_file)
    config = {
        step: step_files(step, recipe=recipe, contract_file=contract_file)
        for step in configured_steps(recipe)
    }
    if recipe.bias.judged:
        config["PreBias"] = {
            "analysis_config.json": canonical_json(analysis_config(contract, kind="pre"))
        }
        config["PostBias"] = {
            "analysis_config.json": canonical_json(analysis_config(contract, kind="post"))
        }
    code = {
        path.name: path.read_bytes()
        for path in sorted(_SERVING.glob("*.py"))
        if path.name != "__init__.py"
    }
    weights = sha256_bytes(canonical_json(recipe.model.files))[:16]
    return Staged(
        config={step: _channel(bucket, "config", files) for step, files in config.items()},
        code=_channel(bucket, "code", code),
        source=_channel(bucket, "source", {"source.json": canonical_json(asdict(started_from))}),
        weights_uri=f"s3://{bucket}/weights/{weights}",
        weights=recipe.model.files,
        contract_hash=sha256_bytes(contract_file.read_bytes()),
    )


def _channel(bucket: str, prefix: str, files: Mapping[str, bytes]) -> Channel:
    return Channel(uri=content_uri(bucket, prefix, files), files=files)
