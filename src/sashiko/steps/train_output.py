"""Reads Train's output: its metrics, temperature, data digests and the dates of the split."""

from dataclasses import dataclass
from pathlib import Path

from sashiko.contract.manifest import SNAPSHOTS_FILE, Snapshots
from sashiko.contract.model import SplitDates
from sashiko.data.splits import META_FILE, SplitMeta
from sashiko.errors import InputError
from sashiko.evaluation.record import MetricLine, TemperatureFit
from sashiko.serving.container.tar_reader import read_files
from sashiko.training.temperature import TEMPERATURE_FILE

_METRICS = "metrics.jsonl"
_LARGEST_FILE = 1 << 26  # bytes


@dataclass(frozen=True)
class TrainOutput:
    """Train's output beside the model."""

    curve: tuple[MetricLine, ...]
    temperature: TemperatureFit | None
    snapshots: Snapshots
    dates: SplitDates | None  # of the split; None if rows are not split by time

    def snapshot_digests(self) -> dict[str, str]:
        """Returns the digests of the model's data as inputs of a verdict."""
        digests = self.snapshots.model_dump()
        return {f"{view}-snapshot": digest for view, digest in digests.items() if digest}


def read_training(archive: Path) -> TrainOutput:
    """Reads Train's `output.tar.gz`.

    Raises:
        InputError: if the archive is missing or damaged, or has no metrics.
    """
    names = (_METRICS, META_FILE, SNAPSHOTS_FILE, TEMPERATURE_FILE)
    try:
        files = read_files(archive, names, at_most=_LARGEST_FILE)
        lines = files[_METRICS].decode().splitlines()
        snapshots, meta = files[SNAPSHOTS_FILE], files[META_FILE]
    except KeyError as error:
        missing = error.args[0]
        raise InputError(f"{archive} holds no readable {missing}: it has none") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{archive} holds no readable {_METRICS}: {error}") from error
    temperature = files.get(TEMPERATURE_FILE)
    return TrainOutput(
        curve=tuple(MetricLine.model_validate_json(line) for line in lines),
        temperature=TemperatureFit.model_validate_json(temperature) if temperature else None,
        snapshots=Snapshots.model_validate_json(snapshots),
        dates=SplitMeta.model_validate_json(meta).dates,
    )
