"""A capture that is dead or damaged fails a check of its own."""

import datetime as dt

import pytest

from sashiko_packs.monitoring.capture.record import (
    CaptureProblem,
    CaptureSummary,
    ProblemKind,
    VersionRows,
)
from sashiko_packs.monitoring.steps.judge import capture_checks

START = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
END = START + dt.timedelta(days=7)


def capture(*, rows: int, lines: int, **problems: int) -> CaptureSummary:
    kinds: dict[str, ProblemKind] = {
        "cut": "cut-line", "outside": "outside-window", "future": "future", "replay": "replay",
    }  # fmt: skip
    version = VersionRows(version=7, requests=rows, rows=rows, first=START, last=END)
    return CaptureSummary(
        start=START, end=END, files=1, lines=lines, requests=rows, rows=rows,
        versions=(version,) if rows else (),
        problems=tuple(
            CaptureProblem(kind=kinds[kind], count=count) for kind, count in problems.items()
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("summary", "outcomes"),
    [
        (capture(rows=400, lines=400), ["ok", "ok"]),
        (capture(rows=0, lines=0), ["alarm", "not judged"]),
        (capture(rows=0, lines=50, outside=50), ["alarm", "not judged"]),
        (capture(rows=164, lines=400, cut=236), ["ok", "alarm"]),
        (capture(rows=396, lines=400, cut=4), ["ok", "ok"]),
        (capture(rows=395, lines=400, cut=2, future=3), ["ok", "alarm"]),
        (capture(rows=100, lines=400, replay=300), ["ok", "ok"]),
    ],
    ids=["whole", "dead", "only other weeks", "damaged", "1 %", "more than 1 %", "retries"],
)
def test_a_dead_or_damaged_capture_is_an_alarm(summary, outcomes) -> None:
    assert [check.outcome for check in capture_checks(summary)] == outcomes


def test_the_check_says_how_many_lines_are_lost_and_why() -> None:
    _, lines = capture_checks(capture(rows=160, lines=400, cut=236, future=4))
    expected = "240 of 400 lines could not be used: cut-line 236, future 4"
    assert (lines.reason, lines.value) == (expected, 0.6)
