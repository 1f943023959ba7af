"""A run that ended with a verdict: small, and done by the runner."""

import json
from pathlib import Path
from typing import Any

from sashiko.pipeline.runner.record import RunRecord
from sashiko.report.evidence import Evidence, read_evidence
from tests.unit.pipeline.runner.tiny import Tiny

RAW = "s3://b/raw"
# Judges the number in its input; of two facets crossed, which are in no check, it writes beside it.
JUDGE = """
from sashiko.evaluation.gates.estimates import BiasEstimate
from sashiko.evaluation.gates.verdict import Check, decide, write_verdict
value = float((IN / "data/x").read_text())
check = Check(name="auc", value=value, low=value - 0.1, high=value + 0.1, threshold=0.7,
              comparison=">=", passed=value >= 0.7)
write_verdict(decide(gate="quality", checks=[check], inputs={"data": "0" * 64}), OUT / "verdict")
estimate = BiasEstimate(stage="post_training", metric="DI", facet=("age", "sex"),
                        group=("old", "f"), value=value, low=0.5, high=1.5, looks=4,
                        n_disadvantaged=30, n_advantaged=70)
(OUT / "intervals/intervals.json").write_text(json.dumps([estimate.model_dump(mode="json")]))
"""


class JudgedRun:
    """A run of one step, `Judge`, that is verified later."""

    def __init__(self, home: Path, *, value: str = "0.8") -> None:
        self.tiny = Tiny(home)
        self.tiny.put(f"{RAW}/x", value)
        self.record = self.run()

    def run(self) -> RunRecord:
        outputs = ("verdict", "intervals")
        return self.tiny.run(self.tiny.job("Judge", JUDGE, inputs={"data": RAW}, outputs=outputs))

    @property
    def evidence(self) -> Evidence:
        home = self.tiny.home
        return read_evidence(home / "runs" / self.record.id, home)

    def output(self, name: str) -> Path:
        """The one file of an output."""
        (file,) = self.tiny.output(self.record, "Judge", name).iterdir()
        return file

    def bend(self, output: str, **changes: Any) -> None:
        """Changes the first check, or the first estimate, in an output's file."""
        file = self.output(output)
        content = json.loads(file.read_text())
        first = content["checks"][0] if output == "verdict" else content[0]
        first |= changes
        file.write_text(json.dumps(content))
