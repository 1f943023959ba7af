"""What Register says of a version's origin, and who vouches for it."""

import hashlib
import json
from pathlib import Path

import pytest

from sashiko.base.files import sha256_file
from sashiko.errors import InputError
from sashiko.registry.attestation import (
    Resource,
    Statement,
    read_envelope,
    read_statement,
    signature_input,
    statement_key,
)
from sashiko.registry.mlflow import experiment_id, mlflow_client
from tests.unit.registry.model_packages.account import BUCKET, GROUP, KEY, Account
from tests.unit.registry.test_attestation import hold_against_the_published_schema
from tests.unit.steps.register.arguments import DEFINITION, run_register
from tests.unit.steps.register_job import FACETS, TRAINING, RegisterJob

HOST = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
JOB, TRAIN = f"{HOST}/acme-dev/job:1-abc", f"{HOST}/acme-dev/train:1-def"
NEURON = f"763104351884.dkr.ecr.eu-west-1.amazonaws.com/neuronx@sha256:{'e' * 64}"


def image_statement(image: str) -> bytes:
    name = image.rpartition("/")[2]
    return Statement(
        build="image",
        subject=(Resource(name=name, digest={"sha256": "1" * 64}),),
        parameters={"base": "b"},
        dependencies=(),
        builder="arn:aws:codebuild:eu-west-1:111122223333:project/acme-dev-image-build",
    ).to_json()


def wheel_statement() -> bytes:
    return Statement(
        build="wheel",
        subject=(
            Resource(name="sashiko-0.1.0-py3-none-any.whl", digest={"sha256": "2" * 64}),
            Resource(name="sashiko/", digest={"dirHash": "3" * 64}),
        ),
        parameters={"version": "0.1.0"},
        dependencies=(),
        builder="urn:sashiko:builder:make",
    ).to_json()


def test_the_provenance_names_all_that_a_model_was_made_from_and_is_signed(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.clients.s3.put_object(Bucket=BUCKET, Key=statement_key(JOB), Body=image_statement(JOB))
    (job.input("run-manifest") / "wheel.json").write_bytes(wheel_statement())
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

    statement = read_statement(envelope.payload, build="model")
    assert statement.subject_digest("model.tar.gz") == version.artifact_sha256
    assert statement.subject_digest("manifest-sha256.json") == version.tags["manifest_sha256"]
    source = json.loads((job.input("run-manifest") / "source.json").read_text())
    digests = {item.name: dict(item.digest) for item in statement.dependencies}
    assert digests["commit"] == {"gitCommit": source["git_sha"]}
    assert digests["definition"] == {"sha256": DEFINITION}
    assert digests["training snapshot"] == {"sha256": TRAINING}
    assert digests["facet snapshot"] == {"sha256": FACETS}
    assert digests["base model/model.safetensors"] == {"sha256": "a" * 64}
    licence = statement.dependency("base model/model.safetensors")
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
    job: RegisterJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client = mlflow_client(uri)
    run = client.create_run(experiment_id(client, "tests", tracking_uri=uri)).info.run_id
    (job.input("tracking") / "tracking.json").write_text(json.dumps({"mlflow_run_id": run}))
    run_register(monkeypatch, "--image", JOB, registry="mlflow")
    [file] = tmp_path.rglob("mlartifacts/**/provenance.json")
    statement = read_statement(file.read_bytes(), build="model")
    manifest = file.with_name("manifest-sha256.json")
    assert statement.subject_digest("manifest-sha256.json") == sha256_file(manifest)
    assert statement.builder == "urn:sashiko:builder:local"
    lock = statement.dependency("requirements/run.txt")
    assert lock and lock.sha256 == sha256_file(Path("requirements/run.txt"))
    assert not [item for item in statement.dependencies if item.name.startswith("image ")]
    assert not file.with_name("provenance.intoto.json").exists()


def test_a_damaged_statement_about_an_image_registers_nothing(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.clients.s3.put_object(Bucket=BUCKET, Key=statement_key(JOB), Body=b"{}")
    with pytest.raises(InputError, match=r"provenance/job.json: .*no SLSA provenance v1"):
        run_register(monkeypatch, "--image", JOB)
    assert account.registry.versions(GROUP) == []
