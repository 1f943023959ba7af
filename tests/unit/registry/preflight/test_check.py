"""What is served was approved, judged, signed and compiled for its endpoint; else it is refused."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from sashiko.base.custom_resource import RefusedError
from sashiko.base.files import sha256_file
from sashiko.registry.attestation import Resource
from sashiko.registry.preflight.expected import Bound, write_bounds
from sashiko.registry.preflight.version_check import check
from tests.unit.registry.model_packages.account import (
    BUCKET,
    GROUP,
    KEY,
    PLACEMENT,
    REGION,
    replace_signing_key,
)
from tests.unit.registry.model_packages.gathered import seal, state
from tests.unit.registry.preflight.registered import Version, registered, write_evidence

INF2 = {"target": "inf2", "instance_type": "ml.inf2.xlarge", "cores": "2", "workers": "2"}


def test_a_version_that_holds_passes_with_its_signed_threshold_and_is_only_read(version):
    before = version.account.objects()
    version.account.calls.clear()
    passed = version.check()
    assert (passed.threshold, passed.files) == ("0.43", 15)
    reads = {"DescribeEndpoint", "DescribeModelPackage"}
    assert {name for name, _ in version.account.calls} == reads
    assert version.account.objects() == before


def test_what_nobody_approved_is_refused(version):
    for status in ("PendingManualApproval", "Rejected"):
        version.account.decide(1, status)
        with pytest.raises(RefusedError, match=f"is {status}, not Approved"):
            version.check()


def test_a_version_that_does_not_hold_is_refused_with_the_reason(version):
    with pytest.raises(RefusedError, match=f"of the group {GROUP}; this environment serves only"):
        version.check(model_package_group="acme-prod-late-loans")
    with pytest.raises(RefusedError, match=r"no drift/verdict.json was signed"):
        version.check(gates="data-quality,model-quality,bias,drift")
    with pytest.raises(RefusedError, match="no time was left to read"):
        check(version.clients, version.expected(), in_time=lambda: False)
    version.account.clients.s3.delete_object(Bucket=BUCKET, Key=f"{version.folder}/model.tar.gz")
    with pytest.raises(RefusedError, match=r"model.tar.gz is missing"):
        version.check()
    version.put("manifest-sha256.json", b'{"model.tar.gz": "00"}')
    with pytest.raises(RefusedError, match=r"has no valid signature of alias/acme-dev-signing"):
        version.check()


@pytest.mark.parametrize("gate", ["data-quality", "bias", "device"])
def test_a_gate_that_failed_is_read_from_the_signed_files_whether_required_or_not(
    account, tmp_path, gate
):
    failed = registered(account, write_evidence(tmp_path, failed=gate))
    forged_tags = {f"gate.{gate}": "passed"}
    failed.update(CustomerMetadataProperties=forged_tags, ModelApprovalStatus="Approved")
    with pytest.raises(RefusedError, match=f"the gate {gate} did not pass: {gate}: said so"):
        failed.check(gates="data-quality,model-quality,bias")


def test_a_waived_model_is_served_where_the_environment_allows_it_and_by_its_own_bounds(
    account, tmp_path
):
    model = registered(account, write_evidence(tmp_path, failed="bias", waived_until="2999-12-31"))
    with pytest.raises(RefusedError, match=r"`DI` failed and is waived by Ada.*allow_waived"):
        model.check()
    assert model.check(allow_waived="true").threshold == "0.43"
    with pytest.raises(RefusedError, match="no DI of age was judged"):
        model.check(allow_waived="true", bounds=bounds("DI", "age", minimum=0.8))


def test_a_waiver_that_is_over_serves_nowhere(account, tmp_path):
    model = registered(account, write_evidence(tmp_path, failed="bias", waived_until="2026-01-31"))
    with pytest.raises(RefusedError, match=r"waived by Ada until 2026-01-31, which is over"):
        model.check(allow_waived="true")


def test_a_gate_that_was_switched_off_counts_where_the_environment_asks_it_alone(account, tmp_path):
    version = registered(account, write_evidence(tmp_path, unjudged="device"))
    assert version.check().files
    with pytest.raises(RefusedError, match="the gate device did not pass"):
        version.check(gates="data-quality,model-quality,bias,device")


@pytest.mark.parametrize("name", ["model.tar.gz", "bias/verdict.json", "metrics.json"])
def test_a_file_that_was_changed_is_refused(version, name):
    version.put(name, b'{"gate": "bias", "passed": true}')
    with pytest.raises(RefusedError, match=rf"{name} is not the file that was signed"):
        version.check()


def test_a_signature_of_another_key_does_not_count(version):
    """Even where the signature's own file names that key, which would verify it."""
    kms, s3 = version.account.clients.kms, version.account.clients.s3
    other = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    stored = s3.get_object(Bucket=BUCKET, Key=f"{version.folder}/manifest-signature.json")
    content = json.loads(stored["Body"].read())
    signed = kms.sign(
        KeyId=other,
        Message=bytes.fromhex(content["manifest_sha256"]),
        MessageType="DIGEST",
        SigningAlgorithm="ECDSA_SHA_256",
    )
    content |= {"key": other, "signature": base64.b64encode(signed["Signature"]).decode()}
    version.put("manifest-signature.json", json.dumps(content).encode())
    with pytest.raises(RefusedError, match="has no valid signature"):
        version.check()


