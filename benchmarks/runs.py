"""Runs of the real pipeline under overrides, and what they left: shared by the benchmarks."""

import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sashiko.contract.model import Contract
from sashiko.runner.record import RunRecord, read_run
from sashiko.runner.store import Store

SASHIKO = str(Path(sys.executable).with_name("sashiko"))


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        record: what the runner wrote of it.
        home: where its local state lies.
    """

    record: RunRecord
    home: Path

    def output(self, step: str, name: str) -> Path:
        """Returns the folder of an output of a step."""
        return Store(self.home / "s3").path(self.record.step(step).outputs[name].uri)

    def predictions(self, split: str) -> pa.Table:
        """Reads key, label, score and prediction of the rows of one split."""
        table = pq.read_table(self.output("Evaluate", "predictions") / "predictions.parquet")
        return table.filter(pc.equal(table["split"], split))

    def is_disadvantaged(self, rows: pa.Table, contract: Contract, facet: str) -> pa.ChunkedArray:
        """Says of each of `rows`, in their order, whether it is of the facet's harmed group."""
        table = pq.read_table(
            self.output("SnapshotFacets", "data") / "data.parquet", columns=[contract.key, facet]
        )
        place = pc.index_in(rows["key"], value_set=pc.cast(table[contract.key], "string"))
        group = next(item for item in contract.facets if item.column == facet)
        members = pa.array(group.disadvantaged, table[facet].type)
        return pc.is_in(table[facet].take(place), value_set=members)


def run(recipe: str, *, overrides: list[str], home: Path) -> Run:
    """Runs the pipeline with the overrides; a model that a gate blocks counts too."""
    command = [SASHIKO, "run", "--recipe", recipe, "--home", str(home), "--json"]
    for override in overrides:
        command += ["--set", override]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 3):
        sys.exit(f"error: {' '.join(command)} ended with status {done.returncode}")
    return Run(read_run(home / "runs" / json.loads(done.stdout)["id"]), home)


def machine() -> str:
    """Names the machine for a table's caption."""
    system = f"{platform.system()} {platform.machine()}"
    return f"{system}, {os.cpu_count()} cores, Python {platform.python_version()}"
