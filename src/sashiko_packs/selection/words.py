"""A selection's outcome as text, for the terminal, the page and its picture."""

from sashiko_packs.selection.record import CandidateRecord, SelectionRecord
from sashiko_packs.selection.rule import undecided


def headline(record: SelectionRecord) -> str:
    """Returns the choice with its reason, or that there is none, and what was not judged."""
    if record.chosen is None:
        text = f"No candidate is chosen: {record.reason}."
    else:
        among = " among what was judged" if record.unjudged else ""
        text = f"{record.chosen} is chosen{among}: {record.reason}."
    return f"{text} Not judged: {'; '.join(record.unjudged)}." if record.unjudged else text


def outcome(item: CandidateRecord, record: SelectionRecord) -> str:
    """Returns a candidate's outcome, with why it is out."""
    lead = item.lead_of_best.text if item.lead_of_best else "undefined"
    match item.outcome:
        case "dropped":
            # A metric of a group keeps its name.
            names = (check.name for check in item.failed)
            failed = (name if "=" in name else name.replace("_", " ") for name in names)
            return f"dropped: fails {', '.join(failed)}"
        case "not measured":
            return "not measured: its answers were written by hand"
        case "worse":
            return f"worse than {record.best} by {lead}"
        case "undecided":
            return f"{undecided(item)}: {record.best} leads by {lead}"
    if item.name == record.best:
        return f"{item.outcome}, the best" if item.outcome == "chosen" else "the best"
    return item.outcome


def cost(item: CandidateRecord) -> str:
    """Formats the cost of a million predictions."""
    if not item.measured:
        return "not measured"
    usd = item.cost.usd
    return "unknown" if usd is None else f"${usd:,.2f}"