def test_an_earlier_key_counts_while_the_environment_lists_it(version, monkeypatch):
    """The key is replaced: its version holds, and no longer once the key is taken off the list."""
    kms = version.account.clients.kms
    first = kms.describe_key(KeyId=KEY)["KeyMetadata"]["Arn"]
    replace_signing_key(kms, KEY)
    _kms_raises(monkeypatch, version)
    passed = version.check(signing_keys=f"{KEY},{KEY}-1")
    assert passed.judged.files.signed_by == first
    with pytest.raises(RefusedError) as refusal:
        version.check()
    message = str(refusal.value)
    assert message.startswith(f"{version.arn}: ")
    assert f"has no valid signature of {KEY}; it says that it is of {first}. If that" in message
    assert "register the model again by `sashiko run`" in message


def test_a_version_of_the_new_key_holds_without_the_earlier_one(account, tmp_path):
    replace_signing_key(account.clients.kms, KEY)
    assert registered(account, write_evidence(tmp_path)).check().files


@pytest.mark.parametrize("code", ["ThrottlingException", "KMSInvalidStateException"])
def test_a_key_that_cannot_verify_says_nothing_of_the_signature(version, monkeypatch, code):
    _kms_answers(monkeypatch, version, code)
    with pytest.raises(ClientError, match=code):
        version.check()


def _kms_raises(monkeypatch: pytest.MonkeyPatch, version: Version) -> None:
    """Lets KMS refuse a signature of another key, as AWS's does; moto answers false."""
    moto = version.account.clients.kms.verify

    def verify(**request: Any) -> Any:
        answer = moto(**request)
        if not answer["SignatureValid"]:
            raise ClientError({"Error": {"Code": "KMSInvalidSignatureException"}}, "Verify")
        return answer

    monkeypatch.setattr(version.account.clients.kms, "verify", verify)


