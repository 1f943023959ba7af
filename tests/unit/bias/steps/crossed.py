"""JudgeBias over two facets that look fair one by one, and are not together."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sashiko.bias.steps import judge_bias
from sashiko.evaluation.gates.verdict import Verdict, read_verdict
from tests.unit.bias.steps.bias_folders import Job, analysis_of, facet_rows
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
        for kind, rows_of in (("pre", snapshot), ("post", csv)):
            analysis = analysis_of(self._root, self._monkeypatch, rows_of, value)
            self.job.text(f"{kind}-analysis", json.dumps(analysis), file="analysis.json")
        self.job.contract(value)
        self.job.section("bias", {"gates": list(gates), **section})
        self.job.section("reweighing", {})
        self.job.section("evaluate", {})
        self.job.parquet("facets", snapshot)
        self.job.text("data", csv)
        self.job.run(judge_bias)
        return read_verdict(self.job.output("verdict"))

    def estimates(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Returns metric and group -> a line of `intervals.json`."""
        rows = self.job.json("intervals/intervals.json")
        groups = [row["group"] for row in rows]
        names = [group if isinstance(group, str) else " & ".join(group) for group in groups]
        return {(row["metric"], name): row for row, name in zip(rows, names, strict=True)}


def gate(facet: str | list[str], **more: Any) -> dict[str, Any]:
    bounds = {"minimum": 0.8, "maximum": 1.25, "reason": "four fifths"}
    return {"metric": "DI", "facet": facet, **bounds, **more}
