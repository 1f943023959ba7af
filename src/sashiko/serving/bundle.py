"""What an artifact says of itself: `serving.json`, by Compile for the handler."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

BUNDLE_FILE = "serving.json"
TOKENIZER_FILE = "tokenizer.json"
WEIGHTS_FILE = "weights.bin"


@dataclass(frozen=True)
class Bucket:
    """A graph with fixed shapes.

    Attributes:
        batch: rows that go through it at once.
        length: tokens of each row, padding included.
        graph: its ONNX file, relative to the artifact's root.
    """

    batch: int
    length: int
    graph: str


@dataclass(frozen=True)
class Bundle:
    """How an artifact wants to be served.

    Attributes:
        labels: the negative and the positive label.
        template: turns a row of columns into the text that the model reads.
        missing: stands in that text where a column is null.
        truncate: cut texts that fit no bucket, instead of refusing them.
        pad_id: the token id that fills a row up to its bucket's length.
        buckets: the compiled shapes.
    """

    labels: tuple[str, str]
    template: str
    missing: str
    truncate: bool
    pad_id: int
    buckets: tuple[Bucket, ...]

    @property
    def max_length(self) -> int:
        """The most tokens that a text may have."""
        return max(bucket.length for bucket in self.buckets)


def write_bundle(bundle: Bundle, folder: Path) -> None:
    """Writes `serving.json` into an artifact's folder."""
    content = json.dumps(asdict(bundle), indent=2, sort_keys=True, ensure_ascii=False)
    (folder / BUNDLE_FILE).write_text(content + "\n", encoding="utf-8")


def read_bundle(folder: Path) -> Bundle:
    """Reads the `serving.json` of an unpacked artifact."""
    value = json.loads((folder / BUNDLE_FILE).read_text(encoding="utf-8"))
    negative, positive = value.pop("labels")
    buckets = tuple(Bucket(**bucket) for bucket in value.pop("buckets"))
    return Bundle(labels=(negative, positive), buckets=buckets, **value)
