"""What is refused or blocked, with which message, and that the next run works."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.project import RUN, STRICT, Attempt, Project, Refusals, refuses, write_csv

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def project(new_project: Callable[[], Project]) -> Project:
    return new_project()


@pytest.fixture(scope="module")
def some(rows: Path) -> Rows:
    return pq.read_table(rows).slice(0, 5).to_pylist()


def lacking(folder: Path, some: Rows) -> Path:
    rows = [{name: row[name] for name in row if name != "channel"} for row in some]
    return write_csv(folder / "lacking.csv", rows)


def with_cell(folder: Path, some: Rows, cell: dict[str, str], *, encoding: str = "utf-8") -> Path:
    """Changes a cell of the fourth row, or adds one to it and to the others."""
    rows = [row | dict.fromkeys(cell.keys() - row.keys(), "") for row in some]
    return write_csv(folder / "bad.csv", [*rows[:3], rows[3] | cell], encoding=encoding)


def cut(file: Path, size: int) -> Path:
    file.write_bytes(file.read_bytes()[:size])
    return file


def truncated(folder: Path, some: Rows, name: str = "cut.parquet") -> Path:
    pq.write_table(pa.Table.from_pylist(some), folder / name)
    return cut(folder / name, -20)


def without_rows(folder: Path, some: Rows) -> Path:
    file = write_csv(folder / "header.csv", some)
    return cut(file, len(file.read_text().splitlines()[0]) + 1)


YESTERDAY, NAME = {"received_at": "yesterday"}, {"customer_name": "José Müller"}
BAD_FILES = {
    "lacking": (lacking, ("lacking.csv", "column `channel`", "is missing", "physicalName")),
    "extra": (partial(with_cell, cell={"mood": "sour"}),
              ("bad.csv", "column `mood`", "leave it out of the file")),
    "wrong type": (partial(with_cell, cell=YESTERDAY),
                   ("bad.csv", "column `received_at`, row 4", "'yesterday'", "timestamp")),
    "empty": (lambda folder, some: cut(write_csv(folder / "empty.csv", some), 0),
              ("empty.csv is empty", "expected a header and rows")),
    "without rows": (without_rows, ("header.csv has columns but no rows",)),
    "truncated": (truncated, ("cut.parquet is not a whole Parquet file", "copy it again")),
    "Latin 1": (partial(with_cell, cell=NAME, encoding="latin-1"),
                ("bad.csv: line 5 is not UTF-8", "iconv")),
}  # fmt: skip


CONTRACT = ("--contract", "contracts/tiny.odcs.yaml")


@pytest.mark.parametrize(("make", "texts"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_refused_by_the_check(project: Project, some, tmp_path, make, texts):
    refuses(project.call("data", "check", make(tmp_path, some), *CONTRACT), *texts)


def test_a_good_file_passes_the_check_and_bad_rows_fail_it(project: Project, rows: Path, tmp_path):
    good = project.call("data", "check", rows, *CONTRACT, "--json")
    assert (good.returncode, json.loads(good.stdout)["passed"]) == (0, True), good.stderr

    table = pq.read_table(rows).to_pylist()
    table[7]["product"] = "Lottery"
    bad = project.call("data", "check", write_csv(tmp_path / "bad.csv", table), *CONTRACT)
    assert bad.returncode == 4
    assert "FAIL  product" in bad.stdout
    assert "Lottery" in bad.stdout


@pytest.fixture(scope="module")
def stopped(project: Project, rows: Path) -> Attempt:
    """A run with a null key, a repeated key and an unknown label in the data.

    The runs after it have other rows in the same file, so that their definition is in the cache.
    """
    table = pq.read_table(rows).to_pylist()
    table[3]["complaint_id"] = None
    table[5]["complaint_id"] = table[4]["complaint_id"]
    table[6]["escalate"] = "perhaps"
    pq.write_table(pa.Table.from_pylist(table), project.root / "rows.parquet")
    return project.sashiko(*RUN)


def test_bad_rows_stop_the_run_before_it_trains(project: Project, stopped: Attempt) -> None:
    assert stopped.returncode == 3, stopped.stderr
    statuses = project.statuses(project.runs()[0])
    assert statuses["DataGate"] == "blocked"
    assert statuses["Prepare"] == "failed"  # it runs beside the validation
    assert {statuses[name] for name in ("PreBias", "Train", "Register")} == {"not_run"}
    assert project.left_behind() == []


def test_the_message_names_columns_and_rules(stopped: Attempt) -> None:
    for text in ("complaint_id", "no nulls", "unique", "escalate", "perhaps"):
        assert text in stopped.stdout
    assert "Traceback" not in stopped.stderr


def test_a_run_refuses_a_bad_file_and_leaves_the_lake_as_it_was(project, stopped, some):
    [table] = project.home.glob("lake/*/*.parquet")
    before = table.read_bytes()
    runs = project.runs()
    file = project.root / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(some).drop_columns("channel"), file)
    refuses(project.sashiko(*RUN), file.name, "channel")
    truncated(project.root, some, file.name)
    refuses(project.sashiko(*RUN), file.name, "whole Parquet file")
    assert table.read_bytes() == before
    assert project.runs() == runs
    assert project.left_behind() == []


def test_a_run_refuses_a_contract_with_an_unknown_type(project: Project) -> None:
    path = project.root / "contracts/tiny.odcs.yaml"
    text = path.read_text().replace("logicalType: timestamp", "logicalType: moment")
    (project.root / "contracts/moment.odcs.yaml").write_text(text)
    done = project.sashiko(*RUN, "--set", "contract=contracts/moment.odcs.yaml")
    refuses(done, "moment.odcs.yaml", "received_at", "moment", "timestamp")


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_a_message(refusals: Refusals) -> None:
    done = refusals.full_disk
    assert done.returncode == 1
    assert "File too large" in done.stdout
    assert "free some space and run again" in done.stdout
    assert "Traceback" not in done.stderr
    assert refusals.project.run_record(refusals.runs[0])["status"] == "failed"
    assert refusals.left == []


@pytest.mark.slow
def test_a_biased_model_is_not_registered(refusals: Refusals) -> None:
    assert refusals.biased.returncode == 3, refusals.biased.stderr
    statuses = refusals.project.statuses(refusals.runs[1])
    assert (statuses["ModelGate"], statuses["Register"]) == ("blocked", "not_run")
    assert refusals.versions == []


@pytest.mark.slow
def test_the_message_names_check_number_interval_and_what_to_try(refusals: Refusals) -> None:
    folder = refusals.project.output("JudgeBias", "verdict", run=refusals.runs[1])
    checks = json.loads((folder / "verdict.json").read_text())["checks"]
    [check] = [check for check in checks if check.get("judged", True)]
    out = refusals.biased.stdout
    assert out.startswith("blocked: run ")
    for text in (
        "DI customer_gender=female",
        f"{check['value']:.4g}",
        f"{check['low']:.4g}",
        f"{check['high']:.4g}",
        "a strict rule",
        "raise `reweighing.strength`",
    ):
        assert text in out
    assert "Traceback" not in refusals.biased.stderr


@pytest.mark.slow
def test_the_report_of_a_blocked_run_says_so(refusals: Refusals) -> None:
    html = (refusals.project.home / "runs" / refusals.runs[1] / "report.html").read_text()
    assert "blocked" in html.lower()
    assert "Disparate impact (DI): customer_gender=female" in html


@pytest.mark.slow
def test_an_artifact_that_answers_otherwise_is_not_registered(refusals: Refusals) -> None:
    assert refusals.inexact.returncode == 3, refusals.inexact.stderr
    statuses = refusals.project.statuses(refusals.runs[2])
    assert (statuses["DeviceCheck"], statuses["DeviceGate"]) == ("succeeded", "blocked")
    assert statuses["Register"] == "not_run"
    assert refusals.versions == []


@pytest.mark.slow
def test_the_device_gates_message_names_check_number_and_what_to_try(refusals: Refusals) -> None:
    folder = refusals.project.output("DeviceCheck", "verdict", run=refusals.runs[2])
    checks = json.loads((folder / "verdict.json").read_text())["checks"]
    [failed] = [check for check in checks if not check["passed"]]
    assert failed["name"] == "largest difference of a score"
    number = f"{failed['value']:.4g}"
    for text in ("device: 1 of 4 checks failed", number, "required <= 1e-12", "Try: compile"):
        assert text in refusals.inexact.stdout
    html = (refusals.project.home / "runs" / refusals.runs[2] / "report.html").read_text()
    assert "One check of the device gate failed. Nothing was registered." in html


@pytest.mark.slow
def test_the_next_good_run_works(refusals: Refusals, good: Attempt) -> None:
    assert good.returncode == 0, good.stderr
    assert refusals.project.versions() == [1]


@pytest.mark.slow
def test_another_gate_judges_again_and_trains_nothing(refusals: Refusals) -> None:
    statuses = refusals.project.statuses(refusals.runs[2])
    assert (statuses["Train"], statuses["Evaluate"]) == ("cached", "cached")
    assert (statuses["JudgeBias"], statuses["ModelGate"]) == ("succeeded", "succeeded")


def waiver(until: str) -> tuple[str, ...]:
    """The options of a run with a strict gate, whose failed check somebody answers for."""
    waived = (
        "waivers=[{check: DI customer_gender=female, owner: Ada Lovelace, "
        f"reason: the desk reads every case, expires: {until}}}]"
    )
    return (*RUN, "--set", STRICT, "--set", waived)


@pytest.mark.slow
def test_an_expired_waiver_blocks(refusals: Refusals, good: Attempt) -> None:
    project = refusals.project
    assert good.returncode == 0, good.stderr
    blocked = project.sashiko(*waiver("2026-01-31"))
    assert blocked.returncode == 3, blocked.stderr
    assert "the waiver of Ada Lovelace expired on 2026-01-31" in blocked.stdout
    assert project.versions() == [1]


@pytest.mark.slow
def test_a_waived_model_is_registered_as_such(refusals: Refusals, good: Attempt) -> None:
    project = refusals.project
    assert good.returncode == 0, good.stderr
    done = project.sashiko(*waiver("2999-12-31"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nFAILED: DI customer_gender=female = " in done.stdout
    assert "WAIVED by Ada Lovelace until 2999-12-31: the desk reads every case" in done.stdout
    version = json.loads(project.sashiko("model", "list", "--recipe", "tiny", "--json").stdout)[0]
    assert version["version"] == 2
    assert version["tags"]["gate.bias"] == "waived"
    assert "by Ada Lovelace until 2999-12-31" in version["tags"]["gate.bias.waived"]
    run = project.runs()[-1]
    verdict = project.output("JudgeBias", "verdict", run=run) / "verdict.json"
    assert json.loads(verdict.read_text())["passed"] is False
    html = (project.home / "runs" / run / "report.html").read_text()
    assert "Waits for your decision, with failed checks waived" in html
    assert "Waived by Ada Lovelace until 2999-12-31" in html
