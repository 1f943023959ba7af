"""Score: the scores of the artifact that will be served, and of the champion.

For an artifact compiled for an accelerator, the uncompiled model is scored.

    python -m sashiko.steps.score

Reads Compile's artifact, Prepare's validation and test splits, and ResolveChampion's champion.
Every instance has all of them and scores its part of the distinct texts; Evaluate joins the parts.
"""

import argparse

from sashiko.base.files import sha256_file, sha256_tree
from sashiko.base.job_folders import processing_host, processing_input, processing_output
from sashiko.serving.artifact import open_artifact
from sashiko.steps.entry import run_step
from sashiko.steps.scored_splits import (
    ARTIFACT,
    CANDIDATE,
    CHAMPION,
    PartRecord,
    first_rows,
    load_split,
    open_champion,
    part_of,
    read_champion,
    score_texts,
    write_part,
    write_record,
)

__all__ = ["main"]

_ANY_THRESHOLD = 0.5  # the scores do not depend on it
INPUTS = ("artifact", "champion", "test", "validation")


def main() -> None:
    """Scores this instance's part."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    host = processing_host()
    splits = {name: load_split(processing_input(name)) for name in ("validation", "test")}
    folder = processing_output("scores")
    archive = processing_input("artifact") / ARTIFACT
    champion = read_champion(processing_input("champion"))
    if champion is not None and champion.sha256 == sha256_file(archive):
        champion = None

    # There is no Neuron device or GPU here; DeviceCheck bounds the difference on the device.
    with open_artifact(archive, threshold=_ANY_THRESHOLD, on_cpu=True) as artifact:
        labels, template, missing = artifact.labels, artifact.template, artifact.missing
        rows = part_of(first_rows(splits), host)
        scores = score_texts(artifact, rows, name=CANDIDATE)
    write_part(folder, CANDIDATE, host, rows=rows, scores=scores)
    if champion is not None:
        with open_champion(
            champion, processing_input("champion"), labels=labels, template=template
        ) as artifact:
            rows = part_of(first_rows({"test": splits["test"]}), host)
            scores = score_texts(artifact, rows, name=CHAMPION)
        write_part(folder, CHAMPION, host, rows=rows, scores=scores)
    write_record(
        folder,
        PartRecord(
            part=host.index,
            parts=host.count,
            champion=champion is not None,
            labels=labels,
            template=template,
            missing=missing,
            inputs={name: sha256_tree(processing_input(name)) for name in INPUTS},
        ),
    )


if __name__ == "__main__":
    run_step(main)
