"""The gates of the run: each with its checks, or why it has none."""

from sashiko.evaluation.gates.verdict import Verdict, read_verdict
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.views import Mark, Table
from sashiko.report.words import check_table, check_view, mark

_FOLDED_FROM = 9
Verdicts = dict[str, Verdict | Missing]


def verdicts(evidence: Evidence) -> Verdicts:
    """Reads the verdicts of all steps with an output `verdict`, in the definition's order.

    A model gate's is taken with the recipe's waivers, where the run came so far.

    Returns:
        Step name -> its verdict, or why there is none; nothing if the definition is missing.
    """
    if isinstance(evidence.definition, Missing):
        return {}
    read: Verdicts = {}
    for step in evidence.definition.steps:
        outputs = step.arguments.get("ProcessingOutputConfig", {}).get("Outputs", ())
        if not any(output.get("OutputName") == "verdict" for output in outputs):
            continue
        verdict = evidence.read(step.name, "verdict", "verdict.json", read_verdict)
        if isinstance(verdict, Verdict):
            file = f"{verdict.gate}/verdict.json"
            later = (
                evidence.read(judge, "verdicts", file, read_verdict)
                for judge in ("DeviceCheck", "Track")
            )
            verdict = next((item for item in later if isinstance(item, Verdict)), verdict)
        read[step.name] = verdict
    return read


def known(verdicts: Verdicts) -> list[Verdict]:
    """Returns the verdicts that there are."""
    return [item for item in verdicts.values() if isinstance(item, Verdict)]


def gate_tables(verdicts: Verdicts) -> tuple[Table, ...]:
    """Turns verdicts into tables: failed checks first, long lists without one folded."""
    tables = []
    for step, verdict in verdicts.items():
        if isinstance(verdict, Missing):
            tables.append(Table(step, absent=f"Not judged. {verdict.why}"))
        elif not verdict.judged:
            tables.append(Table(verdict.gate, absent=f"Not judged: {verdict.checks[0].reason}."))
        else:
            ordered = sorted(verdict.checks, key=lambda check: check.passed)
            views = [check_view(check) for check in ordered]
            folded, mark = verdict.passed and len(ordered) >= _FOLDED_FROM, gate_mark(verdict)
            tables.append(check_table(verdict.gate, views, mark=mark, folded=folded))
    return tuple(tables)


def bias_not_judged(evidence: Evidence) -> str:
    """Returns why the recipe leaves bias unjudged; empty if it is judged."""
    if isinstance(evidence.recipe, Missing) or evidence.recipe.bias.judged:
        return ""
    return f"Bias not judged: {' '.join(evidence.recipe.bias.reason.split())}"


def bias_notices(evidence: Evidence, verdicts: Verdicts) -> tuple[str, ...]:
    """Returns why bias has no bound; empty if it has one."""
    if unjudged := bias_not_judged(evidence):
        return (unjudged,)
    if isinstance(evidence.recipe, Missing) or evidence.recipe.bias.gates:
        return ()
    reports = [item for item in known(verdicts) if item.judged and _only_reports(item)]
    reasons = (check.reason for item in reports for check in item.checks if check.reason)
    return (f"Bias not judged: {next(reasons, 'the recipe has no bias gate')}",)


def _only_reports(verdict: Verdict) -> bool:
    return verdict.passed and all(check.comparison == "none" for check in verdict.checks)


def gate_mark(verdict: Verdict) -> Mark:
    """Returns a gate's outcome; a gate without a bound only reports."""
    if not verdict.passed:
        return Mark("waived" if verdict.released else "failed")
    if not any(check.judged for check in verdict.checks):
        return Mark("unjudged")
    if any(mark(check).kind == "suspicious" for check in verdict.checks):
        return Mark("suspicious")
    if not all(check.judged for check in verdict.checks):
        return Mark("partly")
    return Mark("reported" if _only_reports(verdict) else "passed")
