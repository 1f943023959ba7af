"""A JudgeBias job, and the jobs whose analyses it judges."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pytest

from sashiko.bias.clarify.contract_config import analysis_config
from sashiko.bias.steps import clarify_bias, judge_bias
from sashiko.contract.load import load_contract
from sashiko.evaluation.gates.verdict import Verdict, read_verdict
from tests.unit.bias.steps.bias_folders import Job
from tests.unit.bias.steps.judge_bias.judged_rows import FACETS, FOUR_FIFTHS


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    return Job(tmp_path / "judge", monkeypatch)


@pytest.fixture
def analyse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs PostBias on a CSV, or PreBias on a table, and returns its analysis.json."""

    def run(rows: str | pa.Table) -> Any:
        kind: Literal["pre", "post"] = "post" if isinstance(rows, str) else "pre"
        step = Job(tmp_path / kind, monkeypatch)
        step.contract()
        contract = load_contract(step.folder("config") / "contract.odcs.yaml")
        step.section("analysis_config", analysis_config(contract, kind=kind))
        if isinstance(rows, str):
            step.text("data", rows)
        else:
            step.parquet("data", rows)
        step.run(clarify_bias)
        return step.json("analysis.json")

    return run


@pytest.fixture
def judge(job: Job, analyse):
    """Judges a CSV by its own analysis and that of FACETS, or by others."""

    def run(
        csv: str,
        post: Any = None,
        *,
        labels: pa.Table = FACETS,
        pre: Any = None,
        gates: Any = (FOUR_FIFTHS,),
        arguments: Sequence[str] = (),
    ) -> Verdict:
        analyses = {"pre-analysis": pre or analyse(labels), "post-analysis": post or analyse(csv)}
        job.contract()
        job.section("bias", {"gates": gates})
        job.section("reweighing", {"facets": ["age"], "strength": 1})
        job.section("evaluate", {})
        for name, value in analyses.items():
            job.text(name, json.dumps(value), file="analysis.json")
        job.parquet("facets", labels)
        job.text("data", csv)
        job.run(judge_bias, *arguments)
        return read_verdict(job.output("verdict"))

    return run
