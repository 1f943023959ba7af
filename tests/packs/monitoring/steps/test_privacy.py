import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sashiko.base.files import walk_files
from sashiko.errors import InputError
from sashiko_packs.monitoring.result import MonitorResult
from sashiko_packs.monitoring.steps import judge, publish
from tests.packs.monitoring.steps.window_job import ARGUMENTS, FOUR_FIFTHS, WindowJob
from tests.unit.contract.documents import column_of, custom, document

GROUP, REST, UNKNOWN = "qx-elder", "qx-junior", "qx-unheard-of"
KEY, TEXT = "qx-key", "qx-text"
# Key, facet and decision of a row; keys repeat.
ROWS = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from([GROUP, REST, UNKNOWN, "", None]), st.booleans()),
    max_size=80,
)
CELLS = st.lists(st.integers(0, 30), min_size=3, max_size=3)
Rows = Sequence[tuple[int, str | None, bool]]


def _stage(job: WindowJob, rows: Rows, cells: Sequence[int]) -> None:
    contract = document()
    column_of(contract, "age")["enum"] = [{"value": REST}, {"value": GROUP}]
    custom(contract, "facets")["value"] = [{"column": "age", "disadvantaged": [GROUP]}]
    job.contract(contract)
    job.bias_section(FOUR_FIFTHS, minimum_group_size=1)
    job.reference_groups(**{GROUP: (30, 100), REST: (30, 100)})
    keys = [f"{KEY}-{number}" for number, _, _ in rows]
    job.decisions(keys, [positive for _, _, positive in rows], text=[TEXT] * len(rows))
    job.facets(keys, age=[age for _, age, _ in rows])
    job.window(product=cells, rows=sum(cells))


def _run(job: WindowJob) -> MonitorResult:
    """Runs the three steps, and hands each one's output on."""
    job.measure_bias()
    measured = (job.output("bias") / "measurements.json").read_text()
    job.text("bias", measured, file="measurements.json")
    job.run(judge, *ARGUMENTS)
    job.text("result", (job.output("result") / "monitor.json").read_text(), file="monitor.json")
    job.run(publish)
    return MonitorResult.read(job.output("history"))


@settings(max_examples=12, deadline=None, database=None)
@given(rows=ROWS, cells=CELLS)
def test_no_key_text_or_facet_of_a_row_and_no_small_count_gets_out(rows, cells) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        job = WindowJob(Path(folder), patch)
        _stage(job, rows, cells)
        lines: list[str] = []
        patch.setattr("builtins.print", lambda *values, **_: lines.append(" ".join(values)))
        result = _run(job)
        outputs = [path.read_text() for path in walk_files(job.output())]
    assert len(outputs) == 3
    assert lines
    for text in (*outputs, *lines):
        assert not [word for word in (KEY, TEXT, REST, UNKNOWN) if word in text]
    assert not [line for line in lines if GROUP in line]
    shown = [cell for item in result.distributions for cell in (*item.reference, *item.window)]
    groups = [check.rows for check in result.checks if "disparate impact" in check.name]
    assert not [count for count in (*shown, *groups) if count is not None and 0 < count < 10]


@pytest.mark.parametrize(
    ("name", "file"),
    [("decisions", "decisions.parquet"), ("facets", "facets.parquet"), ("bias-rows", "data.csv")],
)
def test_a_damaged_input_is_refused_without_its_content(tmp_path, monkeypatch, name, file) -> None:
    job = WindowJob(tmp_path, monkeypatch)
    _stage(job, [(1, GROUP, True), (2, REST, False)], (500, 500, 500))
    content = (job.folder(name) / file).read_bytes()
    cut = f"1,1,{GROUP},{KEY}\n".encode() if file == "data.csv" else content[: len(content) // 2]
    (job.folder(name) / file).write_bytes(content + cut if file == "data.csv" else cut)
    with pytest.raises(InputError, match=file) as error:
        job.measure_bias()
    assert not [word for word in (KEY, GROUP, REST) if word in str(error.value)]
