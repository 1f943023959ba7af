import datetime as dt
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sashiko.base.files import sha256_file, walk_files
from sashiko.errors import InputError
from sashiko_packs.monitoring.capture.record import VersionRows
from sashiko_packs.monitoring.checks import MonitorCheck
from sashiko_packs.monitoring.report.words import headline
from sashiko_packs.monitoring.result import MonitorResult
from sashiko_packs.monitoring.steps import judge
from tests.packs.monitoring.steps.window_job import (
    ARGUMENTS,
    END,
    FOUR_FIFTHS,
    START,
    WEEK,
    WindowJob,
    capture,
    make_job,
    quality,
)
from tests.unit.contract.documents import column_of, custom, document

SHIFTED = (600, 1000, 400)
INPUTS_AND_DRIFT = [
    "captured requests", "captured lines are whole",
    "rule of product", "drift of product", "drift of the texts", "drift of the scores",
]  # fmt: skip


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WindowJob:
    return make_job(tmp_path, monkeypatch)


def _judged(job: WindowJob) -> MonitorResult:
    job.run(judge, *ARGUMENTS)
    return MonitorResult.read(job.output("result"))


def _alarms(result: MonitorResult) -> list[MonitorCheck]:
    return [check for check in result.checks if check.outcome == "alarm"]


def _measure_bias(job: WindowJob, **groups: tuple[int, int]) -> None:
    if groups:
        job.reference_groups(old=(900, 3000), young=(900, 3000))
        job.groups(**groups)
    job.measure_bias()
    written = (job.output("bias") / "measurements.json").read_text()
    job.text("bias", written, file="measurements.json")


def test_a_quiet_window_raises_no_alarm_until_an_audit_does_and_needs_every_input(
    job, capsys
) -> None:
    job.window()
    result = _judged(job)
    assert result.outcome == "partly judged"  # of too few texts
    assert result.summary == "No alarm - drift judged in part."
    assert capsys.readouterr().err == f"{result.summary}\n"
    assert [check.name for check in result.checks] == [*INPUTS_AND_DRIFT, "audited accuracy"]
    assert (result.group, result.recipe, result.version) == ("loans", "lending", 7)
    assert (result.start, result.end) == (START, END)
    assert result.reference_accuracy == pytest.approx(0.75)
    assert result.disparities is None
    assert result.without_facets is None
    assert result.reference_sha256 == sha256_file(job.folder("reference") / "reference.json")

    quality("alarm", closed=START - 10 * WEEK).write(job.folder("quality"))
    assert _judged(job).outcome == "alarm"

    drift = job.folder("drift") / "drift.json"
    drift.unlink()
    with pytest.raises(InputError, match=r"drift\.json does not exist"):
        job.run(judge, *ARGUMENTS)


def test_a_shifted_column_raises_an_alarm_each_time(job, capsys):
    job.window(product=SHIFTED)
    result = _judged(job)
    assert result.outcome == "alarm"
    expected = "1 of 7 checks raises an alarm: drift of product - drift judged in part."
    assert result.summary == expected
    summary, line = capsys.readouterr().err.splitlines()
    assert summary == expected
    [check] = _alarms(result)
    assert line == (
        f"alarm: drift of product, in alarm since 2026-03-02 (1 window): Cohen's w "
        f"{check.value:.3f}, tolerated: at most 0.100"
    )

    before = (job.output("result") / "monitor.json").read_bytes()
    _judged(job)
    assert (job.output("result") / "monitor.json").read_bytes() == before


def test_an_alarm_says_since_when_and_passes_over_windows_that_could_not_judge_it(job) -> None:
    job.window(product=SHIFTED)
    now = _judged(job)
    for weeks, outcome in ((4, "ok"), (3, "alarm"), (2, "not judged"), (1, "alarm")):
        checks = tuple(
            check.model_copy(update={"outcome": outcome, "since": None})
            if check.name == "drift of product"
            else check
            for check in now.checks
        )
        week = {"start": START - weeks * WEEK, "end": END - weeks * WEEK, "checks": checks}
        now.model_copy(update=week).write(job.folder("history") / f"7/{weeks}")
    other = {"version": 6, "start": START - 5 * WEEK, "end": END - WEEK / 2}
    now.model_copy(update=other).write(job.folder("history") / "6")
    (job.folder("history") / "7/old").mkdir()
    (job.folder("history") / "7/old/monitor.json").write_text('{"of": "another form"}')
    [check] = _alarms(_judged(job))
    assert (check.since, check.windows) == (START - 3 * WEEK, 3)


