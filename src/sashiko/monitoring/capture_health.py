"""Whether a window's capture can be believed: requests were captured, and their lines are whole."""

from typing import Final

from sashiko.monitoring.capture.record import CaptureSummary, LineProblem, SourceProblem
from sashiko.monitoring.checks import MonitorCheck, Outcome

# Lines that no version is judged by, although somebody was answered.
_LOST: Final[tuple[LineProblem | SourceProblem, ...]] = (
    "cut-line", "not-a-record", "future", "unreadable", "mismatched", "without-version",
)  # fmt: skip
ROWS: Final = "rows"  # an effect: the number of captured rows
# Which requests are lost is not chance: those with long texts are cut first. So few may be.
_MOST_LOST: Final = 0.01


def capture_checks(capture: CaptureSummary) -> tuple[MonitorCheck, MonitorCheck]:
    """Judges what was captured in a window, of whatever version.

    Both count all lines and estimate nothing, so there is no interval, and no part in the window's
    error rate.

    Args:
        capture: what ReadCapture found.

    Returns:
        Whether a row was captured, and whether the lines could be read.
    """
    return _rows_check(capture), _lines_check(capture)


def _rows_check(capture: CaptureSummary) -> MonitorCheck:
    last = max((version.last for version in capture.versions), default=None)
    return MonitorCheck(
        name="captured requests",
        kind="capture",
        outcome="ok" if capture.rows else "alarm",
        rows=capture.rows,
        rows_needed=1,
        effect=ROWS,
        value=capture.rows,
        tolerance=1,
        reason="no row was captured: see whether the version is called, and its capture works"
        if last is None
        else f"the last one at {last:%Y-%m-%d %H:%M} UTC",
    )


def _lines_check(capture: CaptureSummary) -> MonitorCheck:
    lines = capture.lines - capture.count("outside-window")
    counts = {kind: count for kind in _LOST if (count := capture.count(kind))}
    lost = sum(counts.values())
    outcome: Outcome = "alarm" if lost > _MOST_LOST * lines else "ok"
    parts = ", ".join(f"{kind} {count:,}" for kind, count in counts.items())
    reason = f"{lost:,} of {lines:,} lines could not be used" + (f": {parts}" if parts else "")
    return MonitorCheck(
        name="captured lines are whole",
        kind="capture",
        outcome=outcome if lines else "not judged",
        rows=lines,
        rows_needed=1,
        effect="share of lines that could not be used",
        value=lost / lines if lines else None,
        tolerance=_MOST_LOST,
        reason=reason if lines else "0 lines, 1 is needed",
    )
