"""JudgeBias over two facets that look fair one by one, and are not together."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pytest

from sashiko.bias.clarify.contract_config import analysis_config
from sashiko.bias.steps import clarify_bias, judge_bias
from sashiko.contract.load import load_contract
from sashiko.evaluation.gates.verdict import Verdict, read_verdict
from tests.unit.bias.steps.bias_folders import Job, facet_rows
from tests.unit.contract.documents import two_facets

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


class CrossedJob:
    """JudgeBias's job with the two bias steps before it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._root, self._monkeypatch = root, monkeypatch
        self.job = Job(root / "judge", monkeypatch)

    def judge(
        self,
        cells: Cells = FAIR_BY_FACET,
        *,
        gates: Sequence[Mapping[str, Any]],
        contract: dict[str, Any] | None = None,
        **section: Any,
    ) -> Verdict:
        """Judges the rows of `cells`, which are both the test split and the snapshot."""
        rows = [
            (label, predicted, age, sex)
            for (age, sex), counts in cells.items()
            for (label, predicted), count in zip(OUTCOMES, counts, strict=True)
            for _ in range(count)
        ]
        csv = "label,predicted_label,age,sex\n"
        csv += "".join(f"{','.join(map(str, row))}\n" for row in rows)
        keys = [f"L{number}" for number in range(len(rows))]
        late = ["yes" if row[0] else "no" for row in rows]
        snapshot = facet_rows(keys, [row[2] for row in rows], late)
        snapshot = snapshot.append_column("sex", pa.array([row[3] for row in rows]))
        value = contract or two_facets()
        for kind in ("pre", "post"):
            self._analyse(kind, value, snapshot=snapshot, csv=csv)
        self.job.contract(value)
        self.job.section("bias", {"gates": list(gates), **section})
        self.job.section("reweighing", {})
        self.job.section("evaluate", {})
        self.job.parquet("facets", snapshot)
        self.job.text("data", csv)
        self.job.run(judge_bias)
        return read_verdict(self.job.output("verdict"))

    def _analyse(
        self,
        kind: Literal["pre", "post"],
        contract: dict[str, Any],
        *,
        snapshot: pa.Table,
        csv: str,
    ) -> None:
        step = Job(self._root / kind, self._monkeypatch)
        step.contract(contract)
        config = analysis_config(
            load_contract(step.folder("config") / "contract.odcs.yaml"), kind=kind
        )
        step.section("analysis_config", config)
        step.parquet("data", snapshot) if kind == "pre" else step.text("data", csv)
        step.run(clarify_bias)
        written = step.output("analysis.json").read_text(encoding="utf-8")
        self.job.text(f"{kind}-analysis", written, file="analysis.json")

    def estimates(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Returns metric and group -> a line of `intervals.json`."""
        return {
            (row["metric"], _named(row["group"])): row
            for row in self.job.json("intervals/intervals.json")
        }


def _named(group: str | list[str]) -> str:
    return group if isinstance(group, str) else " & ".join(group)


def gate(facet: str | list[str], **more: Any) -> dict[str, Any]:
    bounds = {"minimum": 0.8, "maximum": 1.25, "reason": "four fifths"}
    return {"metric": "DI", "facet": facet, **bounds, **more}
