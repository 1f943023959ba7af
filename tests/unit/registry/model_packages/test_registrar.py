"""Registering in an account: signed files, lineage, then one package that waits for approval."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from sashiko.base.aws_calls import Clients
from sashiko.base.files import write_json
from sashiko.errors import InputError
from sashiko.registry.model_packages.registry import PackageRegistry, connect
from sashiko.registry.versions import ModelVersion
from sashiko.serving.compile_lock import LOCK_FILE
from tests.unit.data.stubs import stubbed
from tests.unit.registry.model_packages.account import (
    BUCKET,
    GROUP,
    KEY,
    PLACEMENT,
    Account,
    Killed,
    replace_signing_key,
)
from tests.unit.registry.model_packages.gathered import LOCK, seal

TAGS = {
    "execution_id": "abc123def456",
    "data_sha256": "d" * 64,
    "contract_sha256": "c" * 64,
    "recipe": "loans",
    "git_sha": "4f1c2a9d" * 5,
    "gate.model-quality": "passed",
}


def register(
    account: Account,
    model: Path,
    *,
    run_id: str | None = "r" * 32,
    threshold: float = 0.4,
    **tags: str,
) -> tuple[ModelVersion, bool]:
    return account.registrar.register(
        GROUP, files=model, run_id=run_id, threshold=threshold, tags=TAGS | tags
    )


def test_a_version_waits_for_approval_with_its_image_artifact_and_threshold(account, model):
    version, new = register(account, model)
    assert (version.group, version.version, new) == (GROUP, 1, True)
    assert version.status == "PendingManualApproval"
    assert version.aliases == ("candidate",)
    assert str(version.arn).endswith(f"model-package/{GROUP}/1")
    assert version.threshold == 0.4
    [package] = account.created()
    [container] = package["InferenceSpecification"]["Containers"]
    assert container["Image"] == PLACEMENT.serving_image
    assert container["Environment"] == {"SASHIKO_THRESHOLD": "0.4"}
    assert account.body(container["ModelDataUrl"]) == b"weights"
    assert "Tags" not in package  # a version of a group has none


@pytest.mark.parametrize(
    ("target", "some", "none"),
    [
        ("inf2", {"ml.inf2.xlarge", "ml.inf2.48xlarge"}, {"ml.trn1.2xlarge", "ml.c6i.large"}),
        ("gpu", {"ml.g5.xlarge", "ml.g6.xlarge"}, {"ml.g7e.2xlarge", "ml.p2.xlarge"}),
        ("cpu", {"ml.c6i.large", "ml.m5.large"}, {"ml.c7g.large", "ml.g5.xlarge"}),
    ],
)
def test_a_package_names_the_instance_types_that_serve_its_target(
    account, model, target, some, none
):
    (model / LOCK_FILE).write_text(json.dumps({**LOCK, "target": target}))
    seal(model)
    register(account, model)
    [package] = account.created()
    named = package["InferenceSpecification"]["SupportedRealtimeInferenceInstanceTypes"]
    assert some <= set(named)
    assert not none & set(named)


def test_files_lie_below_one_prefix_with_a_signed_manifest_and_lineage_to_the_package(
    account, model
):
    sent: list[dict[str, Any]] = []
    events = account.clients.kms.meta.events
    events.register("provide-client-params.kms.Sign", lambda params, **_: sent.append(dict(params)))
    version, _ = register(account, model)
    # The registrar's role may sign nothing but digests.
    assert [(call["MessageType"], call["KeyId"]) for call in sent] == [
        ("DIGEST", version.tags["signed_by"])
    ]
    manifest = account.body(version.tags["manifest"])
    digests = json.loads(manifest)
    below = version.tags["manifest"].rsplit("/", 1)[0]
    assert len(digests) == 12
    for name, digest in digests.items():
        assert hashlib.sha256(account.body(f"{below}/{name}")).hexdigest() == digest
    signature = json.loads(account.body(version.tags["signature"]))
    digest = hashlib.sha256(manifest)
    assert signature["manifest_sha256"] == digest.hexdigest() == version.tags["manifest_sha256"]
    verified = account.clients.kms.verify(
        KeyId=KEY,
        Message=digest.digest(),
        MessageType="DIGEST",
        Signature=base64.b64decode(signature["signature"]),
        SigningAlgorithm=signature["algorithm"],
    )
    assert verified["SignatureValid"]
    assert verified["KeyId"] == signature["key"]

    data, action = PLACEMENT.made_from, version.tags["manifest"]
    artifact, package = f"{below}/model.tar.gz", str(version.arn)
    assert account.links() == {
        (data, action, "ContributedTo"),
        (action, artifact, "Produced"),
        (data, artifact, "DerivedFrom"),
        (action, package, "Produced"),
        (artifact, package, "DerivedFrom"),
    }


def test_what_an_earlier_key_signed_is_registered_again_by_the_new_one(account, model):
    """Otherwise a version whose key is distrusted stays the only one of its run."""
    first, _ = register(account, model)
    replace_signing_key(account.clients.kms, KEY)
    second, new = register(account, model)
    assert (second.version, new) == (2, True)
    assert second.tags["signed_by"] != first.tags["signed_by"]
    # SageMaker answers a token that it knows with the version that it made then.
    tokens = [package["ClientToken"] for package in account.created()]
    assert len(set(tokens)) == 2
    again, new = register(account, model)
    assert (again.version, new) == (2, False)


def test_the_quality_of_several_classes_is_the_file_with_sagemakers_names(account, model):
    write_json(model / "statistics.json", {"multiclass_classification_metrics": {}})
    seal(model)
    register(account, model)
    [package] = account.created()
    for key in ("ModelMetrics", "DriftCheckBaselines"):
        uri = package[key]["ModelQuality"]["Statistics"]["S3Uri"]
        assert json.loads(account.body(uri)) == {"multiclass_classification_metrics": {}}


def test_the_package_points_to_quality_bias_and_drift_reports(account, model):
    register(account, model)
    [package] = account.created()
    quality, bias = package["ModelMetrics"]["ModelQuality"], package["ModelMetrics"]["Bias"]
    assert json.loads(account.body(quality["Statistics"]["S3Uri"])) == {"file": "metrics.json"}
    assert json.loads(account.body(quality["Constraints"]["S3Uri"]))["gate"] == "model-quality"
    files = {kind: json.loads(account.body(item["S3Uri"]))["file"] for kind, item in bias.items()}
    assert files == {
        "Report": "intervals.json", "PreTrainingReport": "pre-training-analysis.json",
        "PostTrainingReport": "post-training-analysis.json",
    }  # fmt: skip
    drift = package["DriftCheckBaselines"]
    assert drift["Bias"]["PostTrainingConstraints"] == bias["PostTrainingReport"]
    assert drift["ModelQuality"]["Statistics"] == quality["Statistics"]
    reference = drift["ModelDataQuality"]["Statistics"]["S3Uri"]
    assert json.loads(account.body(reference)) == {"file": "reference.json"}
    digest = hashlib.sha256((model / "metrics.json").read_bytes()).hexdigest()
    assert quality["Statistics"]["ContentDigest"] == f"sha256:{digest}"
    card = package["ModelCard"]["ModelCardContent"]
    assert json.loads(card) == json.loads((model / "model-card.json").read_text())
    assert "\n" not in card


def test_without_facets_the_package_names_no_bias_report(account, model):
    for path in model.glob("*analysis.json"):
        path.unlink()
    (model / "intervals.json").unlink()
    seal(model)
    reason = 'no column tells groups: "none" {known}'
    version, _ = register(account, model, **{"gate.bias": "not judged", "gate.bias.reason": reason})
    [package] = account.created()
    assert "Bias" not in package["ModelMetrics"]
    assert "Bias" not in package["DriftCheckBaselines"]
    assert version.tags["gate.bias"] == "not judged"
    assert "gate.bias.reason" not in version.tags


def test_the_mlflow_run_is_named_where_there_is_one(account, model):
    with_run, _ = register(account, model)
    without, _ = register(account, model, run_id=None, execution_id="another", threshold=0.5)
    assert with_run.tags["mlflow_run_id"] == "r" * 32
    assert "mlflow_run_id" not in without.tags


def test_the_same_model_of_the_same_data_is_not_registered_twice(account, model):
    first, _ = register(account, model)
    edges = list(account.edges)
    again, new = register(account, model)
    assert (again.arn, new) == (first.arn, False)
    assert len(account.created()) == 1
    assert account.edges == edges
    again, new = register(account, model, execution_id="another")
    assert (again.arn, new) == (first.arn, False)
    other, new = register(account, model, execution_id="another", data_sha256="e" * 64)
    assert (other.version, new) == (2, True)


@pytest.mark.parametrize(
    ("service", "operation", "call"),
    [
        ("kms", "Sign", 1), *(("s3", "PutObject", call) for call in (1, 5, 14)),
        ("sagemaker", "CreateArtifact", 2), ("sagemaker", "AddAssociation", 1),
        ("sagemaker", "CreateModelPackage", 1), ("sagemaker", "CreateArtifact", 3),
        ("sagemaker", "AddAssociation", 5),
    ],
)  # fmt: skip
def test_a_kill_leaves_no_package_that_lacks_something_and_the_next_attempt_mends_it(
    account, model, service, operation, call
):
    account.kill_before(service, operation, call=call)
    with pytest.raises(Killed):
        register(account, model)
    for version in account.registry.versions(GROUP):
        assert json.loads(account.body(version.tags["signature"]))
        for name in json.loads(account.body(version.tags["manifest"])):
            assert account.body(f"{version.tags['manifest'].rsplit('/', 1)[0]}/{name}")
    version, _ = register(account, model)
    assert [item.arn for item in account.registry.versions(GROUP)] == [version.arn]
    assert len(account.edges) == 5
    assert len(account.objects()) == 14


def test_a_file_that_was_changed_after_the_manifest_is_refused(account, model):
    (model / "metrics.json").write_text('{"auc": 1.0}')
    with pytest.raises(InputError, match=r"metrics.json is not the file that the manifest names"):
        register(account, model)
    assert account.registry.versions(GROUP) == []


def test_s3_receives_the_digest_of_each_file(account, model):
    sent: dict[str, Any] = {}

    def remember(params: dict[str, Any], **_: Any) -> None:
        sent[params["Key"]] = params.get("ChecksumSHA256")

    account.clients.s3.meta.events.register("provide-client-params.s3.PutObject", remember)
    version, _ = register(account, model)
    key = version.tags["manifest"].removeprefix(f"s3://{BUCKET}/")
    expected = base64.b64encode(hashlib.sha256(account.body(version.tags["manifest"])).digest())
    assert sent[key] == expected.decode()


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"contract": "c" * 257}, r"`contract`: its value has 257 characters.* takes 1 to 256"),
        ({"contract": ""}, r"`contract`: its value has 0 characters"),
        ({"contract": '{"a": 1}'}, r"`contract`: a model package takes letters, .* not"),
        ({"gate." + "x" * 130: "passed"}, r"its key has 135 characters"),
    ],
)
def test_what_metadata_does_not_take_is_refused_before_anything_is_written(
    account, model, tags, message
):
    with pytest.raises(InputError, match=message):
        register(account, model, **tags)
    assert account.objects() == set()
    assert account.calls == []


def test_metadata_takes_other_alphabets_and_an_unknown_version_lists_the_known(account, model):
    version, _ = register(account, model, contract="Verträge 貸出")
    assert version.tags["contract"] == "Verträge 貸出"
    register(account, model)
    with pytest.raises(InputError, match="no version 9; registered: 1"):
        account.registry.version(GROUP, 9)


def test_the_newest_approved_version_is_the_champion(account, model):
    for number in (1, 2, 3):
        assert account.registry.champion(GROUP) is None
        register(account, model, execution_id=f"run-{number}", threshold=number / 10)
    account.decide(1, "Approved")
    account.decide(2, "Approved")
    account.decide(3, "Rejected")
    champion = account.registry.champion(GROUP)
    assert champion is not None
    assert (champion.version, champion.threshold, champion.status) == (2, 0.2, "Approved")
    account.decide(2, "Rejected")
    assert account.registry.champion(GROUP).version == 1  # type: ignore[union-attr]
    listed = [(item.version, item.aliases) for item in account.registry.versions(GROUP)]
    assert listed == [(3, ("candidate",)), (2, ()), (1, ("champion",))]


def test_the_artifact_is_downloaded_unless_it_was_changed_in_the_bucket(account, model, tmp_path):
    version, _ = register(account, model)
    assert account.registry.download(version, tmp_path).read_bytes() == b"weights"
    [key] = [key for key in account.objects() if key.endswith("model.tar.gz")]
    account.clients.s3.put_object(Bucket=BUCKET, Key=key, Body=b"other weights")
    with pytest.raises(InputError, match=r"not the file that was registered.* reject that version"):
        account.registry.download(version, tmp_path)
    account.clients.s3.delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(InputError, match=f"cannot read s3://{BUCKET}/{key}"):
        account.registry.download(version, tmp_path)


def test_an_approved_package_that_register_did_not_make_is_no_champion(account):
    account.clients.sagemaker.create_model_package(
        ModelPackageGroupName=GROUP, ModelApprovalStatus="Approved"
    )
    with pytest.raises(InputError, match=r"/1 is approved and has no metadata `artifact_sha256`"):
        account.registry.champion(GROUP)


def refuse(client: Any, operation: str, code: str, message: str) -> None:
    class _Http:
        status_code = 400

    def answer(**_: Any) -> Any:
        return _Http(), {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {}}

    service = client.meta.service_model.service_name
    client.meta.events.register_first(f"before-call.{service}.{operation}", answer)


def denied(action: str) -> str:
    return f"User: arn:aws:sts::111122223333:role/r is not authorized to perform: {action} on x"


@pytest.mark.parametrize(
    ("code", "message", "advice"),
    [
        ("AccessDeniedException", denied("kms:Sign"),
         "cannot sign the manifest with the key arn:.*; allow this role kms:Sign on the"),
        ("DisabledException", "key is disabled", "enable the key, or give another one"),
    ],
)  # fmt: skip
def test_a_key_that_does_not_sign_leaves_nothing_behind(account, model, code, message, advice):
    refuse(account.clients.kms, "Sign", code, message)
    with pytest.raises(InputError, match=advice):
        register(account, model)
    assert account.objects() == set()
    assert account.registry.versions(GROUP) == []


def test_an_account_without_a_signing_key_says_what_makes_it(account, model):
    account.clients.kms.delete_alias(AliasName=KEY)
    with pytest.raises(InputError, match=f"the signing key {KEY}: .*; deploy the Platform stack"):
        register(account, model)


@pytest.mark.parametrize(
    ("operation", "doing"),
    [
        ("CreateModelPackage", f"create a model package in the group {GROUP}"),
        ("ListModelPackages", f"list the versions of the model package group {GROUP}"),
        ("CreateAction", "record the lineage of s3://"),
    ],
)
def test_a_registry_that_refuses_names_the_action(account, model, operation, doing):
    action = f"sagemaker:{operation}"
    refuse(account.clients.sagemaker, operation, "AccessDeniedException", denied(action))
    with pytest.raises(InputError, match=f"cannot {doing}.*{action}.*allow that action to this"):
        register(account, model)


def test_a_bucket_that_refuses_names_the_file(account, model):
    refuse(account.clients.s3, "PutObject", "AccessDenied", "Access Denied")
    with pytest.raises(InputError, match=r"cannot write s3://.*bias/verdict.json: AccessDenied"):
        register(account, model)


def test_a_group_that_does_not_exist_says_who_makes_it():
    with stubbed("sagemaker") as (client, stub):
        stub.add_client_error(
            "list_model_packages", "ValidationException", "Model Package Group does not exist"
        )
        registry = PackageRegistry(Clients(sagemaker=client, s3=None, kms=None))
        with pytest.raises(InputError, match="deploy the DataLake and Platform stacks"):
            registry.champion(GROUP)


def test_a_group_of_many_pages_is_read_to_its_end():
    arn = f"arn:aws:sagemaker:eu-west-1:111122223333:model-package/{GROUP}/"
    with stubbed("sagemaker") as (client, stub):
        for number, more in ((2, {"NextToken": "more"}), (1, {})):
            summary = {"CreationTime": 0, "ModelPackageStatus": "Completed"}
            summary["ModelPackageArn"] = f"{arn}{number}"
            page = {"ModelPackageSummaryList": [summary], **more}
            stub.add_response("list_model_packages", page)
        registry = PackageRegistry(Clients(sagemaker=client, s3=None, kms=None))
        assert list(registry._arns(GROUP)) == [f"{arn}2", f"{arn}1"]


def test_a_job_without_a_way_to_aws_says_what_it_needs(account, model):
    def unreachable(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://kms")

    account.clients.kms.meta.events.register_first("before-call.kms.Sign", unreachable)
    with pytest.raises(InputError, match="needs credentials and an endpoint for the service"):
        register(account, model)


def test_a_job_that_knows_no_region_says_so(monkeypatch):
    monkeypatch.delenv("AWS_REGION", raising=False)
    with pytest.raises(InputError, match=r"AWS_REGION is not set; .* the model registry"):
        connect()
