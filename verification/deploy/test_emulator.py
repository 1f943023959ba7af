"""The engine does and refuses what CloudFormation does, where our stacks rely on it."""

import io
import json
import zipfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from verification.deploy.deployed import differences, without
from verification.deploy.process import REGION
from verification.deploy.stacks import (
    ACCOUNT,
    COLUMN,
    DATABASE,
    READER,
    Stacks,
    Template,
    bucket,
    database,
    grant,
    one,
    output,
    resource,
    role,
    table,
    tags,
    template,
)  # fmt: skip


def test_a_request_that_cloudformation_refuses_begins_nothing(stacks: Stacks) -> None:
    unknown = template(bucket("never"), resource("Other", "AWS::Glue::Classifier", {}))
    with pytest.raises(ClientError, match=r"Unrecognized resource types: .*AWS::Glue::Classifier"):
        stacks.deploy("never", unknown)
    with pytest.raises(ClientError, match=r"Requires capabilities : \[CAPABILITY_NAMED_IAM\]"):
        stacks.plan("never", template(role("some")), Capabilities=["CAPABILITY_IAM"])
    name = {"Type": "String", "Value": {"Ref": "Nobody"}}
    with pytest.raises(ClientError, match=r"Unresolved resource dependencies \[Nobody\]"):
        stacks.plan("never", one("AWS::SSM::Parameter", **name))
    outputs = {"Out": {"Value": {"Fn::Sub": "${Nowhere.Arn}"}}}
    with pytest.raises(ClientError, match=r"\[Nowhere\] in the Outputs block"):
        stacks.plan("never", template(bucket("never"), Outputs=outputs))
    assert not stacks.exists("never")

    stacks.deploy("same", template(bucket("same")))
    change_set = stacks.plan("same", template(bucket("same")))
    assert change_set["Status"] == "FAILED"
    assert "didn't contain changes" in change_set["StatusReason"]


def test_a_deletion_that_cloudformation_refuses(stacks: Stacks) -> None:
    s3, sagemaker = (stacks.emulator.client(name) for name in ("s3", "sagemaker"))
    body = template(bucket("full"))
    stacks.deploy("full", body)
    protect = stacks.api.update_termination_protection
    protect(StackName="full", EnableTerminationProtection=True)
    with pytest.raises(ClientError, match="TerminationProtection"):
        stacks.delete("full")
    protect(StackName="full", EnableTerminationProtection=False)
    s3.put_object(Bucket="full", Key="kept", Body=b"")
    assert stacks.delete("full") == "DELETE_FAILED"
    assert "BucketNotEmpty" in stacks.failure("full")
    with pytest.raises(ClientError, match="is in DELETE_FAILED state and can not be updated"):
        stacks.deploy("full", template(bucket("other")))
    s3.delete_object(Bucket="full", Key="kept")
    assert stacks.delete("full") == "DELETE_COMPLETE"

    stacks.deploy("group", one("AWS::SageMaker::ModelPackageGroup", ModelPackageGroupName="some"))
    package = sagemaker.create_model_package(
        ModelPackageGroupName="some", ModelApprovalStatus="PendingManualApproval"
    )["ModelPackageArn"]
    assert stacks.delete("group") == "DELETE_FAILED"
    assert "some has model packages" in stacks.failure("group")
    sagemaker.delete_model_package(ModelPackageName=package)
    assert stacks.delete("group") == "DELETE_COMPLETE"


def test_an_export_in_use_is_neither_changed_nor_deleted(stacks: Stacks) -> None:
    def producer(name: str) -> Template:
        return template(bucket(name), Outputs={"Name": output({"Ref": "Bucket"}, "shared-name")})

    value = {"Type": "String", "Value": {"Fn::ImportValue": "shared-name"}}
    stacks.deploy("producer", producer("first"))
    stacks.deploy("consumer", one("AWS::SSM::Parameter", **value))

    assert stacks.deploy("producer", producer("second")) == "UPDATE_ROLLBACK_COMPLETE"
    assert stacks.outputs("producer") == {"Name": "first"}
    assert stacks.delete("producer") == "DELETE_FAILED"
    reason = stacks.events("producer", "DELETE_FAILED")[-1][1]
    assert "shared-name" in reason and "consumer" in reason
    stacks.delete("consumer")
    assert stacks.delete("producer") == "DELETE_COMPLETE"


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
    with pytest.raises(ClientError, match="is in ROLLBACK_COMPLETE state and can not be updated"):
        stacks.deploy("except", body)
    stacks.delete("except")
    assert stacks.deploy("except", body) == "CREATE_COMPLETE"  # nothing is in the way
    stacks.delete("except")
    assert stacks.deploy("except", body) == "ROLLBACK_COMPLETE"
    assert "except already exists" in stacks.failure("except")
    stacks.delete("except")
    assert stacks.deploy("except", broken, ImportExistingResources=True) == "ROLLBACK_COMPLETE"
    s3.head_bucket(Bucket="except")
    assert groups(logGroupNamePrefix="mine")["logGroups"] == []