def test_shifted_scores_and_a_broken_rule_raise_alarms(job: WindowJob) -> None:
    job.window(scores=(1000, 500, 500, 0, 0), inputs="alarm")
    assert [check.name for check in _alarms(_judged(job))] == [
        "rule of product", "drift of the scores",
    ]  # fmt: skip


def test_several_alarms_are_all_named(job: WindowJob) -> None:
    job.window(inputs="alarm", audit="alarm", product=SHIFTED)
    assert _judged(job).summary == (
        "3 of 7 checks raise an alarm: rule of product; drift of product; audited accuracy - "
        "drift judged in part."
    )


def test_a_fall_of_disparate_impact_from_1_to_075_in_5000_rows_raises_an_alarm(job) -> None:
    job.window()
    _measure_bias(job, old=(750, 2500), young=(1000, 2500))
    result = _judged(job)
    assert result.outcome == "alarm"
    names = [check.name for check in result.checks]
    gate = "disparate impact of age, 0.8 to 1.25 by its gate"
    assert names == [*INPUTS_AND_DRIFT, "disparate impact of age", gate, "audited accuracy"]
    assert "disparate impact of age" in result.summary
    assert result.disparities[0].window == pytest.approx(0.75)
    assert result.without_facets == 0


def test_bias_counts_in_the_error_rate_of_the_whole_window(job: WindowJob) -> None:
    job.window(product=(940, 660, 400))
    alone = _judged(job).checks[3].p_value
    _measure_bias(job, old=(750, 2500), young=(750, 2500))
    assert _judged(job).checks[3].p_value == pytest.approx(alone * 4 / 2)


def test_too_few_rows_are_not_judged_and_say_how_many_are_needed(job: WindowJob) -> None:
    job.window(
        product=(30, 20, 10), scores=(30, 20, 10, 0, 0), rows=60, audit="not judged",
        inputs="not judged",
    )  # fmt: skip
    result = _judged(job)
    assert result.outcome == "partly judged"
    assert result.summary == "No alarm - inputs, drift and accuracy not judged."
    product = result.checks[3]
    assert (product.rows, product.rows_needed) == (60, 100)
    assert product.reason == "60 rows, 100 are needed"


def test_a_window_without_rows_is_an_alarm_after_weeks_of_good_audits(job: WindowJob) -> None:
    """A capture that has died, while the last audit was of months ago."""
    job.window(product=(0, 0, 0), scores=(0, 0, 0, 0, 0), rows=0, inputs="not judged")
    quality("ok", closed=START - 10 * WEEK).write(job.folder("quality"))
    result = _judged(job)
    assert result.outcome == "alarm"
    assert result.summary == (
        "1 of 7 checks raises an alarm: captured requests - inputs, drift and accuracy not judged, "
        "capture judged in part."
    )


def test_decisions_of_earlier_windows_alone_judge_no_bias(job: WindowJob) -> None:
    """Small groups are pooled over windows, also where this one has no row."""
    job.window(product=(0, 0, 0), scores=(0, 0, 0, 0, 0), rows=0, inputs="not judged")
    _measure_bias(job, old=(750, 2500), young=(750, 2500))
    bias = [check for check in _judged(job).checks if check.kind == "bias"]
    assert bias
    assert {check.outcome for check in bias} == {"not judged"}


@pytest.mark.parametrize(
    ("closed", "outcome"),
    [(START - dt.timedelta(seconds=1), "not judged"), (START, "ok"), (END, "ok")],
)
def test_an_audit_counts_as_judged_in_the_window_that_its_labels_came_in(job, closed, outcome):
    job.window()
    quality("ok", closed=closed).write(job.folder("quality"))
    check = _judged(job).checks[-1]
    assert check.outcome == outcome
    is_old = outcome == "not judged"
    assert ("no period was labelled since 2026-03-01" in check.reason) == is_old


