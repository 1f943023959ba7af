"""A JudgeBias job, and the jobs whose analyses it judges."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sashiko.bias.steps import judge_bias
from sashiko.evaluation.gates.verdict import Verdict, read_verdict
from tests.unit.bias.steps.bias_folders import Job, analysis_of
from tests.unit.bias.steps.judge_bias.judged_rows import FACETS, FOUR_FIFTHS


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    return Job(tmp_path / "judge", monkeypatch)


@pytest.fixture
def analyse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | pa.Table], Any]:
    """Runs PostBias on a CSV, or PreBias on a table, and returns its analysis.json."""
    return partial(analysis_of, tmp_path, monkeypatch)


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
