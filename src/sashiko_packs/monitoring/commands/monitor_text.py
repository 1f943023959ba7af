"""The text output of `sashiko monitor`."""

from collections.abc import Iterator, Sequence

from sashiko_packs.monitoring.checks import MonitorCheck
from sashiko_packs.monitoring.report import monitor_words as words
from sashiko_packs.monitoring.result import MonitorResult
from sashiko_packs.monitoring.retraining import Retraining

_MOST_NAMES = 3  # of the checks that share a reason


def describe_monitor(
    result: MonitorResult, *, options: str = "", others: Sequence[str] = ()
) -> str:
    """Describes the outcome of a window, a line each: alarms, what was not judged, what is next.

    `options` of the printed commands select environment, recipe and home; else the recipe alone.
    `others` are the commands that judge the other versions that answered in the window.
    """
    return "\n".join(_lines(result, options, others))


def _lines(result: MonitorResult, options: str, others: Sequence[str]) -> Iterator[str]:
    yield words.headline(result)
    window = words.span(result.start, result.end)
    ok = len(words.of_outcome(result, "ok"))
    yield (
        f"{result.group} version {result.version}, {window}: {ok:,} of {len(result.checks):,} "
        "checks are ok"
    )
    for line in result.alarms:
        yield f"alarm: {line}"
    yield from _not_judged(words.of_outcome(result, "not judged"))
    yield f"audit: {words.audit_state(result)}"
    for command in words.commands(result, options=options, others=others):
        yield f"next: {command}"


def _not_judged(checks: Sequence[MonitorCheck]) -> Iterator[str]:
    """Yields a line for each reason, with the checks that share it."""
    for reason in dict.fromkeys(check.reason for check in checks):
        names = [check.name for check in checks if check.reason == reason]
        text = "; ".join(names[:_MOST_NAMES])
        if len(names) > _MOST_NAMES:
            text = f"{len(names)} checks, such as {names[0]}"
        yield f"not judged: {text}: {reason}"


def describe_retraining(retraining: Retraining, options: str) -> str:
    """Says whether a run is proposed, with its command, or what speaks against one."""
    reasons = "; ".join(retraining.reasons)
    if retraining.action == "none":
        return f"retraining: not now: {reasons}"
    return f"retraining: proposed ({reasons}): sashiko run{options}"
