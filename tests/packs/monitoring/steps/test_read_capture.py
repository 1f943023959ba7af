import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.errors import InputError
from sashiko_packs.monitoring.capture.record import CaptureSummary, row_schema
from sashiko_packs.monitoring.steps import read_capture
from tests.packs.monitoring.captures import NOON, answer, one, record, request, write
from tests.packs.monitoring.steps.monitor_job import MonitorJob

COLUMNS = ("product", "complaint_text")
WINDOW = {
    "--start": "20260309T000000Z",
    "--end": "20260310T000000Z",
    "--now": "20260310T010000Z",
    "--version": "7",
}


def _lay_out(job: MonitorJob) -> Path:
    """Writes the reference; the folder of the captures is returned."""
    job.put_reference()
    return job.input("capture")


def _run(job: MonitorJob, **changes: str) -> None:
    options = WINDOW | {f"--{name}": value for name, value in changes.items()}
    job.run(read_capture, *(part for option in options.items() for part in option))


def _rows(job: MonitorJob) -> pa.Table:
    return pq.read_table(job.output("rows") / "rows.parquet")


def _others(job: MonitorJob) -> list[tuple[str, int | None]]:
    table = pq.read_table(job.output("rows") / "other_versions.parquet")
    return list(zip(table["key"].to_pylist(), table["version"].to_pylist(), strict=True))


def test_rows_have_the_references_columns(job, capsys) -> None:
    write(_lay_out(job), [one("a"), one("b"), record("c", request(["x"]), None)])
    _run(job)
    table = _rows(job)
    assert table.schema == row_schema(COLUMNS)
    assert table["key"].to_pylist() == ["a", "b"]
    summary = CaptureSummary.read(job.output("summary"))
    assert (summary.rows, summary.count("without-output")) == (2, 1)
    assert not (job.output("rows") / "other_versions.parquet").exists()
    assert capsys.readouterr().err.splitlines() == [
        "version 7 answered 2 rows in 2 requests",
        "without-output: 1",
    ]


def test_other_versions_rows_are_kept_apart_and_counted(job, capsys) -> None:
    folder = _lay_out(job)
    write(folder, [one("a"), one("b")])
    write(folder, [one("c"), one("d"), one("e")], version=8)
    write(folder, [one("f")], version=None)
    _run(job)
    assert _rows(job)["key"].to_pylist() == ["a", "b"]
    summary = CaptureSummary.read(job.output("summary"))
    assert [(item.version, item.rows) for item in summary.versions] == [(None, 1), (7, 2), (8, 3)]
    assert sorted(_others(job)) == [("c", 8), ("d", 8), ("e", 8), ("f", None)]
    errors = capsys.readouterr().err
    assert "version 7 answered 2 rows in 2 requests" in errors
    assert "left out 4 rows of other versions (none, 8)" in errors


def test_requests_after_the_time_of_the_read_are_no_loss_of_its_window(job) -> None:
    folder = _lay_out(job)
    midnight = NOON.replace(hour=0) + dt.timedelta(days=1)
    write(folder, [one("a")])
    write(folder, [one("later", time=midnight + dt.timedelta(minutes=5))], hour=midnight)
    _run(job, now=WINDOW["--end"])
    summary = CaptureSummary.read(job.output("summary"))
    assert (summary.lines, summary.rows, summary.count("future")) == (1, 1, 0)


def test_a_window_that_only_another_version_answered_is_empty(job) -> None:
    write(_lay_out(job), [one("a")], version=8)
    _run(job)
    assert _rows(job).num_rows == 0
    assert _others(job) == [("a", 8)]


def test_nothing_of_a_request_is_printed(job, capsys) -> None:
    private = "my card was stolen in Vienna"
    body = request([{"product": private, "complaint_text": private}], [private])
    cut = b'{"cut": "' + private.encode()
    write(_lay_out(job), [record("a", body, answer([0.3], [private])), cut])
    _run(job)
    output = capsys.readouterr()
    assert "cut-line: 1" in output.err
    assert private not in output.err + output.out
    assert private.encode() not in (job.output("summary") / "capture.json").read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": "20260310T000000Z"}, "is not before --end 20260310T000000Z"),
        ({"start": "20260311T000000Z"}, "is not before --end 20260310T000000Z"),
        ({"end": "Monday"}, "--end Monday: is not a time of ISO 8601, such as 20261128T000000Z"),
        ({"now": "20260310T000000"}, "has no time zone; for UTC write 20260310T000000Z"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(job, changes, message) -> None:
    _lay_out(job)
    with pytest.raises(InputError, match=message):
        _run(job, **changes)
    assert not job.output("rows").exists()
