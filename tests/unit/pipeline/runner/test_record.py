from pathlib import Path

import pytest

from sashiko.errors import InputError
from sashiko.pipeline.runner.run_record import (
    DataRecord,
    RunRecord,
    StepRecord,
    new_run_id,
    read_run,
    write_run,
)

RECORD = RunRecord(
    id="run-1",
    pipeline="p",
    start="2026-01-01T00:00:00+00:00",
    parameters={"Flag": True, "N": 3, "Share": 0.5, "Text": "3"},
    steps=(
        StepRecord(
            name="A", type="Processing", outputs={"out": DataRecord(uri="s3://b/x", sha256="0")}
        ),
    ),
)


def test_a_record_reads_back_as_written(tmp_path: Path) -> None:
    write_run(tmp_path, RECORD)
    read = read_run(tmp_path)
    assert read == RECORD
    assert read.parameters["Flag"] is True
    assert read.parameters["Text"] == "3"


@pytest.mark.parametrize(("status", "code"), [
    ("registered", 0),
    ("succeeded", 0),
    ("partial", 0),
    ("blocked", 3),
    ("failed", 1),
    ("running", 1),
    ("interrupted", 130),
])  # fmt: skip
def test_exit_codes(status: str, code: int) -> None:
    assert RECORD.model_copy(update={"status": status}).exit_code == code


def test_an_unknown_step_names_those_there_are() -> None:
    with pytest.raises(InputError, match="run run-1 has no step `B`; it has: A"):
        RECORD.step("B")


def test_a_folder_without_a_run_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.json does not exist"):
        read_run(tmp_path)


def test_run_ids_differ(tmp_path: Path) -> None:
    assert new_run_id(tmp_path) != new_run_id(tmp_path)
