"""Whether a window's capture can be believed: requests were captured, and their lines are whole.

And whether every version that answered is judged: the other checks are of one version alone.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from sashiko_packs.monitoring.capture.record import (
    CaptureSummary,
    LineProblem,
    SourceProblem,
    VersionRows,
)
from sashiko_packs.monitoring.checks import MonitorCheck, Outcome
from sashiko_packs.monitoring.result import MonitorResult

# Lines that no version is judged by, although somebody was answered.
_LOST: Final[tuple[LineProblem | SourceProblem, ...]] = (
    "cut-line", "not-a-record", "future", "unreadable", "mismatched", "without-version",
)  # fmt: skip
# Effects.
ROWS: Final = "rows"  # the number of captured rows
OTHER_VERSION: Final = "share of rows of another version"
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


def version_checks(
    capture: CaptureSummary, *, version: int, history: Sequence[MonitorResult]
) -> Iterator[MonitorCheck]:
    """Yields a check for each other version that answered, such as the one before a deploy.

    Args:
        capture: what ReadCapture found.
        version: whose answers the window's other checks judge.
        history: windows that have been judged, those of other versions among them.
    """
    unjudged = unjudged_versions(capture, version=version, history=history)
    for answered in _others(capture, version=version):
        is_judged = answered.version not in unjudged
        yield MonitorCheck(
            name=f"answers of version {answered.version} are judged",
            kind="capture",
            outcome="ok" if is_judged else "not judged",
            rows=answered.rows,
            rows_needed=1,
            effect=OTHER_VERSION,
            value=answered.rows / capture.rows,
            tolerance=0.0,
            reason=f"{answered.rows:,} of {capture.rows:,} rows are of version {answered.version}, "
            f"up to {answered.last:%Y-%m-%d %H:%M} UTC; "
            + (
                "they have been judged by themselves"
                if is_judged
                else f"the other checks are of version {version} alone"
            ),
        )


def unjudged_versions(
    capture: CaptureSummary, *, version: int, history: Sequence[MonitorResult]
) -> tuple[int, ...]:
    """Returns the other versions whose answers in a window nothing has judged.

    Args:
        capture: of the window.
        version: that the window was judged for.
        history: windows that have been judged.
    """
    judged = {
        result.version
        for result in history
        if (result.start, result.end) == (capture.start, capture.end)
    }
    return tuple(
        answered.version
        for answered in _others(capture, version=version)
        if answered.version is not None and answered.version not in judged
    )


def _others(capture: CaptureSummary, *, version: int) -> list[VersionRows]:
    """Lists other versions; lines without a version are problems of the capture instead."""
    return [item for item in capture.versions if item.version not in (None, version)]


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
