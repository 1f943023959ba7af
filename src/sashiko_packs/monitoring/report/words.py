"""The monitor's outcome in plain words, for its page and for the terminal."""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Final

from sashiko_packs.monitoring.capture.record import ProblemKind
from sashiko_packs.monitoring.checks import (
    AUDITED,
    AUDITED_ACCURACY,
    CAPPED_ERROR,
    CLASS_RECALL,
    COHENS_W,
    DISPARATE_IMPACT,
    INTERVAL_COVERAGE,
    TEXT_AUC,
    MonitorCheck,
    Outcome,
    WindowOutcome,
    gaps,
)
from sashiko_packs.monitoring.result import MonitorResult

_DRAW: Final = "sashiko monitor sample{} --rows 100"
_ADD_LABELS: Final = "sashiko monitor{} --labels FILE"
WORDS: Final[Mapping[WindowOutcome, str]] = {
    "ok": "✓ No alarm",
    "alarm": "✕ Alarm",
    "partly judged": "! No alarm",
    "no requests": "– No requests",
}
EFFECTS: Final[Mapping[str, str]] = {
    COHENS_W: "distance of the two distributions: 0 is none, 0.1 small, 0.3 medium",
    TEXT_AUC: "how well new texts are told from those of the reference: 0.5 is not at all",
    DISPARATE_IMPACT: "share decided positive, group ÷ others: 1 is no difference",
    AUDITED_ACCURACY: "share of audited rows that were decided as their label says",
    "recall": "share of the audited rows labelled positive that were decided positive",
    CLASS_RECALL: "share of the audited rows labelled with the class that were decided as it",
    "specificity": "share of the audited rows labelled negative that were decided negative",
    "precision": "share of the audited rows decided positive that are labelled positive",
    INTERVAL_COVERAGE: "share of audited rows whose number lies in the interval of the answer",
    CAPPED_ERROR: "mean distance of audited numbers from the predicted values, in the label's "
    "unit; a distance above the cap, twice the half of an interval, counts as the cap",
}
PROBLEMS: Final[Mapping[ProblemKind, str]] = {
    "cut-line": "lines that are not whole: cut off, or not JSON in UTF-8. They are left out.",
    "not-a-record": "lines of JSON without event id, time or a side. They are left out.",
    "future": "lines with a time later than the read: a clock is wrong. They are left out.",
    "outside-window": "lines from before or after the window, which belong to another one.",
    "without-output": "requests that were refused or failed, so the model gave no answer.",
    "unreadable": "lines whose request or answer is not in the server's form. They are left out.",
    "mismatched": "requests with more or fewer answers than rows, or with other ids. "
    "They are left out.",
    "replay": "lines that were captured before, with the same event id. They count once.",
    "repeated-key": "rows sent again with a key that this version had answered. They count once.",
    "without-key": "rows without an id: no label can be joined with them.",
    "unknown-column": "rows with a column that the model does not know.",
    "missing-column": "rows without a column that the model was trained on.",
    "dominant-client": "rows of clients that sent so many that they would outweigh the others.",
    "dominant-text": "rows of texts that retries or a bot sent so often that they would outweigh "
    "the others.",
    "dominant-request": "rows of requests with so many that they would outweigh the others.",
    "base64": "lines with a side in BASE64, which was decoded.",
    "wrong-hour": "lines that lie in the folder of another hour. They count by their own time.",
    "without-version": "lines whose folder names no version. They are not judged.",
    "several-versions": "hours in which more than one version answered.",
    "empty-window": "No row of a request is in the window.",
}
_ALARMS: Final[Mapping[str, str]] = {
    COHENS_W: "The requests are not like the rows that the version was tested on. That alone "
    "does not say that decisions got worse. Section This window shows which values "
    "moved. Ask whoever sends the requests, and label audited rows to learn the "
    "accuracy.",
    TEXT_AUC: "The texts are not like those that the version was tested on: new words, another "
    "language or another form. Read new requests, and label audited rows to learn the accuracy. "
    "A flood of one sender's texts looks the same: if a run is proposed, start it only where "
    "the world's texts have changed.",
    DISPARATE_IMPACT: "Compared with the others, a group is now decided positive more rarely or "
    "more often than is tolerated. See its check under Checks, and "
    "bring it to whoever answers for fairness: this alarm alone proposes no "
    "run.",
    **dict.fromkeys(
        (*AUDITED, CAPPED_ERROR),
        "Audited labels show that the version is wrong more often than tolerated. Look at wrongly "
        "decided rows for the cause, and see under Retraining whether a run is proposed. The alarm "
        "stays until the next deploy.",
    ),
}
_CAPTURE_ALARM: Final = (
    "The capture does not show what was asked, so the other checks say little. Section Data says "
    "what is wrong. See whether the version is called and its capture works. Then judge the "
    "window again, if its requests can still be had."
)
_INPUT_ALARM: Final = (
    "Requests break a rule of the contract. Look at the caller first: the cause is more often a "
    "changed form, unit or default than a change in the world."
)


