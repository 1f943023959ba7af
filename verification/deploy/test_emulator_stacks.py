"""The emulator's CloudFormation: order, updates, rollback, exports, deletion, adoption."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from verification.deploy.stacks import (
    ACCOUNT,
    Stacks,
    bucket,
    database,
    grant,
    output,
    resource,
    role,
    table,
    template,
)


def test_references_attributes_and_outputs_are_resolved(stacks: Stacks) -> None:
    body = template(
        resource("Name", "AWS::SSM::Parameter", {"Type": "String", "Value": {"Ref": "Bucket"}}),
        bucket("resolved"),
        Outputs={"Arn": output({"Fn::Sub": "${Bucket.Arn}/*"})},
    )

    assert stacks.deploy("resolved", body) == "CREATE_COMPLETE"

    assert stacks.outputs("resolved") == {"Arn": "arn:aws:s3:::resolved/*"}
    described = stacks.api.describe_stack_resources(StackName="resolved", LogicalResourceId="Name")
    parameter = described["StackResources"][0]["PhysicalResourceId"]
    value = stacks.emulator.client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"]
    assert value == "resolved"


def test_an_unknown_type_is_refused_before_anything_is_made(stacks: Stacks) -> None:
    body = template(bucket("unknown-type"), resource("Other", "AWS::Glue::Classifier", {}))

    with pytest.raises(ClientError, match=r"Unrecognized resource types: .*AWS::Glue::Classifier"):
        stacks.deploy("unknown-type", body)

    assert not stacks.exists("unknown-type")


def test_a_failed_creation_rolls_back_what_it_made(stacks: Stacks) -> None:
    invalid = resource("Bad", "AWS::Logs::LogGroup", {"RetentionDays": 7}, DependsOn="Bucket")

    assert (
        stacks.deploy("bad-property", template(bucket("rolled-back"), invalid))
        == "ROLLBACK_COMPLETE"
    )

    assert "RetentionDays" in stacks.failure("bad-property")
    with pytest.raises(ClientError, match="404"):
        stacks.emulator.client("s3").head_bucket(Bucket="rolled-back")


def test_a_value_that_no_enumeration_has_fails(stacks: Stacks) -> None:
    job = {"Role": "any", "Command": {"Name": "glueetl"}, "WorkerType": "G.3X"}
    assert (
        stacks.deploy("bad-worker", template(resource("Job", "AWS::Glue::Job", job)))
        == "ROLLBACK_COMPLETE"
    )
    assert "G.3X" in stacks.failure("bad-worker")

    target = {"Database": {"CatalogId": ACCOUNT, "Name": {"Ref": "Database"}}}
    arn = {"Fn::GetAtt": ["Role", "Arn"]}
    body = template(role("reader"), database("bad_permission"), grant(arn, target, "READ"))
    assert stacks.deploy("bad-permission", body) == "ROLLBACK_COMPLETE"
    assert "READ" in stacks.failure("bad-permission")


def test_what_depends_on_another_goes_first(stacks: Stacks) -> None:
    stacks.deploy("order", template(table("t", "a"), database("ordered")))
    identifier = stacks.api.describe_stacks(StackName="order")["Stacks"][0]["StackId"]

    stacks.delete("order")

    assert [n for n, _ in stacks.events(identifier, "CREATE_COMPLETE")][:2] == ["Database", "Table"]
    assert [n for n, _ in stacks.events(identifier, "DELETE_COMPLETE")][:2] == ["Table", "Database"]


def test_a_column_is_added_in_place_and_a_new_name_replaces(stacks: Stacks) -> None:
    glue = stacks.emulator.client("glue")
    stacks.deploy("columns", template(database("columns"), table("t", "a")))
    wider = template(database("columns"), table("t", "a", "b"))
    assert [
        (c["ResourceChange"]["Action"], c["ResourceChange"]["Replacement"])
        for c in stacks.plan("columns", wider)["Changes"]
    ] == [("Modify", "False")]

    stacks.deploy("columns", wider)

    storage = glue.get_table(DatabaseName="columns", Name="t")["Table"]["StorageDescriptor"]
    assert [column["Name"] for column in storage["Columns"]] == ["a", "b"]
    stacks.deploy("columns", template(database("columns"), table("u", "a", "b")))
    tables = glue.get_tables(DatabaseName="columns")["TableList"]
    assert [item["Name"] for item in tables] == ["u"]
    assert ("Table", "AWS::Glue::Table") in stacks.replacements()


def test_a_failed_update_puts_the_old_state_back(stacks: Stacks) -> None:
    stacks.deploy("update", template(database("updated"), table("t", "a")))
    invalid = resource("Bad", "AWS::Logs::LogGroup", {"RetentionInDays": 8}, DependsOn="Table")

    status = stacks.deploy("update", template(database("updated"), table("t", "a", "b"), invalid))

    assert status == "UPDATE_ROLLBACK_COMPLETE"
    updated_table = stacks.emulator.client("glue").get_table(DatabaseName="updated", Name="t")[
        "Table"
    ]
    assert [column["Name"] for column in updated_table["StorageDescriptor"]["Columns"]] == ["a"]
    assert stacks.deploy("update", template(database("updated"))) == "UPDATE_COMPLETE"


def test_a_bucket_with_objects_blocks_the_deletion(stacks: Stacks) -> None:
    s3 = stacks.emulator.client("s3")
    stacks.deploy("full", template(bucket("full")))
    s3.put_object(Bucket="full", Key="kept", Body=b"")

    assert stacks.delete("full") == "DELETE_FAILED"

    assert "BucketNotEmpty" in stacks.failure("full")
    s3.delete_object(Bucket="full", Key="kept")
    assert stacks.delete("full") == "DELETE_COMPLETE"


def test_a_protected_stack_is_not_deleted(stacks: Stacks) -> None:
    stacks.deploy("protected", template(bucket("protected")))
    stacks.api.update_termination_protection(
        StackName="protected", EnableTerminationProtection=True
    )

    with pytest.raises(ClientError, match="TerminationProtection"):
        stacks.delete("protected")

    stacks.api.update_termination_protection(
        StackName="protected", EnableTerminationProtection=False
    )
    assert stacks.delete("protected") == "DELETE_COMPLETE"


def test_an_export_in_use_is_neither_changed_nor_deleted(stacks: Stacks) -> None:
    def producer(name: str) -> dict[str, Any]:
        return template(bucket(name), Outputs={"Name": output({"Ref": "Bucket"}, "shared-name")})

    value = {"Type": "String", "Value": {"Fn::ImportValue": "shared-name"}}
    stacks.deploy("producer", producer("first"))
    stacks.deploy("consumer", template(resource("Name", "AWS::SSM::Parameter", value)))

    assert stacks.deploy("producer", producer("second")) == "UPDATE_ROLLBACK_COMPLETE"
    assert stacks.outputs("producer") == {"Name": "first"}
    assert stacks.delete("producer") == "DELETE_FAILED"
    reason = stacks.events("producer", "DELETE_FAILED")[-1][1]
    assert "shared-name" in reason and "consumer" in reason
    stacks.delete("consumer")
    assert stacks.delete("producer") == "DELETE_COMPLETE"


def test_another_stacks_output_is_read_without_an_export(stacks: Stacks) -> None:
    def producer(name: str) -> dict[str, Any]:
        return template(bucket(name), Outputs={"Name": output({"Ref": "Bucket"})})

    reference = {"Fn::GetStackOutput": {"StackName": "weak-producer", "OutputName": "Name"}}
    name = resource("Name", "AWS::SSM::Parameter", {"Type": "String", "Value": reference})
    stacks.deploy("weak-producer", producer("weak-first"))
    consumer = template(name, Outputs={"Copy": output({"Fn::GetAtt": ["Name", "Value"]})})
    stacks.deploy("weak-consumer", consumer)

    assert stacks.outputs("weak-consumer") == {"Copy": "weak-first"}
    assert stacks.deploy("weak-producer", producer("weak-second")) == "UPDATE_COMPLETE"


def test_a_change_set_without_a_change_says_so(stacks: Stacks) -> None:
    stacks.deploy("same", template(bucket("same")))

    change_set = stacks.plan("same", template(bucket("same")))

    assert change_set["Status"] == "FAILED"
    assert "didn't contain changes" in change_set["StatusReason"]


def test_what_is_retained_stays_and_can_be_adopted(stacks: Stacks) -> None:
    body = template(bucket("kept", DeletionPolicy="Retain"))
    stacks.deploy("kept", body)
    assert stacks.delete("kept") == "DELETE_COMPLETE"
    stacks.emulator.client("s3").head_bucket(Bucket="kept")

    # DeletionPolicy Retain also applies to a rollback; the failed bucket is not retained.
    assert stacks.deploy("kept", body) == "ROLLBACK_COMPLETE"
    assert "kept already exists" in stacks.failure("kept")
    stacks.delete("kept")
    assert stacks.deploy("kept", body, ImportExistingResources=True) == "CREATE_COMPLETE"
    assert [name for name, _ in stacks.events("kept", "IMPORT_COMPLETE")] == ["Bucket"]


def test_what_a_failed_creation_made_is_gone_and_what_it_adopted_stays(stacks: Stacks) -> None:
    retained = {"DeletionPolicy": "RetainExceptOnCreate"}
    body = template(bucket("except", **retained))
    broken = template(
        bucket("except", **retained),
        resource("Group", "AWS::Logs::LogGroup", {"LogGroupName": "mine"}, **retained),
        resource("Late", "AWS::S3::Bucket", {"BucketName": "No"}, DependsOn=["Bucket", "Group"]),
    )
    groups = stacks.emulator.client("logs").describe_log_groups
    s3 = stacks.emulator.client("s3")

    assert stacks.deploy("except", broken) == "ROLLBACK_COMPLETE"
    stacks.delete("except")
    assert stacks.deploy("except", body) == "CREATE_COMPLETE"  # nothing is in the way
    stacks.delete("except")
    s3.head_bucket(Bucket="except")
    assert stacks.deploy("except", broken, ImportExistingResources=True) == "ROLLBACK_COMPLETE"
    s3.head_bucket(Bucket="except")
    assert groups(logGroupNamePrefix="mine")["logGroups"] == []


def test_a_key_without_a_name_is_adopted_by_its_id(stacks: Stacks) -> None:
    policy = {"Version": "2012-10-17", "Statement": []}
    body = template(
        resource("Key", "AWS::KMS::Key", {"KeyPolicy": policy}, DeletionPolicy="Retain"),
        Outputs={"Key": output({"Ref": "Key"})},
    )
    stacks.deploy("key", body)
    key = stacks.outputs("key")["Key"]
    stacks.delete("key")

    status = stacks.deploy(
        "key",
        body,
        ChangeSetType="IMPORT",
        ResourcesToImport=[
            {
                "ResourceType": "AWS::KMS::Key",
                "LogicalResourceId": "Key",
                "ResourceIdentifier": {"KeyId": key},
            }
        ],
    )

    assert status == "IMPORT_COMPLETE", stacks.failure("key")
    assert stacks.outputs("key") == {"Key": key}


def test_a_bucket_policy_is_stored_and_not_enforced(stacks: Stacks) -> None:
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": {"Fn::Sub": "${Bucket.Arn}/*"},
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    document = {"Version": "2012-10-17", "Statement": [deny]}
    properties = {"Bucket": {"Ref": "Bucket"}, "PolicyDocument": document}
    policy = resource("Policy", "AWS::S3::BucketPolicy", properties)
    stacks.deploy("policy", template(bucket("with-policy"), policy))

    s3 = stacks.emulator.client("s3")
    s3.put_object(Bucket="with-policy", Key="key", Body=b"")
    assert "SecureTransport" in s3.get_bucket_policy(Bucket="with-policy")["Policy"]
