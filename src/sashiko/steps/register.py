"""Register: a version that waits for approval, with the evidence that it rests on."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from sashiko.contract.manifest import read_manifest
from sashiko.errors import InputError
from sashiko.evaluation import DECISION_FILE, METRICS_FILE, read_decision, read_evaluation
from sashiko.files import read_json, sha256_file, walk_files, write_json
from sashiko.gates.verdict import read_verdict
from sashiko.paths import processing_input, processing_output
from sashiko.registry import ModelVersion
from sashiko.sections import read_contract
from sashiko.steps.entry import run_step
from sashiko.steps.resolve_champion import open_registry
from sashiko.steps.track import gate_tags

_EVIDENCE = ("artifact", "lock", "decision", "metrics", "snapshot-manifest", "verdicts")


def gather(folder: Path) -> None:
    """Copies the artifact and its evidence into `folder`, with a manifest of every digest."""
    for name in _EVIDENCE:
        shutil.copytree(processing_input(name), folder, dirs_exist_ok=True)
    digests = {
        file.relative_to(folder).as_posix(): sha256_file(file) for file in walk_files(folder)
    }
    write_json(folder / "manifest-sha256.json", digests)


def version_tags(execution_id: str, recipe: str, *, bias_not_judged: str) -> dict[str, str]:
    """Collects what is recorded with a version: data, contract, code, gates, main figure."""
    contract = read_contract()
    snapshot = read_manifest(processing_input("snapshot-manifest"))
    source = read_json(processing_input("run-manifest") / "source.json")
    evaluation = read_evaluation(processing_input("metrics") / METRICS_FILE)
    auc = evaluation.candidate["auc"].value
    verdicts = [read_verdict(file) for file in walk_files(processing_input("verdicts"))]
    gates = gate_tags(verdicts, bias_not_judged=bias_not_judged)
    if not all(verdict.passed for verdict in verdicts):
        raise InputError(f"a failed gate cannot be registered: {gates}")
    return {
        "execution_id": execution_id,
        "data_sha256": snapshot.sha256,
        "contract": contract.id,
        "contract_version": contract.version,
        "contract_sha256": contract.sha256,
        "recipe": recipe,
        "git_sha": source["git_sha"] + ("-dirty" if source["dirty"] else ""),
        "metric.auc": "undefined" if auc is None else f"{auc:.4f}",
        **gates,
    }


def registration(version: ModelVersion, *, new: bool) -> dict[str, object]:
    """Says what the registry holds now, as the run's own record."""
    return {
        "model_package_group": version.group,
        "version": version.version,
        "status": version.status,
        "artifact_sha256": version.artifact_sha256,
        "threshold": version.threshold,
        "new": new,
    }


def main() -> None:
    """Writes `registration.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--registry", required=True, help="mlflow or sagemaker")
    parser.add_argument("--model-package-group", required=True, help="where the version belongs")
    parser.add_argument("--execution-id", required=True, help="of the pipeline")
    parser.add_argument("--recipe", required=True, help="the recipe's name")
    parser.add_argument("--bias-not-judged", default="", help="why, where the data have no facets")
    arguments = parser.parse_args()

    registry = open_registry(arguments.registry)
    tracking = read_json(processing_input("tracking") / "tracking.json")
    decision = read_decision(processing_input("decision") / DECISION_FILE)
    if tracking["mlflow_run_id"] is None:
        raise InputError("MLflow could not be reached by Track, so there is no run to register")
    with tempfile.TemporaryDirectory() as folder:
        gather(Path(folder))
        version, new = registry.register(
            arguments.model_package_group,
            files=Path(folder),
            run_id=tracking["mlflow_run_id"],
            threshold=decision.threshold,
            tags=version_tags(
                arguments.execution_id,
                arguments.recipe,
                bias_not_judged=arguments.bias_not_judged,
            ),
        )
    write_json(
        processing_output("registration") / "registration.json", registration(version, new=new)
    )
    state = "registered" if new else "is registered already"
    print(f"{version.group} version {version.version} {state}", file=sys.stderr)


if __name__ == "__main__":
    run_step(main)
