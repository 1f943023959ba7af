"""An artifact's `serving.json`, which Compile writes and the handler reads."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from number import Number
from prompt import Prompt, parse_prompt

BUNDLE_FILE = "serving.json"
TOKENIZER_FILE = "tokenizer.json"
WEIGHTS_FILE = "weights.bin"
EAGER_FOLDER = "eager"  # config.json and model.safetensors of the model itself


@dataclass(frozen=True)
class Bucket:
    """A compiled shape.

    Attributes:
        batch: rows that go through it at once.
        length: tokens of each row, padding included; the most, where lengths are not fixed. 0 of a
            linear model, whose rows have no tokens.
        graph: its compiled file, relative to the artifact's root; "" where the model itself runs.
    """

    batch: int
    length: int
    graph: str


@dataclass(frozen=True)
class Bundle:
    """How an artifact is served.

    Attributes:
        target: what it was compiled for, as the recipe names it.
        backend: the module in `code/` that runs its shapes.
        labels: of the classes, in their order; of two, the negative one first. Of a number, of its
            outcomes: at most the contract's bound, and above it.
        template: turns a row of columns into the text that the model reads.
        missing: replaces a null column in that text.
        truncate: cut texts that fit no bucket, instead of refusing them.
        pad_id: the token id that fills a row up to its bucket's length.
        buckets: the compiled shapes.
        prompt: what a causal LM reads beside the text; None for an encoder.
        number: turns the model's output into a number; None if the label has classes.
        fixed_lengths: whether rows are padded to the length of their shape; otherwise to that of
            the longest row beside them.
        runtime: the exporter's values for the backend.
    """

    target: str
    backend: str
    labels: tuple[str, ...]
    template: str
    missing: str
    truncate: bool
    pad_id: int
    buckets: tuple[Bucket, ...]
    prompt: Prompt | None = None
    number: Number | None = None
    fixed_lengths: bool = True
    runtime: Mapping[str, Any] = field(default_factory=dict)

    @property
    def outputs(self) -> int:
        """The number of the model's outputs for a row: one for each class, or one number."""
        return 1 if self.number else len(self.labels)

    @property
    def max_length(self) -> int:
        """The largest number of tokens of a text."""
        return max(bucket.length for bucket in self.buckets)


def shapes(
    batch_sizes: Sequence[int], sequence_lengths: Sequence[int], *, suffix: str = ""
) -> tuple[Bucket, ...]:
    """Returns a bucket for each batch size and length, sorted by length and batch.

    Args:
        batch_sizes: rows per run.
        sequence_lengths: tokens per row.
        suffix: of the buckets' files; empty if they have no files.
    """
    return tuple(
        Bucket(batch, length, f"model_b{batch}_l{length}{suffix}" if suffix else "")
        for length, batch in itertools.product(sorted(sequence_lengths), sorted(batch_sizes))
    )


def write_bundle(bundle: Bundle, folder: Path) -> None:
    """Writes `serving.json` into an artifact's folder."""
    content = json.dumps(asdict(bundle), indent=2, sort_keys=True, ensure_ascii=False)
    (folder / BUNDLE_FILE).write_text(content + "\n", encoding="utf-8")


def read_bundle(folder: Path) -> Bundle:
    """Reads the `serving.json` of an unpacked artifact."""
    value = json.loads((folder / BUNDLE_FILE).read_text(encoding="utf-8"))
    labels = tuple(value.pop("labels"))
    buckets = tuple(Bucket(**bucket) for bucket in value.pop("buckets"))
    prompt, number = value.pop("prompt", None), value.pop("number", None)
    return Bundle(
        labels=labels,
        buckets=buckets,
        prompt=prompt and parse_prompt(prompt),
        number=number and Number(**number),
        **value,
    )
