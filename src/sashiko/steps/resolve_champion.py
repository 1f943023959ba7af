"""ResolveChampion: downloads the newest approved artifact, if there is one."""

import argparse
import shutil
import sys

from sashiko.base.files import write_json
from sashiko.base.job_folders import processing_output
from sashiko.registry.versions import ARTIFACT_FILE
from sashiko.steps.entry import run_step
from sashiko.steps.registries import KINDS, open_registry


def main() -> None:
    """Writes `champion.json` and, when there is a champion, its `model.tar.gz`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--registry", required=True, help=KINDS)
    parser.add_argument("--model-package-group", required=True, help="whose champion")
    arguments = parser.parse_args()
    registry = open_registry(arguments.registry)

    folder = processing_output("champion")
    champion = registry.champion(arguments.model_package_group)
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
