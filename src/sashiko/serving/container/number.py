"""The scale and the interval of a model whose label is a number.

Train fits both; Compile puts them into `serving.json`, and the handler answers with them.
"""

import json
from dataclasses import dataclass
from pathlib import Path

NUMBER_FILE = "number.json"  # beside the weights of a model whose label is a number


@dataclass(frozen=True)
class Number:
    """How a model's output becomes a number: `mean + scale * output`, all in the label's unit.

    Attributes:
        mean: of the train split's labels.
        scale: their standard deviation.
        half_width: of the interval around a value.
        coverage: the share of rows whose label the interval holds, if new rows are exchangeable
            with those of the validation split.
        above: the contract's bound; a value above it is the favourable outcome.
    """

    mean: float
    scale: float
    half_width: float
    coverage: float
    above: float


def read_number(folder: Path) -> "Number | None":
    """Reads the `number.json` of a model's folder; None if its label has classes."""
    path = folder / NUMBER_FILE
    return Number(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
