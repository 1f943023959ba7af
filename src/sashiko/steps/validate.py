"""Validate and ValidateFacets: run the contract's checks on a snapshot and write a verdict.

`python -m sashiko.steps.validate --view training`

Reads the contract (input `config`) and a snapshot (inputs `data` and `manifest`), of the facets
also the training snapshot's manifest (`training-manifest`); writes `verdict/verdict.json` and the
Data Docs of Great Expectations into `docs/`.
"""

import argparse
import sys

from sashiko.base.files import sha256_file
from sashiko.base.job_folders import pass_on, processing_input, processing_output
from sashiko.base.parquet import open_parquet, parquet_stream
from sashiko.contract.leaks import leak_checks
from sashiko.contract.manifest import MANIFEST_FILE, Manifest, read_manifest
from sashiko.contract.model import View
from sashiko.contract.suite_checks import run_checks
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import decide, write_verdict
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_contract

_GATES = {"training": "data-quality", "facets": "data-quality-facets"}


def main() -> None:
    """Checks a snapshot against the contract; unlike the Data Docs the verdict contains no time.

    Raises:
        InputError: if data, manifest and contract do not belong together.
    """
    parser = argparse.ArgumentParser(description="Judges a snapshot by the data contract.")
    parser.add_argument("--view", choices=tuple(_GATES), required=True)
    view: View = parser.parse_args().view
    contract, manifest_folder = read_contract(), processing_input("manifest")
    data_file = processing_input("data") / "data.parquet"
    manifest = read_manifest(manifest_folder)
    open_parquet(data_file).close()
    if manifest.view != view:
        raise InputError(f"{data_file}: is a {manifest.view} snapshot, not a {view} snapshot")
    if manifest.contract.sha256 != contract.sha256:
        raise InputError(
            f"{data_file}: was made by another version of the contract `{contract.id}`; "
            "take the snapshot again"
        )
    if manifest.sha256 != sha256_file(data_file):
        raise InputError(
            f"{data_file}: is not the file that its manifest describes; take the snapshot again"
        )
    if view == "facets":
        check_same_rows(manifest, read_manifest(processing_input("training-manifest")))
    print(f"checking {manifest.rows:,} rows", file=sys.stderr)
    stream = parquet_stream(data_file)
    checks = [*run_checks(stream, contract, view, docs=processing_output("docs"))]
    if view == "training":
        checks += leak_checks(stream, contract)
    inputs = {
        "contract": contract.sha256,
        "data": manifest.sha256,
        "manifest": sha256_file(manifest_folder / MANIFEST_FILE),
    }
    verdict = decide(gate=_GATES[view], checks=checks, inputs=inputs)
    write_verdict(verdict, processing_output("verdict"))
    pass_on(manifest_folder, processing_output("verdict"))
    print(verdict.summary, file=sys.stderr)


def check_same_rows(facets: Manifest, training: Manifest) -> None:
    """Checks that two snapshots are of the same rows.

    Raises:
        InputError: if they do not hold the same keys, or are of different times.
    """
    if facets.keys_sha256 != training.keys_sha256 or facets.as_of != training.as_of:
        raise InputError(
            f"the facet snapshot ({facets.rows:,} rows, as of {facets.as_of[:12]}) and the "
            f"training snapshot ({training.rows:,} rows, as of {training.as_of[:12]}) do not hold "
            "the same keys: start a new run, and look for a row filter that only one role has"
        )


if __name__ == "__main__":
    run_step(main)