def test_a_grant_that_is_there_already_is_refused(stacks: Stacks) -> None:
    """Pitfall 7: so is one that a failed attempt has left."""
    arn = f"arn:aws:iam::{ACCOUNT}:role/granted"
    target = {"Database": {"CatalogId": ACCOUNT, "Name": "granted"}}
    stacks.deploy(
        "granted", template(role("granted"), database("granted"), grant(READER, DATABASE, "ALTER"))
    )
    stacks.deploy("again", template(grant(arn, target, "ALTER")))
    assert "already exists" in stacks.failure("again")
    assert stacks.deploy("another", template(grant(arn, target, "DROP"))) == "CREATE_COMPLETE"


def test_a_replaced_tag_takes_the_new_value_along(stacks: Stacks) -> None:
    """Pitfall 6, at its worst: so a column changes by way of pii, which has no tag of its own."""
    tag = {"TagKey": "swapped", "TagValues": ["none", "some"]}
    own = (database("swapped"), table("t", "a"), resource("Tag", "AWS::LakeFormation::Tag", tag))
    columns = {"DatabaseName": "swapped", "Name": "t", "ColumnNames": ["a"]}

    def column_tags() -> list[Any]:
        assigned = stacks.emulator.client("lakeformation").get_resource_lf_tags(
            Resource={"TableWithColumns": columns}, ShowAssignedLFTags=True
        )
        return [tag["TagValues"] for tag in assigned["LFTagsOnColumns"][0]["LFTags"]]

    none, some = (tags(name, COLUMN, ("swapped", [name.lower()])) for name in ("None", "Some"))
    stacks.deploy("swapped", template(*own, none))
    stacks.deploy("swapped", template(*own, some))
    assert column_tags() == []

    stacks.deploy("swapped", template(*own))
    stacks.deploy("swapped", template(*own, none))
    assert column_tags() == [["none"]]


def test_cloudformation_does_not_empty_the_defaults_and_the_api_does(stacks: Stacks) -> None:
    """A new account's databases are open to everybody: pitfall L4."""
    formation = stacks.emulator.client("lakeformation")

    def principals(name: str) -> list[str]:
        answer = formation.list_permissions(Resource={"Database": {"Name": name}})
        grants = answer["PrincipalResourcePermissions"]
        return [item["Principal"]["DataLakePrincipalIdentifier"] for item in grants]

    stacks.deploy("open", template(database("open")))
    assert principals("open") == ["IAM_ALLOWED_PRINCIPALS"]

    no_defaults = {"CreateDatabaseDefaultPermissions": [], "CreateTableDefaultPermissions": []}
    stacks.deploy("settings", one("AWS::LakeFormation::DataLakeSettings", **no_defaults))
    stacks.deploy("ignored", template(database("ignored")))
    assert principals("ignored") == ["IAM_ALLOWED_PRINCIPALS"]

    settings = formation.get_data_lake_settings()["DataLakeSettings"]
    formation.put_data_lake_settings(DataLakeSettings={**settings, **no_defaults})
    stacks.deploy("closed", template(database("closed")))
    assert principals("closed") == []
    formation.put_data_lake_settings(DataLakeSettings=settings)


_ANSWERING = """
import json, urllib.request

def answer(event, status, name, **data):
    keys = ("StackId", "RequestId", "LogicalResourceId")
    body = {key: event[key] for key in keys}
    body |= {"Status": status, "Reason": "because", "PhysicalResourceId": name, "Data": data}
    put = urllib.request.Request(event["ResponseURL"], json.dumps(body).encode(), method="PUT")
    urllib.request.urlopen(put)

def handler(event, context):
"""
# Its physical id is its property `Name`; it records its requests in S3.
_NAMED = (
    "import boto3\n"
    + _ANSWERING
    + """
    name, kind = event["ResourceProperties"]["Name"], event["RequestType"]
    s3 = boto3.client("s3")
    number = s3.list_objects_v2(Bucket="notes")["KeyCount"]
    line = [kind, event.get("PhysicalResourceId"), name]
    s3.put_object(Bucket="notes", Key=f"{number:04}", Body=json.dumps(line))
    status = "FAILED" if name == "bad" and kind != "Delete" else "SUCCESS"
    answer(event, status, event["PhysicalResourceId"] if kind == "Delete" else name,
           Flag=str(type(event["ResourceProperties"]["Flag"])))
"""
)


