"""`sashiko batch` on this machine: what a reader of the table of answers sees."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.serving.tiny_artifact import expected_score
from tests.packs.batch import loans as desk
from tests.unit.commands.in_process import sashiko


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A project with an approved version that has scored its lake: three requests."""
    root = tmp_path_factory.mktemp("batch")
    desk.make_project(root)
    (root / "config/local.yaml").write_text(
        '{tier: local, account: "111122223333", recipe: loans, batch: {job: {instance_count: 2}}}'
    )
    desk.register(root)
    desk.load(root, desk.loans(2010))
    return root, sashiko("batch", "run", "--json", cwd=root)


def test_two_instances_answer_each_row_once_and_refused_rows_have_a_reason(first):
    root, run = first
    assert run.returncode == 0, run.stderr
    published = json.loads(run.stdout)
    [(batch, rows)] = desk.answers(root).items()
    assert batch == published["batch"]
    assert [row["key"] for row in rows] == [row["loan_id"] for row in desk.loans(2010)]
    for row, loan in zip(rows, desk.loans(2010), strict=True):
        if loan["title"] in ("", desk.TOO_LONG):
            assert (row["label"], row["score"]) == (None, None)
            assert "tokens" in row["refused"] or "empty" in row["refused"]
            continue
        score = expected_score(loan["title"])
        assert row["score"] == pytest.approx(score, abs=1e-6)
        assert (row["label"], row["refused"]) == ("yes" if score >= 0.5 else "no", None)
    assert {(row["version"], row["threshold"], row["run"]) for row in rows} == {
        (1, 0.5, published["run"])
    }
    assert (published["rows"], published["refused"]) == (2010, 670)
    assert len(published["parts"]) == 2


@pytest.mark.slow  # test_batch_steps.py publishes of two runs the first each time
def test_a_second_run_says_that_it_was_scored_and_changes_nothing(first):
    root, _ = first
    before = {file: file.stat().st_mtime_ns for file in (root / ".sashiko/lake").rglob("*.parquet")}
    records = len(desk.captured(root))
    again = sashiko("batch", "run", cwd=root)
    assert again.returncode == 0, again.stderr
    assert "already, by run" in again.stdout
    assert before == {
        file: file.stat().st_mtime_ns for file in (root / ".sashiko/lake").rglob("*.parquet")
    }
    assert len(desk.captured(root)) == records
    listed = sashiko("batch", "list", "--json", cwd=root)
    assert len(json.loads(listed.stdout)) == 1


def test_every_answer_is_a_captured_request_of_its_own(first):
    root, _ = first
    records = desk.captured(root)
    assert len(records) == 2010
    assert len({record["eventMetadata"]["eventId"] for record in records}) == 2010
    request = json.loads(records[0]["captureData"]["endpointInput"]["data"])
    assert request == {"inputs": [{"title": "bad"}], "ids": ["L00000"]}
    [answer] = json.loads(records[0]["captureData"]["endpointOutput"]["data"])
    assert answer["label"] == "yes"
    assert "endpointOutput" not in records[2]["captureData"]
    assert {path.parts[-7] for path in (root / ".sashiko/capture").rglob("*.jsonl")} == {
        "loan-desk"
    }


@pytest.mark.slow
def test_a_revoked_version_scores_nothing_and_the_next_window_takes_the_one_before_it(first):
    root, _ = first
    second = desk.register(root, words={"bad": -5.0, "good": 5.0, "unknown": 0.0})
    desk.decide(root, second, "Rejected")
    run = sashiko(
        "batch", "run", "--version", str(second), "--from", "2026-03-08", "--to", "2026-03-09",
        cwd=root,
    )  # fmt: skip
    assert run.returncode == 1
    assert "Rejected, not Approved" in run.stderr
    assert len(desk.answers(root)) == 1
    windows = ("--from", "2026-03-07", "--to", "2026-03-09", "--every", "1d", "--json")
    run = sashiko("batch", "run", *windows, cwd=root)
    assert run.returncode == 0, run.stderr
    published = [json.loads(line) for line in run.stdout.splitlines()]
    assert [(item["version"], item["rows"]) for item in published] == [(1, 24), (1, 24)]
    keys = [row["key"] for item in published for row in desk.answers(root)[item["batch"]]]
    expected = [
        row["loan_id"] for row in desk.loans(2010)
        if "2026-03-07" <= row["lent_at"].isoformat() < "2026-03-09"
    ]  # fmt: skip
    assert sorted(keys) == sorted(expected)
    assert Path(root / ".sashiko/batch").is_dir()


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_scores_shows_nothing_and_the_next_one_scores_all(first):
    root, _ = first
    window = ("batch", "run", "--from", "2026-03-01", "--to", "2026-03-02")
    before = desk.answers(root).keys()
    command = [sys.executable, "-c", "from sashiko.cli import main; main()", *window]
    with subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True) as run:
        for line in run.stderr:
            if line.startswith("ScoreRows: running"):
                run.kill()
                break
        else:
            pytest.fail("it did not score")
    assert desk.answers(root).keys() == before
    assert not list((root / ".sashiko/lake").glob(".tmp-*"))
    again = sashiko(*window, cwd=root)
    assert again.returncode == 0, again.stderr
    assert "already" not in again.stdout
    (new,) = desk.answers(root).keys() - before
    day = [row["loan_id"] for row in desk.loans(2010) if f"{row['lent_at']:%m-%d}" == "03-01"]
    assert sorted(row["key"] for row in desk.answers(root)[new]) == sorted(day)
