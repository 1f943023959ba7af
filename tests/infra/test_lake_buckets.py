"""The lake's buckets and keys: what they are, and whom their policies let through."""

import json

import pytest

from tests.infra.lake_grants import policy_text
from tests.infra.variants import as_list, of_pack, resources, some

BUCKETS = {"raw", "curated", "snapshots", "artifacts", "capture", "logs"}
OBJECT_READERS = {"sashiko-dev-lake-formation", "sashiko-dev-etl", "sashiko-dev-break-glass"}
PUBLISHERS = of_pack("batch", "sashiko-dev-batch")


def _bucket_of(properties):
    return properties["BucketName"].split("-")[2]


def buckets_of(template):
    buckets = resources(template, "AWS::S3::Bucket")
    return {_bucket_of(b["Properties"]): (logical, b) for logical, b in buckets.items()}


def _statements(template, bucket):
    logical, _ = buckets_of(template)[bucket]
    for policy in resources(template, "AWS::S3::BucketPolicy").values():
        if policy["Properties"]["Bucket"] == {"Ref": logical}:
            return policy["Properties"]["PolicyDocument"]["Statement"]
    raise AssertionError(f"no policy on {bucket}")


def let_through(template, bucket, action, below=""):
    """Roles that no statement of the bucket's policy denies `action` to; None for everybody."""
    logical, _ = buckets_of(template)[bucket]
    arn = {"Fn::Join": ["", [{"Fn::GetAtt": [logical, "Arn"]}, f"/{below}*"]]}
    allowed = None
    for statement in _statements(template, bucket):
        actions = as_list(statement["Action"])
        exceptions = statement.get("Condition", {}).get("ArnNotEquals")
        if statement["Effect"] == "Deny" and exceptions and arn in as_list(statement["Resource"]):
            assert statement["Principal"] == {"AWS": "*"}
            if any(action.startswith(denied.rstrip("*")) for denied in actions):
                names = {item.split("role/")[1] for item in as_list(exceptions["aws:PrincipalArn"])}
                allowed = names if allowed is None else allowed & names
    return allowed


@pytest.mark.control("AC-4")
def test_exactly_three_roles_may_read_objects_of_the_lake(templates):
    lake = templates("dev")["DataLake"]
    # Of the curated bucket a publisher's own policy allows it the folders of its tables alone.
    for bucket, more in (("raw", set()), ("curated", PUBLISHERS)):
        for action in ("s3:GetObject", "s3:GetObjectVersion"):
            assert let_through(lake, bucket, action) == OBJECT_READERS | more


def test_without_lake_formation_the_snapshots_roles_read_curated_themselves_and_raw_never(
    templates,
):
    lake = templates("iam_only")["DataLake"]
    broker, evaluator = "sashiko-dev-broker", "sashiko-dev-bias-evaluator"
    readers = OBJECT_READERS | {broker, evaluator} | PUBLISHERS
    assert let_through(lake, "curated", "s3:GetObject") == readers
    assert let_through(lake, "raw", "s3:GetObject") == OBJECT_READERS
    assert "-curated-" in policy_text(lake, "broker")
    assert "-curated-" not in policy_text(lake, "data-scientist")


def test_each_snapshot_has_one_writer_the_facets_one_reader_and_nobody_the_lakes_objects_by_iam(
    templates,
):
    lake = templates("dev")["DataLake"]
    evaluator = "sashiko-dev-bias-evaluator"

    def let(action, view):
        return let_through(lake, "snapshots", action, f"{view}/")

    assert let("s3:PutObject", "training") == {"sashiko-dev-broker"}
    assert let("s3:PutObject", "facets") == {evaluator}
    assert let("s3:GetObject", "facets") == {evaluator, "sashiko-dev-break-glass"}
    assert let("s3:PutObject", "weights") == {evaluator}
    readers = {evaluator, "sashiko-dev-training", "sashiko-dev-break-glass"}
    assert let("s3:GetObject", "weights") == readers

    for role in ("broker", "bias-evaluator", "data-scientist"):
        text = policy_text(lake, role)
        assert "lakeformation:GetDataAccess" in text
        assert "-curated-" not in text
        assert "-raw-" not in text


def test_the_training_role_has_the_training_snapshot_and_no_way_to_the_lake(templates):
    text = policy_text(templates("dev")["DataLake"], "training")
    assert "-snapshots-111122223333-us-east-1/training/data/*" in text
    assert "-snapshots-111122223333-us-east-1/weights/*" in text
    for word in ("-raw-", "-curated-", "facets", "athena", "glue:", "lakeformation"):
        assert word not in text, word


@pytest.mark.control("KMS.4")
@pytest.mark.parametrize("variant", ["dev", "prod"])
def test_each_key_rotates_that_kms_can_rotate(templates, variant):
    """KMS rotates no asymmetric key: the signing key is replaced by hand (docs/operate.md)."""
    keys = [
        key["Properties"]
        for template in templates(variant).values()
        for key in resources(template, "AWS::KMS::Key").values()
    ]
    symmetric = [key for key in keys if "KeySpec" not in key]
    assert [key["KeySpec"] for key in keys if key not in symmetric] == ["ECC_NIST_P256"]
    assert len(symmetric) > 5
    assert all(key["EnableKeyRotation"] is True for key in symmetric)


def test_the_key_policies_name_the_account_and_services_and_no_role(templates):
    keys = some(templates("dev")["DataLake"], "AWS::KMS::Key").values()
    assert len(keys) == 5
    for key in keys:
        assert key["Properties"]["EnableKeyRotation"] is True
        for statement in key["Properties"]["KeyPolicy"]["Statement"]:
            if statement["Effect"] == "Deny":  # lets nobody in
                continue
            ((kind, name),) = statement["Principal"].items()
            if kind == "Service":
                assert name == "logs.us-east-1.amazonaws.com"
                context = statement["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
                place = "arn:aws:logs:us-east-1:111122223333:log-group:"
                assert all(item.startswith(place) for item in context)
            else:
                assert kind == "AWS"
                assert json.dumps(name).count("111122223333:root") == 1
                assert "role/" not in json.dumps(name)


@pytest.mark.control("S3.5", "S3.8", "S3.9", "S3.12", "S3.13", "S3.14", "S3.17")
def test_each_bucket_is_private_versioned_logged_and_forgets_in_time(templates):
    lake = templates("dev")["DataLake"]
    buckets = buckets_of(lake)
    assert set(buckets) == BUCKETS
    for name, (_, bucket) in buckets.items():
        properties = bucket["Properties"]
        assert all(properties["PublicAccessBlockConfiguration"].values())
        assert len(properties["PublicAccessBlockConfiguration"]) == 4
        assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
        ownership = properties["OwnershipControls"]["Rules"]
        assert ownership == [{"ObjectOwnership": "BucketOwnerEnforced"}]
        rules = properties["LifecycleConfiguration"]["Rules"]
        assert any("NoncurrentVersionExpiration" in rule for rule in rules)
        assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)
        assert any(
            s["Effect"] == "Deny"
            and s.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
            for s in _statements(lake, name)
        )
        (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        if name != "logs":
            assert rule["BucketKeyEnabled"] is True
            assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
            assert properties["LoggingConfiguration"]["LogFilePrefix"] == f"{name}/"