def custom(name: str, **more: Any) -> Template:
    """A function, and a custom resource that is what it answers."""
    function = {
        "FunctionName": "it", "Runtime": "python3.12", "Handler": "it.handler", "Role": READER,
        "Code": {"S3Bucket": "code", "S3Key": "code.zip"}, "Timeout": 30,
    }  # fmt: skip
    properties = {"ServiceToken": {"Fn::GetAtt": ["Function", "Arn"]}, "Name": name, "Flag": True}
    return template(
        role("calls"),
        resource("Function", "AWS::Lambda::Function", function | more),
        resource("Named", "Custom::Named", properties),
        Outputs={"Id": output({"Ref": "Named"}), "Flag": output({"Fn::GetAtt": ["Named", "Flag"]})},
    )


def put_code(stacks: Stacks, text: str) -> None:
    s3, file = stacks.emulator.client("s3"), io.BytesIO()
    for name in ("notes", "code"):
        s3.create_bucket(Bucket=name)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("it.py", text)
    s3.put_object(Bucket="code", Key="code.zip", Body=file.getvalue())


def notes(stacks: Stacks) -> list[list[str | None]]:
    """Reads the function's requests, and forgets them."""
    s3, lines = stacks.emulator.client("s3"), []
    for item in s3.list_objects_v2(Bucket="notes").get("Contents", ()):
        place = {"Bucket": "notes", "Key": item["Key"]}
        lines.append(json.loads(s3.get_object(**place)["Body"].read()))
        s3.delete_object(**place)
    return lines


def test_a_custom_resource_is_what_its_function_answers(stacks: Stacks) -> None:
    put_code(stacks, _NAMED)
    assert stacks.deploy("bad", custom("bad")) == "ROLLBACK_COMPLETE"
    assert notes(stacks) == [["Create", None, "bad"], ["Delete", "bad", "bad"]]
    stacks.delete("bad")

    assert stacks.deploy("named", custom("one")) == "CREATE_COMPLETE"
    # Every property that is not a string is passed as one.
    assert stacks.outputs("named") == {"Id": "one", "Flag": "<class 'str'>"}
    assert stacks.deploy("named", custom("bad")) == "UPDATE_ROLLBACK_COMPLETE"
    reason = "Received response status [FAILED] from custom resource. because"
    assert reason in stacks.failure("named")
    # A failed update asks for the old state.
    assert notes(stacks)[1:] == [["Update", "one", "bad"], ["Update", "one", "one"]]
    other = custom("one")
    other["Resources"]["Named"]["Properties"]["ServiceToken"] = f"{REGION}:function:other"
    assert stacks.deploy("named", other) == "UPDATE_ROLLBACK_COMPLETE"
    assert "Modifying service token is not allowed" in stacks.failure("named")
    notes(stacks)
    assert stacks.deploy("named", custom("two")) == "UPDATE_COMPLETE"
    assert stacks.delete("named") == "DELETE_COMPLETE"
    # Another name is another resource: the old one is deleted after the update.
    assert notes(stacks) == [
        ["Update", "one", "two"], ["Delete", "one", "one"], ["Delete", "two", "two"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (f"{_ANSWERING}    pass", "the function ended without an error"),
        (f"{_ANSWERING}    raise KeyError('x')", "KeyError: 'x'"),
        (f"{_ANSWERING}    import time; time.sleep(60)", "Task timed out after 1 seconds"),
        ("import no_such_package", "No module named 'no_such_package'"),
        (f"{_ANSWERING}    answer(event, 'SUCCESS', '')", "PhysicalResourceId is missing or empty"),
    ],
)
def test_a_function_that_does_not_answer_fails_the_stack_and_is_quoted(
    stacks: Stacks, code: str, reason: str
) -> None:
    put_code(stacks, code)
    more = {"Timeout": 1} if "sleep" in code else {}
    assert stacks.deploy("silent", custom("one", **more)) == "ROLLBACK_COMPLETE"
    assert reason in stacks.failure("silent")
    stacks.delete("silent")


TEMPLATE = {"Name": "t", "Tags": [{"Key": "a"}, {"Key": "b"}], "Columns": ["x", "y"], "On": False}


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("", {}),
        ("", {"Arn": "of the service"}),
        ("", {"Tags": [{"Key": "b", "Value": ""}, {"Key": "a"}]}),
        ("/Name", {"Name": "u"}),
        ("/On", {"On": None}),
        ("/Columns/0", {"Columns": ["y", "x"]}),
        ("/Columns", {"Columns": ["x", "y", "z"]}),
        ("/Tags", {"Tags": [{"Key": "a"}, {"Key": "c"}]}),
        ("/Tags", {"Tags": []}),
    ],
)
def test_another_value_or_none_is_a_difference(path: str, change: Any) -> None:
    """A service may say more, and in its own order."""
    assert next((t.split(":")[0] for t in differences(TEMPLATE, TEMPLATE | change)), "") == path
    rules = {"Rules": [{"Port": 1, "Text": "one"}, {"Port": 2}], "Name": "t"}
    assert without(rules, ["Rules", "*", "Text"]) == {**rules, "Rules": [{"Port": 1}, {"Port": 2}]}
