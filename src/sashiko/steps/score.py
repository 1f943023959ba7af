"""Score: the scores of the artifact that will be served, and of the champion.

For an artifact compiled for an accelerator, the uncompiled model is scored.

    python -m sashiko.steps.score

Reads Compile's artifact, Prepare's validation and test splits, and ResolveChampion's champion.
Every instance has all of them and scores its part of the distinct texts; Evaluate joins the parts.
"""

import argparse
import os

from sashiko.base.files import sha256_file, sha256_tree
from sashiko.base.job_folders import processing_host, processing_input, processing_output
from sashiko.serving.artifact import open_artifact
from sashiko.steps import scored_splits as scoring
from sashiko.steps.entry import run_step

__all__ = ["main"]

INPUTS = ("artifact", "champion", "test", "validation")


def main() -> None:
    """Scores this instance's part."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    host = processing_host()
    splits = {name: scoring.load_split(processing_input(name)) for name in ("validation", "test")}
    folder = processing_output("scores")
    archive = processing_input("artifact") / scoring.ARTIFACT
    champion = scoring.read_champion(processing_input("champion"))
    if champion is not None and champion.sha256 == sha256_file(archive):
        champion = None

    # There is no Neuron device or GPU here; DeviceCheck bounds the difference on the device.
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    with open_artifact(archive, threshold=0.5, on_cpu=True, at_once=threads) as artifact:
        labels, template, missing = artifact.labels, artifact.template, artifact.missing
        half_width = artifact.half_width
        rows = scoring.part_of(scoring.first_rows(splits), host)
        scores = scoring.score_texts(artifact, rows, name=scoring.CANDIDATE)
    scoring.write_part(folder, scoring.CANDIDATE, host, rows=rows, scores=scores)
    not_comparable, champion_half_width = "", half_width
    if champion is not None:
        champion_folder, number = processing_input("champion"), half_width is not None
        with scoring.open_champion(
            champion, champion_folder, labels=labels, number=number, template=template
        ) as artifact:
            not_comparable = scoring.labels_apart(artifact, labels, number=number)
            if not not_comparable:
                champion_half_width = artifact.half_width
                test, instead = splits["test"], {}
                if artifact.template != template:
                    instead = dict(zip(test.texts, test.read_by(artifact).texts, strict=True))
                rows = scoring.part_of(scoring.first_rows({"test": test}), host)
                scores = scoring.score_texts(artifact, rows, name=scoring.CHAMPION, instead=instead)
                scoring.write_part(folder, scoring.CHAMPION, host, rows=rows, scores=scores)
    record = scoring.PartRecord(
        part=host.index,
        parts=host.count,
        champion=champion is not None and not not_comparable,
        not_comparable=not_comparable,
        labels=labels,
        template=template,
        missing=missing,
        half_width=half_width,
        champion_half_width=champion_half_width,
        inputs={name: sha256_tree(processing_input(name)) for name in INPUTS},
    )
    scoring.write_record(folder, record)


if __name__ == "__main__":
    run_step(main)