def _kms_answers(monkeypatch: pytest.MonkeyPatch, version: Version, code: str) -> None:
    def verify(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": code, "Message": ""}}, "Verify")

    monkeypatch.setattr(version.account.clients.kms, "verify", verify)


def test_a_signature_that_is_none_is_refused(version):
    for content in (b"", b"[]", b"{}", b'{"signature": "?"}'):
        version.put("manifest-signature.json", content)
        with pytest.raises(RefusedError, match="has no valid signature"):
            version.check()


@pytest.mark.parametrize(
    ("lock", "endpoint", "reason"),
    [
        ({"target": "inf2"}, {}, "compile.target is inf2, but the endpoint's is cpu on ml.c6i"),
        ({}, INF2, "compile.target is cpu, but the endpoint's is inf2 on ml.inf2.xlarge"),
        ({"artifact_sha256": "0" * 64}, {}, "it is another artifact's lock"),
        ({"image": "serving:0"}, {}, "its image is serving:0, but the endpoint's is serving:1"),
        (
            {"target": "inf2", "cores": 2},
            INF2,
            "2 processes of it need 4 cores, but ml.inf2.xlarge has 2",
        ),
        ({"target": "inf2", "cores": None}, INF2, "need unknown cores"),
    ],
)
def test_an_artifact_of_another_endpoint_is_refused(account, tmp_path, lock, endpoint, reason):
    other = registered(account, write_evidence(tmp_path, lock=lock))
    with pytest.raises(RefusedError, match=reason):
        other.check(**endpoint)


def test_a_neuron_artifact_fits_the_cores_that_its_processes_have(account, tmp_path):
    lock = {"target": "inf2", "cores": 1}
    assert registered(account, write_evidence(tmp_path, lock=lock)).check(**INF2).files


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ModelDataUrl": f"s3://{BUCKET}/runs/x/model.tar.gz"}, "not an artifact that was regi"),
        ({"ModelDataUrl": f"{PLACEMENT.models_uri}/{GROUP}/../x/model.tar.gz"}, "not an artifact"),
        ({"Image": "999988887777.dkr.ecr.eu-west-1.amazonaws.com/acme/serving:1"}, "its image is"),
        ({"Environment": {"SASHIKO_THRESHOLD": "0.1"}}, "its environment is"),
        ({"Environment": {"SASHIKO_THRESHOLD": "0.43", "LD_PRELOAD": "x"}}, "its environment is"),
    ],
)
def test_a_package_that_was_bent_after_its_registration_is_refused(
    version, monkeypatch, change, reason
):
    package = version.account.clients.sagemaker.describe_model_package(ModelPackageName=version.arn)
    package["InferenceSpecification"]["Containers"][0] |= change
    sagemaker = version.account.clients.sagemaker
    monkeypatch.setattr(sagemaker, "describe_model_package", lambda **_: package)
    with pytest.raises(RefusedError, match=reason):
        version.check()


@pytest.mark.parametrize("count", [0, 2])
def test_a_package_of_several_containers_or_of_none_is_refused(version, monkeypatch, count):
    """A second one would run beside the container that was signed."""
    sagemaker = version.account.clients.sagemaker
    package = sagemaker.describe_model_package(ModelPackageName=version.arn)
    specification = package["InferenceSpecification"]
    specification["Containers"] = specification["Containers"][:1] * count
    monkeypatch.setattr(sagemaker, "describe_model_package", lambda **_: package)
    with pytest.raises(RefusedError, match=f"has {count} containers; one is served"):
        version.check()


def bounds(metric: str, *facets: str, **limits: Any) -> str:
    """One bound, as a template carries it."""
    bound = {"minimum": None, "maximum": None, "judged_by": "value", **limits}
    gate = "bias" if facets else "model-quality"
    return write_bounds([Bound(gate=gate, metric=metric, facets=facets, **bound)])


def test_a_version_within_the_bounds_passes_and_says_so(version):
    for bounds_text in (
        bounds("DI", "age", minimum=0.84),
        bounds("DI", "age", minimum=0.76, maximum=0.93, judged_by="bound"),
        bounds("DI", "age", "sex", minimum=0.81),
        bounds("auc", minimum=0.85, judged_by="bound"),
        bounds("auc", maximum=0.87),
    ):
        (message,) = version.check(bounds=bounds_text).bounds
        assert " at " in message or " from " in message