def headline(result: MonitorResult) -> str:
    """Returns the outcome in capitals, with what was not judged."""
    unjudged = "" if result.outcome == "no requests" else gaps(result.checks)
    return " - ".join(filter(None, [WORDS[result.outcome], unjudged]))


def of_outcome(result: MonitorResult, outcome: Outcome) -> tuple[MonitorCheck, ...]:
    """Returns the checks with an outcome, in the result's order."""
    return tuple(check for check in result.checks if check.outcome == outcome)


def span(start: dt.datetime, end: dt.datetime) -> str:
    """Formats a period; its last moment is not part of it."""
    return f"{_time(start)} to {_time(end)}"


def audit_state(result: MonitorResult) -> str:
    """Says how many audited periods are complete, and what the others wait for."""
    periods = result.quality.periods
    if not periods:
        return "No rows have been drawn for an audit yet."
    states = [period.state for period in periods]
    complete = states.count("complete")
    text = f"{complete:,} audited period{'' if complete == 1 else 's'} complete"
    if ends := [period.end for period in periods if period.state == "complete"]:
        text += f", the last one up to {_time(max(ends))}"
    for period in periods:
        if period.state == "open":
            labelled = period.right + period.wrong
            text += f", {labelled:,} of {period.drawn:,} rows labelled of the one up to "
            text += _time(period.end)
    if overdue := [period for period in periods if period.state == "overdue"]:
        last = overdue[-1]
        text += (
            f", {len(overdue):,} closed without all labels, the last up to {_time(last.end)} with "
            f"{last.right + last.wrong:,} of {last.drawn:,} labels: add late ones, or raise "
            "`monitor.label_days`"
        )
    return f"{text}."


def next_steps(result: MonitorResult) -> Iterator[str]:
    """Yields what an alarm means, once for each kind, and what comes next for the audit."""
    yield from dict.fromkeys(
        _CAPTURE_ALARM if check.kind == "capture" else _ALARMS.get(check.effect, _INPUT_ALARM)
        for check in of_outcome(result, "alarm")
    )
    if not _has_answers(result):
        return
    if not _is_drawn(result):
        yield (
            "Draw rows of this window for a person to label, because only audited rows show the "
            "accuracy. Then judge the window again with the labels."
        )
    elif _is_open(result):
        yield "Label the drawn rows, and judge the window again with the labels."
    else:
        yield "The drawn rows of this window are labelled: nothing to do until the next one."


def commands(result: MonitorResult, *, options: str = "") -> tuple[str, ...]:
    """Returns the commands of the next steps.

    Options select environment, recipe and home; the recipe alone if empty.
    """
    draw = () if _is_drawn(result) or not _has_answers(result) else (_DRAW,)
    templates = (*draw, _ADD_LABELS) if draw or _is_open(result) else ()
    chosen = options or f" --recipe {result.recipe}"
    return tuple(template.format(chosen) for template in templates)


def _has_answers(result: MonitorResult) -> bool:
    """Whether the version answered a row in the window, so that some can be drawn."""
    return any(item.version == result.version for item in result.capture.versions)


def _is_open(result: MonitorResult) -> bool:
    """Whether drawn rows wait for labels, those of the last period also when it is closed."""
    periods = result.quality.periods
    waits = any(period.state == "open" for period in periods)
    return waits or any(period.unlabelled for period in periods[-1:])


def _is_drawn(result: MonitorResult) -> bool:
    return any(period.end > result.start for period in result.quality.periods)


def _time(time: dt.datetime) -> str:
    """Formats a time in UTC, without the hour at midnight."""
    utc = time.astimezone(dt.UTC)
    return f"{utc:%Y-%m-%d}" if utc.time() == dt.time() else f"{utc:%Y-%m-%d %H:%M}"
