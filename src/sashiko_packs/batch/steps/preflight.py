"""BatchPreflight: checks that the version may score, and fetches its artifact.

    python -m sashiko_packs.batch.steps.preflight

A version in SageMaker's registry passes the check that it needs to be served: approved, each gate
passed, no waiver over, signed by a key that counts, and no file changed. One of this machine's is
not signed. Reads the environment's expectations (input `expected`) and the batches that are
published (input `published`); writes `plan/plan.json` and `artifact/model.tar.gz`.
"""

import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from sashiko.base.aws_calls import job_session
from sashiko.base.custom_resource import RefusedError
from sashiko.base.files import read_json, sha256_file
from sashiko.base.job_folders import processing_input, processing_output
from sashiko.base.yaml_models import read_record
from sashiko.errors import InputError
from sashiko.registry.model_packages.registry import translate_errors
from sashiko.registry.preflight.expected import Expected
from sashiko.registry.preflight.registered import check_registered
from sashiko.registry.versions import ARTIFACT_FILE
from sashiko.steps.entry import run_step
from sashiko.steps.registries import open_registry
from sashiko.steps.sections import read_contract
from sashiko_packs.batch.places import Batch
from sashiko_packs.batch.records import Plan, Publication, parse_arguments


def main() -> None:
    """Runs the step."""
    arguments = parse_arguments(__doc__, read_contract(), ("registry",))
    expected = Expected(**read_json(processing_input("expected") / "expected.json"))
    batch, folder = arguments.batch, processing_output("artifact")
    if arguments.options["registry"] == "sagemaker":
        threshold = _signed(expected, batch.version, folder)
    else:
        threshold = _registered(expected, batch.version, folder)
    published = find_published(processing_input("published"), batch)
    plan = Plan(
        group=expected.model_package_group,
        version=batch.version,
        threshold=threshold,
        artifact_sha256=sha256_file(folder / ARTIFACT_FILE),
        published=published,
    )
    plan.write(processing_output("plan"))
    print(f"preflight passed: {plan.group} version {plan.version}", file=sys.stderr)
    if published:
        print(f"already scored by run {published.run}: nothing is scored again", file=sys.stderr)


def find_published(folder: Path, batch: Batch) -> Publication | None:
    """Finds the record of a batch among those of all published ones."""
    records = (read_record(Publication, file) for file in sorted(folder.rglob(Publication.FILE)))
    return next((record for record in records if record.batch == batch.name), None)


def _registered(expected: Expected, number: int, folder: Path) -> float:
    """Checks and fetches a version of MLflow's registry; returns its threshold."""
    registry = open_registry("mlflow")
    version = next(
        (one for one in registry.versions(expected.model_package_group) if one.version == number),
        None,
    )
    if version is None:
        raise InputError(f"{expected.model_package_group} has no version {number}")
    check_registered(registry, version, gates=expected.gates, allow_waived=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        registry.download(version, Path(scratch)).replace(folder / ARTIFACT_FILE)
    return version.threshold


def _signed(expected: Expected, number: int, folder: Path) -> float:
    """Checks and fetches a version of SageMaker's registry; returns its signed threshold."""
    from sashiko.registry.preflight.signed_files import connect
    from sashiko.registry.preflight.version_check import judge

    group = expected.model_package_arn.rpartition("/")[0]
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        try:
            with translate_errors(f"check version {number}"):
                target = replace(expected, model_package_arn=f"{group}/{number}")
                judgement = judge(connect(job_session("the registry").client), target)
                judgement.files.save(Path(scratch))
        except RefusedError as error:
            raise InputError(f"preflight refused: {error}") from error
        shutil.copyfile(Path(scratch) / ARTIFACT_FILE, folder / ARTIFACT_FILE)
    return float(judgement.threshold)


if __name__ == "__main__":
    run_step(main)