def test_a_version_that_its_recipe_passed_is_refused_by_the_environment(version):
    for bounds_text, message in (
        (
            bounds("DI", "age", minimum=0.85),
            r"DI age=old is 0\.84 \[0\.76, 0\.93\], but this environment requires DI of age at "
            r"least 0\.85\. Serve a version that reaches it, or change `serving\.bounds`",
        ),
        (
            bounds("DI", "age", minimum=0.8, maximum=1.25, judged_by="bound"),
            r"DI age=old is 0\.84 .* requires DI of age from 0\.8 to 1\.25 for the whole interval",
        ),
        (bounds("DI", "age", "sex", minimum=0.82), r"DI age=60\+ & sex=f is 0\.81, but"),
        (bounds("auc", minimum=0.88), r"auc is 0\.87 .* requires auc at least 0\.88"),
        (bounds("auc", maximum=0.88, judged_by="bound"), "auc is 0.87 .* at most 0.88 for the"),
    ):
        with pytest.raises(RefusedError, match=message):
            version.check(bounds=bounds_text)


def test_what_was_not_signed_is_refused_and_never_passed_over(version):
    for bounds_text, message in (
        (bounds("DI", "gender", minimum=0.8), "no DI of gender was judged"),
        (bounds("DI", "sex", "age", minimum=0.8), "no DI of sex & age was judged"),
        (bounds("DCA", "age", minimum=0.8), "no DCA of age was judged"),
        (bounds("f1", minimum=0.5), "no f1 was judged"),
        (bounds("AD", "age", maximum=0.1), "AD age=old was signed without a value"),
        (
            bounds("DI", "age", "sex", minimum=0.8, judged_by="bound"),
            "DI age=60+ & sex=f was signed without an interval",
        ),
    ):
        with pytest.raises(RefusedError) as error:
            version.check(bounds=bounds_text)
        assert message in str(error.value)


def test_bounds_cross_a_template_unchanged():
    original = (
        Bound(
            gate="bias", metric="DI", facets=("a", "b"), minimum=0.8, maximum=None,
            judged_by="bound",
        ),
    )  # fmt: skip
    assert Bound.read(write_bounds(original)) == original
    assert Bound.read("[]") == ()


TARGET = f"endpoint/{GROUP}/variant/primary"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
Serve = Callable[[int], None]


@pytest.fixture
def serve(account):
    """Makes the endpoint that serves: `serve(1)` has an instance of an `ml.c5.xlarge`."""

    def make(instances: int) -> None:
        sagemaker = account.clients.sagemaker
        role = "arn:aws:iam::123456789012:role/inference"
        image = {"Image": "serving:1"}
        sagemaker.create_model(ModelName="m", ExecutionRoleArn=role, PrimaryContainer=image)
        variant = {
            "VariantName": "primary", "ModelName": "m", "InitialInstanceCount": instances,
            "InstanceType": "ml.c5.xlarge",
        }  # fmt: skip
        sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=GROUP, EndpointConfigName="c")

    return make


def scale() -> None:
    boto3.client("application-autoscaling", region_name=REGION).register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=TARGET,
        ScalableDimension=DIMENSION,
        MinCapacity=1,
        MaxCapacity=4,
    )


def test_another_instance_type_of_an_endpoint_that_scales_takes_two_deploys(version, serve):
    serve(1)
    assert version.check(instance_type="ml.c5.2xlarge").files  # it does not scale
    scale()
    assert version.check(instance_type="ml.c5.xlarge").files
    with pytest.raises(RefusedError, match=r"scales on ml.c5.xlarge, .*Deploy twice: first"):
        version.check(instance_type="ml.c5.2xlarge")


def test_another_mode_takes_another_endpoint(version, serve):
    serve(1)
    with pytest.raises(RefusedError, match=r"in mode real-time, .*deploy it with .*asynchronous"):
        version.check(min_instances="0", instance_type="ml.c5.xlarge")


