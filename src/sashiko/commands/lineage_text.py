"""A version's provenance as text."""

from collections.abc import Iterator, Sequence

from sashiko.evaluation.gates.verdict import Verdict, describe
from sashiko.registry.trace import Provenance
from sashiko.registry.versions import Decision, ModelVersion


def lineage_text(provenance: Provenance) -> str:
    """Returns a version and its provenance as text, one block each."""
    version, snapshot = provenance.version, provenance.snapshot
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    blocks = {
        f"{version.group} {version.version}{aliases}": (
            version.status,
            *_decisions(version, provenance.decisions),
        ),
        "data": (
            f"{snapshot.rows:,} rows of {snapshot.table} as of {snapshot.as_of}",
            f"sha256 {snapshot.sha256}",
            f"contract {snapshot.contract.id} {snapshot.contract.version}",
            f"contract sha256 {snapshot.contract.sha256}",
        ),
        "code": (
            f"commit {version.tags['git_sha']}",
            f"recipe {version.tags['recipe']}",
            f"execution {version.tags['execution_id']}",
        ),
        "chain": tuple(f"{link.state}  {link.subject}: {link.detail}" for link in provenance.chain),
        "gates": tuple(line for verdict in provenance.verdicts for line in _gate(verdict)),
        "files, by their sha256": tuple(
            f"{digest}  {name}" for name, digest in sorted(provenance.files.items())
        ),
        "lineage, nearest first": tuple(
            f"{edge.source}  {edge.kind}  {edge.destination}" for edge in provenance.edges
        ),
    }
    return "\n".join(
        line
        for title, lines in blocks.items()
        for line in (title, *(f"  {text}" for text in lines))
    )


def _decisions(version: ModelVersion, decisions: Sequence[Decision]) -> Iterator[str]:
    """Describes each decision, oldest first, and a status that none of them set."""
    for decision in decisions:
        digests = ", ".join(f"{key} {value[:12]}" for key, value in decision.digests.items())
        about = f" ({digests})" if digests else ""
        time = decision.time or "at an unknown time"
        yield f"{time}  {decision.status} by {decision.by}: {decision.reason}{about}"
    last = decisions[-1].status if decisions else "PendingManualApproval"
    if version.status != last:
        description = version.tags.get("approval.reason", "without a description")
        yield f"{version.status} was not set by `sashiko model`: {description}"
    elif not decisions:
        yield "nobody has decided yet"


def _gate(verdict: Verdict) -> Iterator[str]:
    if not verdict.judged:
        yield f"{verdict.gate}: not judged: {verdict.checks[0].reason}"
        return
    yield f"{verdict.gate}: {verdict.outcome}"
    for check in verdict.checks:
        yield f"  {check.outcome}  {describe(check)}"
