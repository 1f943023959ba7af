"""Writes the monitor's page: one self-contained HTML file on the windows of a model over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sashiko.base.files import write_bytes
from sashiko.report.html import render
from sashiko.report.svg import shorten
from sashiko.report.views import Outcome, OutcomeKind, Section
from sashiko_packs.monitoring.checks import WindowOutcome
from sashiko_packs.monitoring.report import monitor_words as words
from sashiko_packs.monitoring.report.monitor_data import data_section
from sashiko_packs.monitoring.report.monitor_history import History
from sashiko_packs.monitoring.report.monitor_sections import checks_section, history_section
from sashiko_packs.monitoring.report.monitor_window import window_section
from sashiko_packs.monitoring.result import MonitorResult

_LONGEST: Final = 400  # letters of the headline, which may list every alarm
_KINDS: Final[dict[WindowOutcome, OutcomeKind]] = {
    "ok": "registered",
    "alarm": "blocked",
    "partly judged": "interrupted",
}


@dataclass(frozen=True)
class MonitorPage:
    """The view of the page."""

    title: str
    window: str
    outcome: Outcome
    sections: tuple[Section, ...]


def write_monitor_page(
    results: Sequence[MonitorResult],
    path: Path,
    *,
    options: str = "",
    others: Sequence[str] = (),
    retraining: str = "",
) -> Path:
    """Writes the page and returns its path.

    Args:
        results: of one model package group by the end of their windows; the last is the one that
            was just judged. Without any, the page says that no window was judged yet.
        path: of the HTML file.
        options: of the commands of the next steps, which select environment, recipe and home; the
            recipe alone if empty.
        others: the commands that judge the other versions that answered in the last window.
        retraining: whether a run is proposed, in words; empty if nobody has decided.

    Raises:
        InputError: if it cannot be written.
    """
    page = _page(History(tuple(results)), options, others, retraining) if results else _EMPTY
    write_bytes(
        path, render(page, template="sashiko_packs.monitoring.report/monitor.html.j2").encode()
    )
    return path


def _page(history: History, options: str, others: Sequence[str], retraining: str) -> MonitorPage:
    result = history.latest
    window = words.span(result.start, result.end)
    return MonitorPage(
        title=f"Monitor: {result.recipe}",
        window=f"{result.group}, version {result.version}: {window}",
        outcome=Outcome(
            kind=_KINDS[result.outcome],
            word=words.WORDS[result.outcome],
            headline=shorten(result.summary, _LONGEST),
            details=(*words.next_steps(result), *filter(None, [retraining])),
            commands=words.commands(result, options=options, others=others),
        ),
        sections=(
            checks_section(result),
            history_section(history),
            window_section(result),
            data_section(result),
        ),
    )


_EMPTY: Final = MonitorPage(
    title="Monitor",
    window="no window",
    outcome=Outcome(
        kind="interrupted",
        word="– NOT JUDGED",
        headline="No window has been judged yet.",
        commands=("sashiko monitor",),
    ),
    sections=(),
)
