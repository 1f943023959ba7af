"""Register: what a version rests on is checked, gathered and handed to the registry."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from sashiko.contract.manifest import Snapshots, write_snapshots
from sashiko.core.files import sha256_file, write_json
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Check, decide, not_judged, write_verdict
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.evaluation.record import METRICS_FILE, read_evaluation, write_evaluation
from sashiko.registry.mlflow import MlflowRegistry, experiment_id, mlflow_client
from sashiko.registry.versions import MONITORING_TAGS, STANDING_TAG
from sashiko.steps import register, registries, resolve_champion
from tests.unit.registry.model_packages.account import GROUP, PLACEMENT, Account, opened
from tests.unit.steps.register_job import RegisterJob, pickled


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RegisterJob:
    register_job = RegisterJob(tmp_path)
    monkeypatch.setenv("OPT_ML", str(register_job.root))
    return register_job


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Any:
    with opened() as account:
        monkeypatch.setattr(registries, "connect", lambda: account.clients)
        yield account


MONITORING = {
    f"--{name}-uri": f"s3://artifacts/runs/abc123def456/{name}"
    for name in ("reference", "test", "bias-rows")
}


def _register(monkeypatch: pytest.MonkeyPatch, *more: str, registry: str = "sagemaker") -> None:
    arguments = {
        "--registry": registry,
        "--model-package-group": GROUP,
        "--execution-id": "abc123def456",
        "--recipe": "loans",
        "--data-uri": PLACEMENT.made_from,
        "--models-uri": PLACEMENT.models_uri,
        "--serving-image": PLACEMENT.serving_image,
        "--signing-key": PLACEMENT.signing_key,
        **MONITORING,
    }
    words = [word for pair in arguments.items() for word in pair]
    monkeypatch.setattr(sys, "argv", ["register", *words, *more])
    register.main()


def _resolve(monkeypatch: pytest.MonkeyPatch, job: RegisterJob) -> Path:
    arguments = ["--registry", "sagemaker", "--model-package-group", GROUP]
    monkeypatch.setattr(sys, "argv", ["resolve_champion", *arguments])
    resolve_champion.main()
    return job.root / "processing" / "output" / "champion"


def test_a_run_becomes_a_package_that_waits(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    _register(monkeypatch)
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
    _register(monkeypatch)
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
    _register(monkeypatch)
    [version] = account.registry.versions(GROUP)
    assert version.tags[STANDING_TAG] == "better"


OTHER = "0" * 64


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("data-quality data", "Validate judged 000000000000, the training snapshot is"),
        ("data-quality-facets data", "ValidateFacets judged 000000000000, the facets snapshot is"),
        ("model-quality training_snapshot", "Prepare split 000000000000, the training snapshot is"),
        ("model-quality facets_snapshot", "Weights weighed 000000000000, the facets snapshot is"),
        ("bias facets_snapshot", "JudgeBias counted 000000000000, the facets snapshot is"),
        ("bias joined_facets_snapshot", "BiasInput joined 000000000000, the facets snapshot is"),
    ],
)
def test_evidence_of_other_data_is_not_registered(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch, place: str, message: str
) -> None:
    gate, name = place.split()
    job.read(gate, **{name: OTHER})
    with pytest.raises(InputError, match=message) as caught:
        _register(monkeypatch)
    assert "load them as a new version, and start the pipeline with it" in str(caught.value)
    job.read(gate, **{name: None})
    with pytest.raises(InputError, match=r"data that it does not name"):
        _register(monkeypatch)
    assert account.created() == []


def test_explanations_of_other_data_are_not_registered(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_snapshots(Snapshots(training=OTHER), job.input("tracking"))
    with pytest.raises(InputError, match=r"Explain read 000000000000, the training snapshot is"):
        _register(monkeypatch)
    assert account.created() == []


def test_facets_that_were_loaded_again_are_enough(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training rows are the same, and every step but the snapshot came from the cache."""
    file = job.input("tracking") / "manifest.json"
    write_json(file, json.loads(file.read_text()) | {"sha256": OTHER})
    with pytest.raises(InputError, match="facets snapshot is 000000000000") as caught:
        _register(monkeypatch)
    assert str(caught.value).count("the facets snapshot is") == 4
    assert "the training snapshot is" not in str(caught.value)
    assert account.created() == []


def test_without_bias_no_facet_is_asked_for(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job.input("tracking") / "manifest.json").unlink()
    for gate in ("data-quality-facets", "bias"):
        shutil.rmtree(job.input("verdicts") / gate)
    job.read("model-quality", facets_snapshot=None)
    _register(monkeypatch, "--bias-not-judged", "no facets")
    assert len(account.created()) == 1