@pytest.mark.parametrize(
    ("there", "least", "fits"), [(1, "1", True), (1, "2", False), (2, "3", True)]
)
def test_a_canary_wants_two_instances_that_are_there(version, serve, there, least, fits):
    assert version.check(
        min_instances=least, instance_type="ml.c5.xlarge"
    ).files  # no endpoint yet: nothing to send it ahead of
    serve(there)
    if fits:
        assert version.check(min_instances=least, instance_type="ml.c5.xlarge").files
        return
    with pytest.raises(RefusedError, match=f"{GROUP} has 1 instance, .* wait endpoint-in-service"):
        version.check(min_instances=least, instance_type="ml.c5.xlarge")


ENVELOPE = "provenance.intoto.json"


@pytest.fixture
def evidence(tmp_path):
    """What Register gathers, with the statement about an image."""
    folder = write_evidence(tmp_path)
    (folder / "provenance").mkdir()
    (folder / "provenance/job.json").write_bytes(b"{}")
    seal(folder)
    return folder


def resource(folder: Path, name: str, **change: Any) -> tuple[Resource, ...]:
    digest = {"sha256": sha256_file(folder / name)}
    return (Resource(name=name, digest=digest | change),)


def test_a_version_with_its_own_provenance_is_served(account, evidence):
    state(evidence, dependencies=resource(evidence, "provenance/job.json"))
    assert registered(account, evidence).check().files == 16


def fail_to_read(monkeypatch, version, code):
    read = version.clients.s3.get_object

    def fail(**request: Any) -> Any:
        if request["Key"].endswith(ENVELOPE):
            raise ClientError({"Error": {"Code": code}}, "GetObject")
        return read(**request)

    monkeypatch.setattr(version.account.clients.s3, "get_object", fail)


def test_one_of_before_provenance_is_served_even_where_s3_denies_to_say_so(version, monkeypatch):
    keys = {key.rpartition("/")[2] for key in version.account.objects()}
    assert ENVELOPE not in keys
    assert version.check().files
    fail_to_read(monkeypatch, version, "AccessDenied")
    assert version.check().files


@pytest.mark.parametrize("code", ["SlowDown", "InternalError"])
def test_where_s3_does_not_answer_a_version_is_not_taken_for_one_without_provenance(
    account, evidence, monkeypatch, code
):
    state(evidence, dependencies=resource(evidence, "provenance/job.json", sha256="0" * 64))
    version = registered(account, evidence)
    fail_to_read(monkeypatch, version, code)
    with pytest.raises(ClientError, match=code):
        version.check()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"subject": (Resource(name="model.tar.gz", digest={"sha256": "0" * 64}),)},
         "it names another model.tar.gz; it names another manifest-sha256.json"),
        ({"dependencies": (Resource(name="provenance/job.json", digest={"sha256": "0" * 64}),)},
         "it names another provenance/job.json"),
        ({"dependencies": (Resource(name="provenance/train.json", digest={"sha256": "0" * 64}),)},
         "it names another provenance/train.json"),
        ({"build": "image"}, "not SLSA provenance v1"),
    ],
)  # fmt: skip
def test_one_of_another_version_is_refused(account, evidence, change, problem):
    state(evidence, **change)
    with pytest.raises(RefusedError, match=problem):
        registered(account, evidence).check()


def test_one_that_was_changed_or_that_another_key_signed_is_refused(account, evidence):
    state(evidence)
    version = registered(account, evidence)
    content = json.loads(account.body(f"s3://{account.bucket}/{version.folder}/{ENVELOPE}"))
    forged = content | {"payload": content["payload"][:-8] + "fX19Cg=="}
    for changed in (forged, content | {"signatures": []}):
        version.put(ENVELOPE, json.dumps(changed).encode())
        with pytest.raises(RefusedError, match=f"{ENVELOPE} has no valid signature of alias/acme"):
            version.check()
    version.put(ENVELOPE, b"{}")
    with pytest.raises(RefusedError, match="not the envelope of a statement"):
        version.check()
    version.put(ENVELOPE, json.dumps(content).encode())
    replace_signing_key(account.clients.kms, KEY)
    assert version.check(signing_keys=f"{KEY},{KEY}-1").judged.files.statement
