"""The input and output of each contender of `fine_tuning`; imports only numpy."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Margins = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training.

    Attributes:
        data: folder with Prepare's `train`, `validation` and `meta`.
        model: folder of the pre-trained weights.
        output: the file that `Watch` writes.
        every_rows: training rows from one evaluation to the next.
        hyperparameters: the recipe's, as Train receives them; the seed and the longest text are
            Trainer's too.
        arguments: of Hugging Face's `TrainingArguments`; what is not here has its default.
        frozen: how many lower layers Trainer leaves as they are, and the embeddings; None for none.
        dropout: of the model in Trainer; None leaves it as its configuration says.
    """

    data: str
    model: str
    output: str
    every_rows: int
    hyperparameters: dict[str, Any]
    arguments: dict[str, float | int | bool] = field(default_factory=dict)
    frozen: int | None = None
    dropout: float | None = None

    def write(self, path: Path) -> None:
        """Writes the job as JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: str) -> "Job":
        """Reads what `write` wrote."""
        return cls(**json.loads(Path(path).read_text()))


class Watch:
    """A stopwatch that stands still while the model is evaluated."""

    def __init__(self) -> None:
        self._seconds = self._cpu_seconds = 0.0
        self._evaluations: list[tuple[int, float, float, Margins]] = []
        self._start()

    def evaluate(self, rows: int, margins: Callable[[], Margins]) -> None:
        """Takes the time, then the logits; evaluating the same model again does nothing.

        Args:
            rows: training rows so far.
            margins: gives the validation rows' logits, positive minus negative, in their order.
        """
        self._seconds += time.perf_counter() - self._since
        self._cpu_seconds += time.process_time() - self._cpu_since
        if not self._evaluations or self._evaluations[-1][0] != rows:
            self._evaluations.append((rows, self._seconds, self._cpu_seconds, margins()))
        self._start()

    def write(self, path: str) -> None:
        """Writes `rows`, `seconds`, `cpu_seconds` and `margins`, one of each per evaluation."""
        names = ("rows", "seconds", "cpu_seconds", "margins")
        columns = map(np.array, zip(*self._evaluations, strict=True))
        np.savez(path, **dict(zip(names, columns, strict=True)))

    def _start(self) -> None:
        self._since, self._cpu_since = time.perf_counter(), time.process_time()