def test_a_reference_of_another_artifact_or_none_is_refused(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.describe(artifact_sha256=OTHER)
    with pytest.raises(
        InputError, match=r"reference.json describes another artifact \(sha256 0000"
    ):
        _register(monkeypatch)
    (job.input("metrics") / "reference.json").unlink()
    with pytest.raises(InputError, match=r"reference.json does not exist"):
        _register(monkeypatch)
    assert account.created() == []


def test_the_signed_files_are_the_runs_own(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    _register(monkeypatch)
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
    _register(monkeypatch, registry="mlflow")
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
    _register(monkeypatch)
    assert len(account.created()) == 1
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    with pytest.raises(InputError, match="MLflow could not be reached by Track"):
        _register(monkeypatch, registry="mlflow")


def test_a_device_that_was_not_checked_is_recorded_as_that(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "`device_check: off` in the environment's settings"
    write_verdict(not_judged(gate="device", reason=reason), job.input("verdicts") / "device")
    _register(monkeypatch)
    [package] = account.created()
    card = json.loads(package["ModelCard"]["ModelCardContent"])
    message = card["additional_information"]["custom_details"]["device_check"]
    assert message == f"Device not checked: {reason}"
    assert package["CustomerMetadataProperties"]["gate.device"] == "not judged"
    [version] = account.registry.versions(GROUP)
    signed = json.loads(account.body(version.tags["manifest"]))
    assert "device/verdict.json" in signed


def test_a_device_that_answered_is_in_the_card(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = Check(name="checked on", passed=True, reason="an endpoint with ml.inf2.xlarge")
    verdict = decide(gate="device", checks=[where], inputs={})
    write_verdict(verdict, job.input("verdicts") / "device")
    _register(monkeypatch)
    [package] = account.created()
    card = json.loads(package["ModelCard"]["ModelCardContent"])
    message = card["additional_information"]["custom_details"]["device_check"]
    assert message == "device: 1 check passed; checked on an endpoint with ml.inf2.xlarge"
    assert package["CustomerMetadataProperties"]["gate.device"] == "passed"


def test_where_bias_is_not_judged_the_card_says_why(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in job.input("intervals").iterdir():
        path.unlink()
    job.input("intervals").rmdir()
    (job.input("verdicts") / "bias" / "verdict.json").unlink()
    _register(monkeypatch, '--bias-not-judged=no column "tells" {groups}')
    [package] = account.created()
    card = json.loads(package["ModelCard"]["ModelCardContent"])
    message = card["additional_information"]["ethical_considerations"]
    assert message == 'Bias not judged: no column "tells" {groups}'
    assert package["CustomerMetadataProperties"]["gate.bias"] == "not judged"


def _refused(
    account: Account, monkeypatch: pytest.MonkeyPatch, job: RegisterJob, expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        _register(monkeypatch)
    assert account.objects() == set()
    assert account.created() == []
    assert not job.registration.exists()


@pytest.mark.parametrize("name", ["weights.bin", "model.pt", "code/deep/state.PKL"])
@pytest.mark.parametrize("protocol", [2, 5])
def test_a_pickle_in_the_artifact_is_refused(
    job: RegisterJob,
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    protocol: int,
) -> None:
    job.pack({"model.onnx": b"graph", name: pickled(protocol)})
    _refused(account, monkeypatch, job, f"{name} is a pickle, which runs code when it is loaded")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"model.onnx": b"other"}, "model.onnx has sha256 .*, the compile lock says"),
        ({"model.onnx": b"graph", "b.py": b""}, "b.py is not in the compile lock"),
        ({}, "model.onnx is missing, the compile lock names it"),
    ],
)
def test_an_artifact_that_compile_did_not_write_is_refused(
    job: RegisterJob,
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, bytes],
    expected: str,
) -> None:
    job.pack({"model.onnx": b"graph"})
    job.pack(files, lock=False)
    _refused(account, monkeypatch, job, expected)


def test_an_artifact_that_was_packed_again_is_refused(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = job.input("lock") / "compile-lock.json"
    lock = json.loads(path.read_text())
    path.write_text(json.dumps({**lock, "artifact_sha256": "0" * 64}))
    _refused(account, monkeypatch, job, "is not the archive that the compile lock names")


def test_an_artifact_that_the_gates_did_not_judge_is_refused(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.pack({"model.onnx": b"another model, with its own lock"})
    _refused(account, monkeypatch, job, "gate model-quality judged another artifact")


def test_a_damaged_artifact_is_refused(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.archive.write_bytes(job.archive.read_bytes()[:300])
    _refused(
        account,
        monkeypatch,
        job,
        r"model.tar.gz cannot be unpacked: .*; run the step that wrote it again",
    )


def test_a_failed_gate_is_refused(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = decide(gate="bias", checks=[Check(name="DI", passed=False)], inputs={})
    write_verdict(failed, job.input("verdicts") / "bias")
    _refused(account, monkeypatch, job, "a failed gate cannot be registered")


def test_an_unknown_registry_is_refused(job: RegisterJob, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="ModelRegistry=wandb: expected mlflow or sagemaker"):
        _register(monkeypatch, registry="wandb")


def test_the_champion_says_from_which_day_its_test_split_was(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = job.input("metrics") / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["splits"]["test"]["since"] = "2025-12-01"
    path.write_text(json.dumps(metrics))
    _register(monkeypatch)
    account.decide(1, "Approved")
    record = json.loads((_resolve(monkeypatch, job) / "champion.json").read_text())
    assert record["champion"]["test_from"] == "2025-12-01"


def test_the_champion_is_what_was_approved(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    _register(monkeypatch)
    folder = _resolve(monkeypatch, job)
    assert json.loads((folder / "champion.json").read_text()) == {"champion": None}
    account.decide(1, "Approved")
    folder = _resolve(monkeypatch, job)
    assert json.loads((folder / "champion.json").read_text()) == {
        "champion": {
            "version": 1,
            "sha256": sha256_file(job.archive),
            "threshold": 0.5,
            "test_from": None,
        }
    }
    assert sorted(path.name for path in folder.iterdir()) == ["champion.json", "model.tar.gz"]
    assert sha256_file(folder / "model.tar.gz") == sha256_file(job.archive)
