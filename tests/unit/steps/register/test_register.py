"""Register: what a version rests on is gathered, signed and handed to the registry."""

import json
from pathlib import Path

import pytest

from sashiko.base.files import sha256_file
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import METRICS_FILE, read_evaluation, write_evaluation
from sashiko.evaluation.gates.verdict import not_judged, write_verdict
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.registry.mlflow import MlflowRegistry, experiment_id, mlflow_client
from sashiko.registry.versions import MONITORING_TAGS, STANDING_TAG
from tests.unit.registry.model_packages.account import GROUP, Account
from tests.unit.steps.register.arguments import MONITORING, run_register
from tests.unit.steps.register_job import RegisterJob


def test_a_run_becomes_a_package_that_waits(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_register(monkeypatch)
    record = json.loads(job.registration.read_text())
    [version] = account.registry.versions(GROUP)
    assert record == {
        "model_package_group": GROUP,
        "model_package_arn": version.arn,
        "version": 1,
        "status": "PendingManualApproval",
        "artifact_sha256": sha256_file(job.archive),
        "threshold": 0.5,
        "new": True,
    }
    assert version.tags["git_sha"] == "4f1c2a9d" * 5
    gates = {key: value for key, value in version.tags.items() if key.startswith("gate.")}
    names = ("data-quality", "data-quality-facets", "model-quality", "bias")
    assert gates == {f"gate.{name}": "passed" for name in names}
    compiled = {key: value for key, value in version.tags.items() if key.startswith("compile.")}
    assert compiled == {
        "compile.target": "inf2",
        "compile.image": "huggingface-pytorch-inference-neuronx:2.8.0",
        "compile.neuron_sdk": "2.26.0",
        "compile.compiler": "neuronx-cc 2.21.18209.0",
        "compile.cores": "1",
        "compile.dtype": "float32",
        "compile.batch_sizes": "1 32",
        "compile.sequence_lengths": "32 64",
        "compile.weights_sha256": "e" * 64,
    }
    kept = {f"--{tag.replace('_', '-')}": version.tags[tag] for tag in MONITORING_TAGS}
    assert kept == MONITORING
    run_register(monkeypatch)
    again = json.loads(job.registration.read_text())
    assert again == record | {"new": False}


def test_a_version_names_how_it_compares_with_the_champion(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = job.input("metrics")
    evaluation = read_evaluation(metrics / METRICS_FILE)
    lead = Estimate(value=0.05, low=evaluation.minimum_effect + 0.01, high=0.08)
    leads = evaluation.leads | {"champion": {"auc": lead}}
    write_evaluation(evaluation.model_copy(update={"leads": leads}), metrics)
    run_register(monkeypatch)
    [version] = account.registry.versions(GROUP)
    assert version.tags[STANDING_TAG] == "better"


def test_the_signed_files_are_the_runs_own(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_register(monkeypatch)
    [version] = account.registry.versions(GROUP)
    named = json.loads(account.body(version.tags["manifest"]))
    assert set(named) == {
        "model.tar.gz", "model-card.md", "compile-lock.json", "decision.json",
        "metrics.json", "reference.json", "manifest.json",
        "intervals.json", "pre-training-analysis.json", "post-training-analysis.json",
        "model-card.json", "data-quality/verdict.json", "data-quality-facets/verdict.json",
        "model-quality/verdict.json", "bias/verdict.json",
    }  # fmt: skip
    for name in ("metrics.json", "reference.json"):
        assert named[name] == sha256_file(job.input("metrics") / name)
    [package] = account.created()
    card = json.loads(package["ModelCard"]["ModelCardContent"])
    metrics = json.loads((job.input("metrics") / "metrics.json").read_text())
    groups = {item["name"]: item for item in card["evaluation_details"][0]["metric_groups"]}
    shown = {item["name"]: item["value"] for item in groups["candidate"]["metric_data"]}
    assert shown["auc"] == metrics["candidate"]["auc"]["value"]
    assert {"post_training DI age=old", "pre_training DPL age=old"} <= {
        item["name"] for item in groups["bias"]["metric_data"]
    }


def test_mlflow_holds_the_same_files(
    job: RegisterJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client = mlflow_client(uri)
    run = client.create_run(experiment_id(client, "tests", tracking_uri=uri)).info.run_id
    (job.input("tracking") / "tracking.json").write_text(json.dumps({"mlflow_run_id": run}))
    run_register(monkeypatch, registry="mlflow")
    record = json.loads(job.registration.read_text())
    assert (record["version"], record["new"]) == (1, True)
    assert "model_package_arn" not in record
    [version] = MlflowRegistry(uri).versions(GROUP)
    assert version.artifact_sha256 == sha256_file(job.archive)
    [stored] = tmp_path.rglob("mlartifacts/**/manifest-sha256.json")
    for name, digest in json.loads(stored.read_text()).items():
        assert sha256_file(stored.parent / name) == digest


def test_without_mlflow_only_its_own_registry_is_closed(
    job: RegisterJob, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job.input("tracking") / "tracking.json").write_text('{"mlflow_run_id": null}')
    run_register(monkeypatch)
    assert len(account.created()) == 1
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    with pytest.raises(InputError, match="MLflow could not be reached by Track"):
        run_register(monkeypatch, registry="mlflow")


def test_a_device_that_was_not_checked_is_recorded_as_that(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "`device_check: off` in the environment's settings"
    write_verdict(not_judged(gate="device", reason=reason), job.input("verdicts") / "device")
    run_register(monkeypatch)
    [package] = account.created()
    card = json.loads(package["ModelCard"]["ModelCardContent"])
    message = card["additional_information"]["custom_details"]["device_check"]
    assert message == f"Device not checked: {reason}"
    assert package["CustomerMetadataProperties"]["gate.device"] == "not judged"
    [version] = account.registry.versions(GROUP)
    signed = json.loads(account.body(version.tags["manifest"]))
    assert "device/verdict.json" in signed


def test_where_bias_is_not_judged_the_card_says_why(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in job.input("intervals").iterdir():
        path.unlink()
    job.input("intervals").rmdir()
    (job.input("verdicts") / "bias" / "verdict.json").unlink()
    run_register(monkeypatch, '--bias-not-judged=no column "tells" {groups}')
    [package] = account.created()
    card = json.loads(package["ModelCard"]["ModelCardContent"])
    message = card["additional_information"]["ethical_considerations"]
    assert message == 'Bias not judged: no column "tells" {groups}'
    assert package["CustomerMetadataProperties"]["gate.bias"] == "not judged"
