"""What a run says at its end: next to the outcome, what nobody judged and what barely passed."""

from pathlib import Path

import pytest

from sashiko.commands.local_runs import summary
from sashiko.evaluation.gates.verdict import Check, decide, write_verdict
from sashiko.pipeline.runner.run_record import DataRecord, RunRecord, StepRecord
from sashiko.pipeline.runner.store import Store

CHECKS = (
    Check(name="DI age=old", value=0.85, low=0.75, high=0.95, threshold=0.8, comparison=">=",
          passed=True),
    Check(name="DI age=young", value=0.95, low=0.9, high=0.99, threshold=0.8, comparison=">=",
          passed=True),
    Check(name="age=none", passed=True, judged=False, reason="0 rows in the test split"),
)  # fmt: skip


@pytest.mark.parametrize("step", ["Track", "DeviceCheck"])
def test_what_was_not_judged_and_what_spans_its_bound_stands_beside_the_outcome(
    tmp_path: Path, step: str
) -> None:
    store = Store(tmp_path)
    verdict = decide(gate="bias", checks=CHECKS, inputs={})
    write_verdict(verdict, store.path(f"s3://b/{step}") / "bias")
    outputs = {"verdicts": DataRecord(uri=f"s3://b/{step}", sha256="0" * 64)}
    record = RunRecord(
        id="run", pipeline="loans", status="blocked", start="2026-01-01T00:00:00+00:00",
        reason="the device gate closed",
        steps=(StepRecord(name=step, type="Processing", status="succeeded", outputs=outputs),),
    )  # fmt: skip
    lines = summary(record, store, None).splitlines()
    assert lines[1:] == [
        "the device gate closed",
        "passed by its value alone, the interval spans the bound: bias: DI age=old = 0.85 "
        "[0.75, 0.95], required >= 0.8",
        "not judged: bias: age=none: 0 rows in the test split",
    ]
