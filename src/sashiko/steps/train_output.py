"""What Train leaves beside its model: its metrics, a temperature, the data it learned from."""

from dataclasses import dataclass
from pathlib import Path

from sashiko.contract.manifest import SNAPSHOTS_FILE, Snapshots
from sashiko.errors import InputError
from sashiko.evaluation.record import MetricLine, TemperatureFit
from sashiko.serving.container.tar_reader import read_files
from sashiko.training.temperature import TEMPERATURE_FILE

_METRICS = "metrics.jsonl"
_LARGEST_FILE = 1 << 26  # bytes


@dataclass(frozen=True)
class TrainOutput:
    """What Train says of its work.

    Attributes:
        curve: its metric lines.
        temperature: where it fitted one.
        snapshots: the data that it learned from.
    """

    curve: tuple[MetricLine, ...]
    temperature: TemperatureFit | None
    snapshots: Snapshots

    def made_of(self) -> dict[str, str]:
        """Names the data of the model among what a verdict rests on."""
        found = self.snapshots.model_dump()
        return {f"{view}-snapshot": digest for view, digest in found.items() if digest}


def read_training(archive: Path) -> TrainOutput:
    """Reads Train's `output.tar.gz`.

    Raises:
        InputError: if the archive is missing, damaged, or holds no metrics.
    """
    names = (_METRICS, SNAPSHOTS_FILE, TEMPERATURE_FILE)
    try:
        found = read_files(archive, names, at_most=_LARGEST_FILE)
        lines = found[_METRICS].decode().splitlines()
        made_of = found[SNAPSHOTS_FILE]
    except KeyError as error:
        missing = error.args[0]
        raise InputError(f"{archive} holds no readable {missing}: it has none") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{archive} holds no readable {_METRICS}: {error}") from error
    temperature = found.get(TEMPERATURE_FILE)
    return TrainOutput(
        curve=tuple(MetricLine.model_validate_json(line) for line in lines),
        temperature=TemperatureFit.model_validate_json(temperature) if temperature else None,
        snapshots=Snapshots.model_validate_json(made_of),
    )
