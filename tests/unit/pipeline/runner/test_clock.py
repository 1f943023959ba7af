"""A clock that jumps back by a day in the middle of things."""

from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest

from sashiko.pipeline.runner.run_record import RunRecord, StepRecord, new_run_id, write_run


class Clock(datetime):
    """Reads a day less at each call."""

    calls = 0

    @classmethod
    def now(cls, tz: tzinfo | None = UTC) -> datetime:
        Clock.calls += 1
        return datetime(2026, 11, 25, 10, 15, tzinfo=tz) - timedelta(days=Clock.calls)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, "calls", 0)
    monkeypatch.setattr("sashiko.pipeline.runner.run_record.datetime", Clock)


@pytest.mark.usefixtures("clock")
def test_steps_and_run_take_no_negative_time_and_are_reused(tiny: Any, status_of: Any) -> None:
    steps = (tiny.job("A", "time.sleep(0.2)"), tiny.job("B", after=["A"]))
    first = tiny.run(*steps)
    assert first.status == "succeeded"
    assert 0.2 <= first.step("A").seconds <= first.seconds
    assert status_of(tiny.run(*steps)) == {"A": "cached", "B": "cached"}


@pytest.mark.usefixtures("clock")
def test_a_later_run_has_a_later_id(tmp_path: Path) -> None:
    ids = []
    for _ in range(3):
        ids.append(new_run_id(tmp_path))
        folder = tmp_path / "runs" / ids[-1]
        folder.mkdir(parents=True)
        step = StepRecord(name="A", type="Processing")
        write_run(folder, RunRecord(id=ids[-1], pipeline="p", start="-", steps=(step,)))
    assert ids == sorted(ids)
    assert len({name[:15] for name in ids}) == 3
