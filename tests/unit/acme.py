"""A project's package that brings a generator, a source and two metrics of its own."""

import sys
from pathlib import Path

import pytest

GENERATOR = """
import pyarrow as pa

WORDS = ("late", "paid")


class Invoices:
    schema = pa.schema({"id": pa.string(), "text": pa.string(), "label": pa.int64()})

    def batches(self, order, *, batch_rows=65536):
        numbers = range(order.rows)
        yield pa.record_batch(
            [
                [f"i{n}" for n in numbers],
                [WORDS[(n + order.seed) % 2] for n in numbers],
                [n % 2 for n in numbers],
            ],
            schema=self.schema,
        )
"""
SOURCE = """
import shutil
from pathlib import Path


class Share:
    def fetch(self, member, path: Path, *, root: str) -> None:
        shutil.copyfile(Path(root, member), path)
"""
METRICS = '''
import numpy as np


class Cost:
    """What errors cost: a missed row is five times as dear as a false alarm."""

    higher_is_better = False

    def __call__(self, labels, scores, *, threshold):
        predicted = scores >= threshold
        missed, false = (labels == 1) & ~predicted, (labels == 0) & predicted
        return float(np.mean(5 * missed + false))


class Top:
    """The share of positive rows among the ten with the highest scores."""

    higher_is_better = True

    def __call__(self, labels, scores, *, threshold):
        return float(np.mean(labels[np.argsort(-scores, kind="stable")[:10]]))


def no_metric(labels, scores):
    return 0.0
'''


def make(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Writes the package `acme` below `root` and makes it importable; what was imported goes."""
    package = root / "acme"
    package.mkdir(parents=True)
    for name, text in {
        "__init__": "", "invoices": GENERATOR, "share": SOURCE, "metrics": METRICS,
    }.items():  # fmt: skip
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(root))
    forget(monkeypatch)
    return package


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the package be imported anew, as the next process does."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme"]:
        monkeypatch.delitem(sys.modules, name)
