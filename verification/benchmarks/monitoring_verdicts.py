"""What a monitor of `monitoring_peers` is given and answers; imports the standard library alone.

A folder has `windows/<setting>/<pair>` with `reference.parquet`, `window.parquet` and, where there
is a larger reference, `larger.parquet`, and `streams/<kind>/<stream>` with `reference.parquet` and
`weeks.parquet`. Columns: product, channel, score, decision; text where texts are compared; label in
references. Weeks also have their number, and labels of the audited rows.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

WINDOWS, STREAMS = "windows", "streams"
CATEGORICAL = ["product", "channel"]
COLUMNS = [*CATEGORICAL, "score"]
FALSE_ALARMS = 0.01  # of a quiet window, where a monitor takes a rate
ACCURACY_TOLERANCE = 0.02


class Setup(StrEnum):
    """A monitor, and how it is set up."""

    OURS = "ours"
    OURS_TEXTS = "ours, with the texts"
    OURS_AUDIT = "ours, the audit of 100 labels a week"
    EVIDENTLY = "evidently, a column"
    EVIDENTLY_DATASET = "evidently, dataset"
    EVIDENTLY_TESTS = "evidently, tests at 0.01"
    EVIDENTLY_TEXTS = "evidently, a column, with the texts"
    EVIDENTLY_DATASET_TEXTS = "evidently, dataset, with the texts"
    EVIDENTLY_ACCURACY = "evidently, its test of accuracy on the same labels"
    EVIDENTLY_BOUND = "evidently, accuracy at least the reference's less 0.02, on the same labels"
    NANNYML = "NannyML, drift"
    NANNYML_CBPE = "NannyML, CBPE"
    NANNYML_TEN = "NannyML, drift, ten chunks"
    NANNYML_LARGER = "NannyML, drift, 30 chunks"
    NANNYML_CBPE_LARGER = "NannyML, CBPE, 30 chunks"
    NANNYML_REALIZED = "NannyML, realized accuracy on the same labels"


@dataclass(frozen=True)
class Verdict:
    """What a monitor says of a window."""

    setting: int
    setup: Setup
    alarm: bool
    seconds: float  # of the processor
    estimate: float | None = None  # of the accuracy, without labels


@dataclass(frozen=True)
class StreamVerdict:
    """When a monitor first raises an alarm in a stream of weeks."""

    kind: str
    setup: Setup
    week: int | None  # counted from 1; None: never


def judge_all(
    judge_window: Callable[[Path], list[Verdict]],
    judge_stream: Callable[[Path], list[StreamVerdict]],
) -> None:
    """Judges the windows and streams of the folder that the command line names; writes answers."""
    root, answers = map(Path, sys.argv[1:3])
    windows = [verdict for folder in cases(root, WINDOWS) for verdict in judge_window(folder)]
    streams = [verdict for folder in cases(root, STREAMS) for verdict in judge_stream(folder)]
    write_answers(answers, windows, streams)


def cases(root: Path, what: str) -> Iterator[Path]:
    """Lists the folders of the windows or of the streams, below one for their setting or kind."""
    yield from sorted((root / what).glob("*/*"))


def write_answers(file: Path, windows: Sequence[Verdict], streams: Sequence[StreamVerdict]) -> None:
    """Writes what a monitor says, as JSON."""
    answers = {
        WINDOWS: [asdict(verdict) for verdict in windows],
        STREAMS: [asdict(verdict) for verdict in streams],
    }
    file.write_text(json.dumps(answers))


def read_answers(file: Path) -> tuple[list[Verdict], list[StreamVerdict]]:
    """Reads what a monitor says."""
    answers = json.loads(file.read_text())
    return (
        [Verdict(**item | {"setup": Setup(item["setup"])}) for item in answers[WINDOWS]],
        [StreamVerdict(**item | {"setup": Setup(item["setup"])}) for item in answers[STREAMS]],
    )
