"""The folders of the bias steps' jobs, over a small contract of library loans."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.base.files import write_json
from sashiko.bias.clarify.contract_config import analysis_config
from sashiko.bias.steps import clarify_bias, weights
from sashiko.contract.load import load_contract
from sashiko.contract.manifest import Snapshots, write_snapshots
from tests.unit.contract.documents import custom, document, save

DATA = {"sources": [{"kind": "file", "path": "rows.csv"}]}
JOINED = "e" * 64  # digest of the facets that BiasInput joined
SCORED = "d" * 64  # of the predictions that it joined
Cells = Mapping[tuple[str, str], tuple[int, int, int, int]]
# (age, sex) -> rows that are late and predicted late, late alone, predicted late alone, neither.
# Of old and young, of f and m, half is predicted late each time; of old f a fifth.
FAIR_BY_FACET: Cells = {
    ("old", "f"): (10, 30, 10, 50),
    ("old", "m"): (45, 5, 35, 15),
    ("young", "f"): (45, 5, 35, 15),
    ("young", "m"): (10, 40, 10, 40),
}
OUTCOMES = ((1, 1), (1, 0), (0, 1), (0, 0))
PREDICTIONS = pa.schema({
    "key": pa.string(), "split": pa.string(), "label": pa.int64(), "score": pa.float64(),
    "predicted": pa.int64(),
})  # fmt: skip


class Job:
    """One job's `/opt/ml`, below a test's own folder."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self._monkeypatch = monkeypatch

    def folder(self, name: str) -> Path:
        folder = self.root / "processing" / "input" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def contract(
        self,
        value: dict[str, Any] | None = None,
        *,
        facets: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Stages the contract of loans, with its one facet `age` or with others, or another."""
        value = value or document()
        if facets is not None:
            custom(value, "facets")["value"] = list(facets)
        save(value, self.folder("config"))

    def section(self, name: str, value: Any) -> None:
        write_json(self.folder("config") / f"{name}.json", value)

    def parquet(self, name: str, table: pa.Table, *, file: str = "data.parquet") -> None:
        pq.write_table(table, self.folder(name) / file)

    def text(self, name: str, text: str, *, file: str = "data.csv") -> None:
        (self.folder(name) / file).write_text(text, encoding="utf-8")

    def weigh(self, train: pa.Table) -> pa.Table:
        """Runs Weights on a train split, which tests/unit/steps/test_prepare.py finds."""
        for name, value in {"data": DATA, "text": {"template": "{title}"}}.items():
            self.section(name, value)
        self._monkeypatch.setattr(weights, "train_labels", lambda *_, **__: train.sort_by("key"))
        self.run(weights)
        return pq.read_table(self.output("weights") / "weights.parquet")

    def run(self, module: ModuleType, *arguments: str) -> None:
        if (self.folder("data") / "data.csv").is_file():  # BiasInput's, for JudgeBias
            write_snapshots(Snapshots(facets=JOINED, predictions=SCORED), self.folder("data-meta"))
        self._monkeypatch.setenv("OPT_ML", str(self.root))
        self._monkeypatch.setattr(sys, "argv", [module.__name__, *arguments])
        module.main()

    def output(self, name: str = "") -> Path:
        return self.root / "processing" / "output" / name

    def json(self, name: str) -> Any:
        return json.loads(self.output(name).read_text(encoding="utf-8"))


def analysis_of(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows: str | pa.Table,
    contract: dict[str, Any] | None = None,
) -> Any:
    """Runs PostBias on a CSV, or PreBias on a table, and returns its analysis.json."""
    kind: Literal["pre", "post"] = "post" if isinstance(rows, str) else "pre"
    step = Job(root / kind, monkeypatch)
    step.contract(contract)
    loaded = load_contract(step.folder("config") / "contract.odcs.yaml")
    step.section("analysis_config", analysis_config(loaded, kind=kind))
    step.text("data", rows) if kind == "post" else step.parquet("data", rows)
    step.run(clarify_bias)
    return step.json("analysis.json")


def facet_rows(keys: Sequence[str], ages: Sequence[str | None], late: Sequence[str]) -> pa.Table:
    return pa.table({"loan_id": list(keys), "age": list(ages), "late": list(late)})


def prediction_rows(
    keys: Sequence[str], labels: Sequence[int], predicted: Sequence[int], *, split: str = "test"
) -> pa.Table:
    count = len(keys)
    columns = [list(keys), [split] * count, list(labels), [0.5] * count, list(predicted)]
    return pa.table(columns, schema=PREDICTIONS)
