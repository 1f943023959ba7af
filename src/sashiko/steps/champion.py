"""The champion that ResolveChampion found: its record, and its artifact."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sashiko.base.files import read_json, sha256_file
from sashiko.base.yaml_models import Frozen, validate
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import ChampionRecord
from sashiko.serving.artifact import Artifact, open_artifact

ARTIFACT = "model.tar.gz"


class _ChampionFile(Frozen):
    champion: ChampionRecord | None


def read_champion(folder: Path) -> ChampionRecord | None:
    """Reads ResolveChampion's output; None if no version is approved yet.

    Raises:
        InputError: if the record is damaged, or the artifact does not match it.
    """
    path = folder / "champion.json"
    champion = validate(_ChampionFile, read_json(path), source=str(path)).champion
    if champion is None:
        return None
    digest = sha256_file(folder / ARTIFACT)
    if digest != champion.sha256:
        raise InputError(
            f"{folder / ARTIFACT} has sha256 {digest}, the registry says {champion.sha256}: the "
            "champion's artifact was changed; reject that version"
        )
    return champion


@contextmanager
def open_champion(
    champion: ChampionRecord, folder: Path, *, labels: tuple[str, str], template: str
) -> Iterator[Artifact]:
    """Opens the champion's artifact, whose scores are compared with the candidate's.

    Raises:
        InputError: if it has other labels or another template than the candidate.
    """
    with open_artifact(folder / ARTIFACT, threshold=champion.threshold, on_cpu=True) as artifact:
        _require_labels(artifact, labels, version=champion.version)
        if artifact.template != template:
            raise InputError(
                f"champion version {champion.version} reads texts of another template, so the two "
                "cannot be compared on the same rows: give the recipe another "
                "`model_package_group`, or reject that champion"
            )
        yield artifact


def _require_labels(champion: Artifact, labels: tuple[str, str], *, version: int) -> None:
    """Checks that the champion has the candidate's labels."""
    if champion.labels != labels:
        raise InputError(
            f"champion version {version} has the labels {', '.join(champion.labels)}, the "
            f"candidate {', '.join(labels)}: give the recipe another `model_package_group`"
        )
