"""Checks that a run's evidence is of the run's own snapshots.

Snapshots are taken in every run, but most other steps are cached by the URIs of their inputs:
"Default cache key attributes by pipeline step type", Amazon SageMaker AI Developer Guide. Rows that
are reloaded under an existing version have the same URIs, so a cached verdict, model or weight may
be of the earlier rows.
"""

from collections.abc import Iterator, Sequence

from sashiko.contract.manifest import Manifest, Snapshots
from sashiko.contract.model import View
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Verdict

# Gate -> input of its verdict -> the expected snapshot, and the step that read it.
_SNAPSHOT_READERS: dict[str, dict[str, tuple[View, str]]] = {
    "data-quality": {"data": ("training", "Validate judged")},
    "data-quality-facets": {"data": ("facets", "ValidateFacets judged")},
    "model-quality": {
        "training-snapshot": ("training", "Prepare split"),
        "facets-snapshot": ("facets", "Weights weighed"),
    },
    "bias": {
        "facets-snapshot": ("facets", "JudgeBias counted"),
        "joined-facets-snapshot": ("facets", "BiasInput joined"),
    },
}
_DIGEST_LENGTH = 12  # characters of a digest


def check_evidence(
    verdicts: Sequence[Verdict],
    *,
    explained: Snapshots,
    training: Manifest,
    facets: Manifest | None,
) -> None:
    """Compares every data digest of the evidence with the run's snapshots.

    Raises:
        InputError: names each step that used other data, or does not name its data.
    """
    snapshots = {"training": training, **({"facets": facets} if facets else {})}
    mismatches = [
        f"{user} {digest[:_DIGEST_LENGTH] if digest else 'data that it does not name'}, the {view} "
        f"snapshot is {snapshots[view].sha256[:_DIGEST_LENGTH]}"
        for user, view, digest in _used_snapshots(verdicts, explained)
        if view in snapshots and digest != snapshots[view].sha256
    ]
    if mismatches:
        raise InputError(
            f"the evidence is not of the data of this run (sha256): {'; '.join(mismatches)}. Rows "
            f"were loaded again as version {training.as_of}, after these steps had run on the rows "
            "before: load them as a new version, and start the pipeline with it"
        )


def _used_snapshots(
    verdicts: Sequence[Verdict], explained: Snapshots
) -> Iterator[tuple[str, View, str | None]]:
    """Yields the reader, the snapshot's view and the digest that was read."""
    for verdict in verdicts:
        for name, (view, user) in _SNAPSHOT_READERS.get(verdict.gate, {}).items():
            yield user, view, verdict.inputs.get(name)
    yield "Explain read", "training", explained.training
