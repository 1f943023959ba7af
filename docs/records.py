"""The part of verified.md that records make: of each belief, what AWS itself has answered."""

from pathlib import Path

from docs.between import between
from sashiko.packs import Pack

PAGE = Path(__file__).with_name("verified.md")
_MARKERS = "<!-- records: written by `make docs` -->\n", "<!-- end of the records -->\n"


def verified_page(packs: tuple[Pack, ...]) -> str:
    """Returns the page; without the pack that has the probes, as it is."""
    if all(pack.name != "operations" for pack in packs):
        return PAGE.read_text()
    from sashiko_packs.operations.proofs.probe import all_probes
    from sashiko_packs.operations.proofs.record import FOLDER, counted, read_records

    records = read_records(PAGE.parents[1] / FOLDER)
    lines, verdicts = ["| capability | belief | probe | AWS |", "|---|---|---|---|"], []
    for probe in all_probes():
        record = records.get(probe.id)
        verdict = counted(record, probe)
        verdicts.append(verdict)
        stands = f"**{verdict}** ({record.date})" if record and verdict else "never recorded"
        name = f"{probe.id}, in words" if probe.outline else f"`{probe.id}`"
        lines.append(f"| {probe.row} | {probe.belief} | {name} | {stands} |")
    recorded = len(verdicts) - verdicts.count(None)
    summary = f"{recorded} of {len(verdicts)} beliefs have a record of a real account."
    return between(PAGE, _MARKERS, "\n".join(["", summary, "", *lines, "", ""]))