def test_answers_of_the_version_before_a_deploy_are_named_until_they_are_judged(job) -> None:
    """The week of a deploy: version 6 answered until Wednesday, version 7 from then on."""
    job.window()
    wednesday = START + dt.timedelta(days=2, hours=9, minutes=30)
    answered = (
        VersionRows(version=6, requests=500, rows=500, first=START, last=wednesday),
        VersionRows(version=7, requests=2000, rows=2000, first=wednesday, last=END),
    )
    capture(2000).model_copy(update={"rows": 2500, "versions": answered}).write(
        job.folder("summary")
    )
    result = _judged(job)
    name = "answers of version 6 are judged"
    assert result.summary == "No alarm - capture and drift judged in part."
    [check] = [check for check in result.checks if check.name == name]
    assert (check.outcome, check.kind) == ("not judged", "capture")
    assert (check.rows, check.value) == (500, 0.2)
    assert check.reason == (
        "500 of 2,500 rows are of version 6, up to 2026-03-04 09:30 UTC; the other checks are of "
        "version 7 only"
    )
    history = job.folder("history")
    week_before = {"version": 6, "start": START - WEEK, "end": START}
    result.model_copy(update=week_before).write(history / "6/before")
    assert name in [check.name for check in _judged(job).checks if check.outcome == "not judged"]
    result.model_copy(update={"version": 6}).write(history / "6/now")
    assert name in [check.name for check in _judged(job).checks if check.outcome == "ok"]


def test_a_count_that_must_be_hidden_is_not_published(job: WindowJob) -> None:
    job.window()
    drift = job.folder("drift") / "drift.json"
    drift.write_text(drift.read_text().replace("1000", "7"))
    assert _judged(job).distributions[0].reference == (None, 600, None)


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


@settings(max_examples=12, deadline=None, database=None)
@given(rows=ROWS, cells=CELLS)
def test_no_key_text_or_facet_of_a_row_and_no_small_count_gets_out(rows, cells) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        job = WindowJob(Path(folder), patch)
        _stage(job, rows, cells)
        lines: list[str] = []
        patch.setattr("builtins.print", lambda *values, **_: lines.append(" ".join(values)))
        _measure_bias(job)
        job.run(judge, *ARGUMENTS)
        result = MonitorResult.read(job.output("result"))
        outputs = [path.read_text() for path in walk_files(job.output())]
    assert len(outputs) == 2
    assert lines
    for text in (*outputs, *lines):
        assert not [word for word in (KEY, TEXT, REST, UNKNOWN) if word in text]
    assert not [line for line in lines if GROUP in line]
    shown = [cell for item in result.distributions for cell in (*item.reference, *item.window)]
    groups = [check.rows for check in result.checks if "disparate impact" in check.name]
    assert not [count for count in (*shown, *groups) if count is not None and 0 < count < 10]


@pytest.mark.parametrize(
    ("name", "file"),
    [("decisions", "decisions.parquet"), ("bias-rows", "data.csv")],
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


def test_a_silent_week_of_an_endpoint_that_sleeps_is_no_requests_neither_ok_nor_alarm(job) -> None:
    job.window(rows=0, audit="alarm")
    awake = _judged(job)
    assert (awake.outcome, awake.checks[0].outcome) == ("alarm", "alarm")

    job.run(judge, *ARGUMENTS, "--sleeps")
    result = MonitorResult.read(job.output("result"))
    assert (result.outcome, result.alarms) == ("no requests", ())
    assert {check.outcome for check in result.checks} == {"not judged"}
    assert result.summary == "No requests: the endpoint was asked nothing."
    assert headline(result) == "– No requests"


def test_requests_that_nobody_answered_are_no_silence(job) -> None:
    job.window(rows=0)
    unanswered = capture(0).model_copy(update={"lines": 3})
    unanswered.write(job.folder("summary"))
    job.run(judge, *ARGUMENTS, "--sleeps")
    assert MonitorResult.read(job.output("result")).outcome == "alarm"
