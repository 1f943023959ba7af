"""Register: what a version rests on is gathered, signed and handed to the registry."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from sashiko.base.files import sha256_file, write_json
from sashiko.contract.manifest import Snapshots, write_snapshots
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import (
    METRICS_FILE,
    ChampionRecord,
    read_evaluation,
    write_evaluation,
)
from sashiko.evaluation.gates.verdict import (
    Check,
    decide,
    not_judged,
    read_verdict,
    write_verdict,
)
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.registry.attestation import (
    Build,
    Resource,
    Statement,
    read_envelope,
    read_statement,
    signature_input,
    statement_key,
)
from sashiko.registry.mlflow import MlflowRegistry
from sashiko.registry.versions import MONITORING_TAGS, SOURCE_TAG, STANDING_TAG
from sashiko.steps import register
from tests.unit.registry.model_packages.account import (
    BUCKET,
    GROUP,
    KEY,
    Account,
)
from tests.unit.registry.test_chain import hold_against_the_published_schema
from tests.unit.steps.register_job import (
    DEFINITION,
    FACETS,
    MONITORING,
    TRAINING,
    RegisterJob,
    execution_arn,
    run_register,
)


def test_a_run_becomes_a_package_that_waits_whose_signed_files_are_the_runs_own(
    job, account, monkeypatch
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
    names = ("data-quality", "data-quality-facets", "model-quality", "bias", "device")
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

    [version] = account.registry.versions(GROUP)
    named = json.loads(account.body(version.tags["manifest"]))
    assert set(named) == {
        "model.tar.gz", "model-card.md", "compile-lock.json", "decision.json",
        "metrics.json", "reference.json", "manifest.json",
        "intervals.json", "pre-training-analysis.json", "post-training-analysis.json",
        "model-card.json", "data-quality/verdict.json", "data-quality-facets/verdict.json",
        "model-quality/verdict.json", "bias/verdict.json", "device/verdict.json",
    }  # fmt: skip
    for name in ("metrics.json", "reference.json"):
        assert named[name] == sha256_file(job.input("quality-evidence") / name)
    [package] = account.created()
    card = json.loads(package["ModelCard"]["ModelCardContent"])
    metrics = json.loads((job.input("quality-evidence") / "metrics.json").read_text())
    groups = {item["name"]: item for item in card["evaluation_details"][0]["metric_groups"]}
    shown = {item["name"]: item["value"] for item in groups["candidate"]["metric_data"]}
    assert shown["auc"] == metrics["candidate"]["auc"]["value"]
    assert {"post_training DI age=old", "pre_training DPL age=old"} <= {
        item["name"] for item in groups["bias"]["metric_data"]
    }


def test_a_version_names_how_it_compares_with_the_champion(job, account, monkeypatch) -> None:
    metrics = job.input("quality-evidence")
    evaluation = read_evaluation(metrics / METRICS_FILE)
    lead = Estimate(value=0.05, low=evaluation.minimum_effect + 0.01, high=0.08)
    leads = evaluation.leads | {"champion": {"auc": lead}}
    write_evaluation(evaluation.model_copy(update={"leads": leads}), metrics)
    run_register(monkeypatch)
    [version] = account.registry.versions(GROUP)
    assert version.tags[STANDING_TAG] == "better"


def test_a_version_names_the_execution_whose_results_it_rests_on(
    job, account, executions, monkeypatch
) -> None:
    tracked: list[str] = []

    def find_run(_: str, *, execution_id: str, **__: str) -> None:
        tracked.append(execution_id)

    monkeypatch.setattr(register, "find_run", find_run)
    executions["abc123def456"] = ("middle", ("Register",), ("Train", "DataGate"))
    executions["middle"] = ("first", ("DeviceGate", "Register"), ("Train",))
    run_register(monkeypatch)
    [version] = account.registry.versions(GROUP)
    assert version.tags["execution_id"] == "abc123def456"
    assert version.tags[SOURCE_TAG] == "middle"
    assert tracked == ["first"]  # the last one that has run Track
    envelope = read_envelope(account.registry.file(version, "provenance.intoto.json"))
    hold_against_the_published_schema(envelope.payload)
    stated = read_statement(envelope.payload, build="model")
    source = stated.dependency("source execution")
    assert source and source.uri == execution_arn("middle")
    assert source.annotations == {"reused steps": "Train, DataGate"}
    assert stated.invocation == "abc123def456"
    [package] = account.created()
    assert "abc123def456, on results of execution middle" in package["ModelPackageDescription"]
    card = json.loads(package["ModelCard"]["ModelCardContent"])
    assert card["model_overview"]["model_creator"].endswith("on results of execution middle")
    [action] = [parameters for name, parameters in account.calls if name == "CreateAction"]
    assert action["Properties"] == {"execution_id": "abc123def456", SOURCE_TAG: "middle"}


def test_a_champion_that_the_source_did_not_compare_with_prevents_a_version(
    job, account, executions, monkeypatch
) -> None:
    """The starter of an execution checks it too, but another one may be approved meanwhile."""
    run_register(monkeypatch)
    account.decide(1, "Approved")
    metrics = job.input("quality-evidence")
    evaluation = read_evaluation(metrics / METRICS_FILE)
    assert evaluation.champion is None
    executions["later0000000"] = ("abc123def456", ("Register",), ("ResolveChampion",))
    later = ("--execution-id", "later0000000", "--execution-arn", execution_arn("later0000000"))
    with pytest.raises(InputError, match=r"is version 1; the gates, .* compared with none: start"):
        run_register(monkeypatch, *later)
    executions["later0000000"] = ("abc123def456", ("ResolveChampion", "Register"), ())
    run_register(monkeypatch, *later)  # as a full execution: approved while it ran
    executions["later0000000"] = ("abc123def456", ("Register",), ("ResolveChampion",))
    [version] = account.registry.versions(GROUP)
    champion = ChampionRecord(version=1, sha256=version.artifact_sha256, threshold=0.5)
    write_evaluation(evaluation.model_copy(update={"champion": champion}), metrics)
    run_register(monkeypatch, *later)


def test_mlflow_holds_the_same_files(job, mlflow, tmp_path, monkeypatch) -> None:
    run_register(monkeypatch, registry="mlflow")
    record = json.loads(job.registration.read_text())
    assert (record["version"], record["new"]) == (1, True)
    assert "model_package_arn" not in record
    [version] = MlflowRegistry(mlflow).versions(GROUP)
    assert version.artifact_sha256 == sha256_file(job.archive)
    [stored] = tmp_path.rglob("mlartifacts/**/manifest-sha256.json")
    for name, digest in json.loads(stored.read_text()).items():
        assert sha256_file(stored.parent / name) == digest


def test_without_mlflow_only_its_own_registry_is_closed(job, account, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'none' / 'mlflow.db'}")
    run_register(monkeypatch)
    [package] = account.created()
    assert package["CustomerMetadataProperties"]["execution_id"] == "abc123def456"
    assert "mlflow_run_id" not in package["CustomerMetadataProperties"]
    with pytest.raises(InputError, match=r"MLflow at .* cannot be reached"):
        run_register(monkeypatch, registry="mlflow")


def test_a_device_that_was_not_checked_is_recorded_as_that(job, account, monkeypatch) -> None:
    reason = "`device_check: off` in the environment's settings"
    write_verdict(not_judged(gate="device", reason=reason), job.verdict("device"))
    run_register(monkeypatch)
    [package] = account.created()
    card = json.loads(package["ModelCard"]["ModelCardContent"])
    message = card["additional_information"]["custom_details"]["device_check"]
    assert message == f"Device not checked: {reason}"
    assert package["CustomerMetadataProperties"]["gate.device"] == "not judged"
    [version] = account.registry.versions(GROUP)
    signed = json.loads(account.body(version.tags["manifest"]))
    assert "device/verdict.json" in signed


def test_where_bias_is_not_judged_no_facet_is_required_and_the_card_says_why(
    job, account, monkeypatch
) -> None:
    for gate in ("data-quality-facets", "bias"):
        shutil.rmtree(job.verdict(gate))
    job.read("model-quality", facets_snapshot=None)
    run_register(monkeypatch, '--bias-not-judged=no column "tells" {groups}')
    [package] = account.created()
    card = json.loads(package["ModelCard"]["ModelCardContent"])
    message = card["additional_information"]["ethical_considerations"]
    assert message == 'Bias not judged: no column "tells" {groups}'
    assert package["CustomerMetadataProperties"]["gate.bias"] == "not judged"


HOST = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
JOB, TRAIN = f"{HOST}/acme-dev/job:1-abc", f"{HOST}/acme-dev/train:1-def"
NEURON = f"763104351884.dkr.ecr.eu-west-1.amazonaws.com/neuronx@sha256:{'e' * 64}"


def statement(build: Build, *subject: Resource, builder: str, **parameters: str) -> bytes:
    return Statement(
        build=build, subject=subject, parameters=parameters, dependencies=(), builder=builder
    ).to_json()


def image_statement(image: str) -> bytes:
    subject = Resource(name=image.rpartition("/")[2], digest={"sha256": "1" * 64})
    builder = "arn:aws:codebuild:eu-west-1:111122223333:project/acme-dev-image-build"
    return statement("image", subject, builder=builder, base="b")


WHEEL = statement(
    "wheel",
    Resource(name="sashiko-0.1.0-py3-none-any.whl", digest={"sha256": "2" * 64}),
    Resource(name="sashiko/", digest={"dirHash": "3" * 64}),
    builder="urn:sashiko:builder:make",
    version="0.1.0",
)


def test_the_provenance_names_all_that_a_model_was_made_from_and_is_signed(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.clients.s3.put_object(Bucket=BUCKET, Key=statement_key(JOB), Body=image_statement(JOB))
    (job.input("run-manifest") / "wheel.json").write_bytes(WHEEL)
    images = [word for uri in (JOB, TRAIN, NEURON) for word in ("--image", uri)]
    run_register(monkeypatch, *images)
    [version] = account.registry.versions(GROUP)

    envelope = read_envelope(account.registry.file(version, "provenance.intoto.json"))
    hold_against_the_published_schema(envelope.payload)
    digest = hashlib.sha256(signature_input(envelope.payload)).digest()
    (signature,) = envelope.signatures
    assert account.clients.kms.verify(
        KeyId=KEY, Message=digest, MessageType="DIGEST", Signature=signature,
        SigningAlgorithm="ECDSA_SHA_256",
    )["SignatureValid"]  # fmt: skip

    stated = read_statement(envelope.payload, build="model")
    assert stated.subject_digest("model.tar.gz") == version.artifact_sha256
    assert stated.subject_digest("manifest-sha256.json") == version.tags["manifest_sha256"]
    source = json.loads((job.input("run-manifest") / "source.json").read_text())
    digests = {item.name: dict(item.digest) for item in stated.dependencies}
    assert digests["commit"] == {"gitCommit": source["git_sha"]}
    assert digests["definition"] == {"sha256": DEFINITION}
    assert digests["training snapshot"] == {"sha256": TRAINING}
    assert digests["facet snapshot"] == {"sha256": FACETS}
    assert digests["base model/model.safetensors"] == {"sha256": "a" * 64}
    licence = stated.dependency("base model/model.safetensors")
    assert licence and licence.annotations["licence"] == "Apache-2.0"
    assert digests["image job:1-abc"] == {"sha256": "1" * 64}
    assert digests["image train:1-def"] == {}  # nobody stated it
    assert digests[f"image {NEURON.rpartition('/')[2]}"] == {"sha256": "e" * 64}
    assert digests["wheel sashiko-0.1.0-py3-none-any.whl"] == {"sha256": "2" * 64}
    assert len(digests["engine"]["dirHash"]) == 64

    manifest = json.loads(account.registry.file(version, "manifest-sha256.json"))
    for name in ("provenance/job.json", "provenance/wheel.json"):
        assert manifest[name] == digests[name]["sha256"]
    assert account.registry.file(version, "provenance/job.json") == image_statement(JOB)


def test_on_this_machine_it_is_there_unsigned_and_names_the_lock(
    job, mlflow, tmp_path, monkeypatch
) -> None:
    run_register(monkeypatch, "--image", JOB, registry="mlflow")
    [file] = tmp_path.rglob("mlartifacts/**/provenance.json")
    stated = read_statement(file.read_bytes(), build="model")
    manifest = file.with_name("manifest-sha256.json")
    assert stated.subject_digest("manifest-sha256.json") == sha256_file(manifest)
    assert stated.builder == "urn:sashiko:builder:local"
    lock = stated.dependency("requirements/run.txt")
    assert lock and lock.sha256 == sha256_file(Path("requirements/run.txt"))
    assert not [item for item in stated.dependencies if item.name.startswith("image ")]
    assert not file.with_name("provenance.intoto.json").exists()


def test_a_damaged_statement_about_an_image_registers_nothing(job, account, monkeypatch) -> None:
    account.clients.s3.put_object(Bucket=BUCKET, Key=statement_key(JOB), Body=b"{}")
    with pytest.raises(InputError, match=r"provenance/job.json: .*not SLSA provenance v1"):
        run_register(monkeypatch, "--image", JOB)
    assert account.registry.versions(GROUP) == []


OTHER = "0" * 64


@pytest.fixture
def refused(job, account, monkeypatch):
    """Registers nothing, and returns what the error says."""

    def run(message: str) -> str:
        with pytest.raises(InputError, match=message) as caught:
            run_register(monkeypatch)
        assert account.objects() == set()
        assert account.created() == []
        assert not job.registration.exists()
        return str(caught.value)

    return run


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
def test_evidence_of_other_data_is_not_registered(job, refused, place, message) -> None:
    gate, name = place.split()
    job.read(gate, **{name: OTHER})
    assert "load them as a new version, and start the pipeline with it" in refused(message)
    job.read(gate, **{name: None})
    refused("data that it does not name")


def test_explanations_of_other_data_are_not_registered(job, refused) -> None:
    write_snapshots(Snapshots(training=OTHER), job.input("explanations"))
    refused("Explain read 000000000000, the training snapshot is")


def test_facets_that_were_loaded_again_are_enough(job, refused) -> None:
    """The training rows are the same, and every step but the snapshot came from the cache."""
    file = job.input("facets-evidence") / "manifest.json"
    write_json(file, json.loads(file.read_text()) | {"sha256": OTHER})
    message = refused("facets snapshot is 000000000000")
    assert message.count("the facets snapshot is") == 4
    assert "the training snapshot is" not in message


def test_a_reference_of_another_artifact_or_none_is_refused(job, refused) -> None:
    job.describe(artifact_sha256=OTHER)
    refused(r"reference.json describes another artifact \(sha256 0000")
    (job.input("quality-evidence") / "reference.json").unlink()
    refused("reference.json does not exist")


def test_an_artifact_that_compile_did_not_write_is_refused(job, refused) -> None:
    job.pack({"model.onnx": b"graph"})
    job.pack({"model.onnx": b"other"}, lock=False)
    refused("model.onnx has sha256 .*, the compile lock says")


def test_an_artifact_that_was_packed_again_is_refused(job, refused) -> None:
    path = job.input("lock") / "compile-lock.json"
    write_json(path, json.loads(path.read_text()) | {"artifact_sha256": OTHER})
    refused("is not the archive that the compile lock names")


def test_an_artifact_that_the_gates_did_not_judge_is_refused(job, refused) -> None:
    job.pack({"model.onnx": b"another model, with its own lock"})
    refused("gate model-quality judged another artifact")


def test_a_damaged_artifact_is_refused(job, refused) -> None:
    job.archive.write_bytes(job.archive.read_bytes()[:300])
    refused(r"model.tar.gz cannot be unpacked: .*; run the step that wrote it again")


def test_gates_that_judged_different_predictions_are_refused(job, refused) -> None:
    for gate, digest in (("bias", "1" * 64), ("device", "2" * 64)):
        verdict = read_verdict(job.verdict(gate))
        inputs = verdict.inputs | {"predictions": digest}
        write_verdict(verdict.model_copy(update={"inputs": inputs}), job.verdict(gate))
    refused("gates bias and device judged different predictions")


def test_a_failed_gate_is_refused(job, refused) -> None:
    failed = decide(gate="bias", checks=[Check(name="DI", passed=False)], inputs={})
    write_verdict(failed, job.verdict("bias"))
    refused("a failed gate cannot be registered")


def test_a_failed_check_with_a_valid_waiver_is_registered_as_waived(job, account, monkeypatch):
    failed = decide(
        gate="bias",
        checks=[Check(name="DI", passed=False)],
        inputs=read_verdict(job.verdict("bias")).inputs,
    )
    write_verdict(failed, job.verdict("bias"))
    waiver = {
        "check": "DI",
        "reason": "the desk reads every case",
        "owner": "Ada Lovelace",
        "expires": "2999-01-01",
    }
    write_json(job.input("config") / "waivers.json", [waiver])
    run_register(monkeypatch)
    [package] = account.created()
    assert package["CustomerMetadataProperties"]["gate.bias"] == "waived"
    [version] = account.registry.versions(GROUP)
    manifest = json.loads(account.body(version.tags["manifest"]))
    assert manifest["bias/verdict.json"] != sha256_file(job.verdict("bias") / "verdict.json")


def test_an_unknown_registry_is_refused(job: RegisterJob, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="ModelRegistry=wandb: expected mlflow or sagemaker"):
        run_register(monkeypatch, registry="wandb")


@pytest.mark.parametrize(
    ("licence", "message"),
    [
        (None, "model.licence is missing: read the licence of tiny's weights"),
        ("GPL-3.0-only", "GPL-3.0-only is not a licence that this environment allows .Apache-2.0"),
    ],
    ids=["none", "not-allowed"],
)
def test_weights_without_an_allowed_licence_are_refused(job, refused, licence, message) -> None:
    file = job.input("config") / "model.json"
    write_json(file, json.loads(file.read_text()) | {"licence": licence})
    refused(message)


def test_a_causal_lm_that_was_merged_with_another_base_model_is_refused(job, refused) -> None:
    model, lock = job.input("config") / "model.json", job.input("lock") / "compile-lock.json"
    causal = {
        "base": {"model.safetensors": OTHER}, "adapter_sha256": OTHER, "merge_difference": 0.0,
        "answers": [1, 2], "chat_template_sha256": OTHER,
    }  # fmt: skip
    write_json(lock, json.loads(lock.read_text()) | {"causal": causal})
    refused(r"model\.family is encoder")
    write_json(model, json.loads(model.read_text()) | {"family": "causal"})
    refused("merged with another base model")
