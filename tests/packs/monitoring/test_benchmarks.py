from pathlib import Path

from sashiko.base.parquet import read_columns
from sashiko_packs.monitoring.capture.reading import read_captures
from verification.benchmarks.monitoring_rows import WINDOW, Size, capture_week, faults, size_table
from verification.benchmarks.monitoring_walk import PAGE, walk


def test_a_week_has_as_many_captured_rows_as_requested(tmp_path: Path) -> None:
    folder, version = capture_week(tmp_path, rows=300)
    rows = tmp_path / "rows.parquet"
    summary = read_captures(
        tmp_path / "capture" / version.group, rows, window=WINDOW, now=WINDOW.end,
        columns=["product", "complaint_text"], has_texts=True,
    )  # fmt: skip
    assert (summary.rows, summary.problems) == (300, ())
    ledger = folder.path(folder.places.ledger)
    before = [
        key
        for day in ledger.glob("????-??-??.parquet")
        for key in read_columns(day, ["key"])["key"].to_pylist()
    ]
    assert len(before) == 300
    assert not set(before) & set(read_columns(rows, ["key"])["key"].to_pylist())
    [draw] = folder.path(folder.places.draws).glob("*_v1.parquet")
    assert set(read_columns(draw, ["key"])["key"].to_pylist()) < set(before)


def test_a_bar_that_does_not_hold_is_named() -> None:
    seconds = {"ReadCapture": 700.0, "InputQuality": 20.0, "Drift": 30.0}
    fit, large = dict.fromkeys(seconds, 400.0), dict.fromkeys(seconds, 400.0) | {"Drift": 513.0}
    sizes = [Size(1_000_000, seconds, large), Size(10_000_000, seconds, fit)]
    assert list(faults(sizes)) == [
        "Drift: 513 MB of 1,000,000 rows, bar 512 MB",
        "ReadCapture: 700 s of 10,000,000 rows, bar 600 s",
    ]
    assert "| Drift | 30 | 30 | 513 | 400 |" in list(size_table(sizes))


def test_the_page_walks_from_a_run_to_the_approval_of_the_retrained_version() -> None:
    commands = list(walk(PAGE.read_text(encoding="utf-8")))
    starts = [" ".join(text.split()[:3]) for text, _ in commands]
    order = [
        "make run RECIPE=complaints", "sashiko model approve", "cat > quarter.yaml",
        "sashiko data generate", "sashiko model replay", "sashiko monitor --recipe",
        "sashiko monitor sample", "sashiko run --recipe", "sashiko model approve",
    ]  # fmt: skip
    remaining = iter(starts)
    assert all(command in remaining for command in order), starts
    plan = next(text for text, _ in commands if "quarter.yaml" in text)
    assert plan.endswith("\nEND")
    [alarm] = [text for text, status in commands if status == 4]
    assert "--now 2026-09-23" in alarm
