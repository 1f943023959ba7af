"""ResolveChampion: downloads the newest approved artifact, if there is one.

With `--labels-signed-by` it also writes the output `labels-of-champion`: the bias metrics of the
labels that the champion was trained on, from the files of its signed manifest.
"""

import argparse
import shutil
import sys
from functools import partial

from sashiko.base.files import write_json
from sashiko.base.job_folders import processing_output
from sashiko.bias.gates.label_change import CHAMPION_LABELS, write_champion_labels
from sashiko.registry.chain import label_metrics
from sashiko.registry.versions import ARTIFACT_FILE
from sashiko.steps.entry import run_step
from sashiko.steps.registries import KINDS, is_signed, open_registry


def main() -> None:
    """Writes `champion.json` and, when there is a champion, its `model.tar.gz`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--registry", required=True, help=KINDS)
    parser.add_argument("--model-package-group", required=True, help="whose champion")
    parser.add_argument("--labels-signed-by", help="KMS keys whose signatures of versions count")
    arguments = parser.parse_args()
    registry = open_registry(arguments.registry)

    folder = processing_output("champion")
    champion = registry.champion(arguments.model_package_group)
    if keys := arguments.labels_signed_by:
        signed = partial(is_signed, keys=keys.split(","))
        none = "no model of this group has been approved yet"
        labels = label_metrics(registry, champion, signed=signed) if champion else none
        write_champion_labels(labels, processing_output(CHAMPION_LABELS))
    if champion is None:
        write_json(folder / "champion.json", {"champion": None})
        print(f"no champion yet in {arguments.model_package_group}", file=sys.stderr)
        return
    downloads = folder / "download"
    downloads.mkdir()
    registry.download(champion, downloads).replace(folder / ARTIFACT_FILE)
    shutil.rmtree(downloads)
    record = {
        "version": champion.version,
        "sha256": champion.artifact_sha256,
        "threshold": champion.threshold,
        "test_from": champion.tags.get("test_from"),
    }
    write_json(folder / "champion.json", {"champion": record})
    print(f"champion: {champion.group} version {champion.version}", file=sys.stderr)


if __name__ == "__main__":
    run_step(main)
