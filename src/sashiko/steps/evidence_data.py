"""Whether a run's evidence is of the data that the run took its snapshots of.

Snapshots are taken in every run, and most other steps are found again by the URIs of their inputs:
"Default cache key attributes by pipeline step type", Amazon SageMaker AI Developer Guide. Rows that
were loaded again under a version that was there before have the same URIs, and then a verdict, a
model or a weight may be of the rows that were there first.
"""

from collections.abc import Iterator, Sequence

from sashiko.contract.manifest import Manifest, Snapshots
from sashiko.contract.model import View
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Verdict

# Gate -> name among its verdict's inputs -> the snapshot that it has to be, and who read it.
_READ: dict[str, dict[str, tuple[View, str]]] = {
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
_SHOWN = 12  # characters of a digest


def check_evidence(
    verdicts: Sequence[Verdict],
    *,
    explained: Snapshots,
    training: Manifest,
    facets: Manifest | None,
) -> None:
    """Holds every digest of data that the evidence names against the run's snapshots.

    Args:
        verdicts: of every gate.
        explained: what Explain read.
        training: the manifest of the run's training snapshot.
        facets: that of its facet snapshot; None where bias is not judged.

    Raises:
        InputError: naming each step that used other data, or does not say what it used.
    """
    snapshots = {"training": training, **({"facets": facets} if facets else {})}
    wrong = [
        f"{user} {digest[:_SHOWN] if digest else 'data that it does not name'}, the {view} "
        f"snapshot is {snapshots[view].sha256[:_SHOWN]}"
        for user, view, digest in _used(verdicts, explained)
        if view in snapshots and digest != snapshots[view].sha256
    ]
    if wrong:
        raise InputError(
            f"the evidence is not of the data of this run (sha256): {'; '.join(wrong)}. Rows were "
            f"loaded again as version {training.as_of}, after these steps had run on the rows "
            "before: load them as a new version, and start the pipeline with it"
        )


def _used(
    verdicts: Sequence[Verdict], explained: Snapshots
) -> Iterator[tuple[str, View, str | None]]:
    """Yields who used which snapshot, and the digest of what it used."""
    for verdict in verdicts:
        for name, (view, user) in _READ.get(verdict.gate, {}).items():
            yield user, view, verdict.inputs.get(name)
    yield "Explain read", "training", explained.training
