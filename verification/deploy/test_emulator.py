"""The emulator refuses and ignores what AWS refuses and ignores, where our stacks rely on it."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sashiko.account.names import key_alias
from tests.infra.variants import deployment_of, github_template, new_app, settings_of
from verification.deploy.assembly import bootstrap, written
from verification.deploy.deployed import deployed, differences, without
from verification.deploy.inventory import inventory
from verification.deploy.process import REGION, Emulator, running
from verification.deploy.stacks import (
    ACCOUNT,
    Stacks,
    Template,
    bucket,
    database,
    grant,
    output,
    resource,
    role,
    table,
    template,
)

NO_POLICY = {"Version": "2012-10-17", "Statement": []}
PARAMETER = {"Type": "String", "Value": "any"}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/some-role"
READER = {"Fn::GetAtt": ["Role", "Arn"]}
DATABASE = {"Database": {"CatalogId": ACCOUNT, "Name": {"Ref": "Database"}}}
TABLE = {"CatalogId": ACCOUNT, "DatabaseName": {"Ref": "Database"}, "Name": {"Ref": "Table"}}
COLUMN = {"TableWithColumns": {**TABLE, "ColumnNames": ["a"]}}
ISSUER = "token.actions.githubusercontent.com"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{ISSUER}"


def one(kind: str, **properties: Any) -> Template:
    return template(resource("One", kind, properties))


def lake(*parts: Template) -> Template:
    """A table, a role, a tag, and parts that are about them."""
    tag = {"TagKey": "kind", "TagValues": ["open", "closed"]}
    own = (role("some-reader"), database("some_lake"), table("t", "a"),
           resource("Tag", "AWS::LakeFormation::Tag", tag))  # fmt: skip
    return template(*own, *parts)


def cells(**properties: Any) -> Template:
    members = {
        "TableCatalogId": ACCOUNT, "DatabaseName": {"Ref": "Database"},
        "TableName": {"Ref": "Table"}, "Name": "rows",
        "RowFilter": {"FilterExpression": "a = 'x'"}, **properties,
    }  # fmt: skip
    return lake(resource("Filter", "AWS::LakeFormation::DataCellsFilter", members))


def tags(name: str, target: Template, *pairs: tuple[str, list[str]]) -> Template:
    values = [{"CatalogId": ACCOUNT, "TagKey": key, "TagValues": item} for key, item in pairs]
    properties = {"Resource": target, "LFTags": values}
    return resource(name, "AWS::LakeFormation::TagAssociation", properties, DependsOn="Tag")


def rule(*services: str, **change: Any) -> Template:
    """A rule that starts a machine, by one role that these services may assume."""
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole",
             "Principal": {"Service": [f"{name}.amazonaws.com" for name in services]}}  # fmt: skip
    document = {**NO_POLICY, "Statement": [trust]}
    own = {"RoleName": "some-role", "AssumeRolePolicyDocument": document}
    flow = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})
    logs = {"CloudWatchLogsLogGroup": {"LogGroupArn": {"Fn::GetAtt": ["Group", "Arn"]}}}
    machine = {"StateMachineName": "some-machine", "DefinitionString": flow, "RoleArn": ROLE,
               "LoggingConfiguration": {"Level": "ALL", "Destinations": [logs]}}  # fmt: skip
    target = {"Id": "Machine", "Arn": {"Ref": "Machine"}, "RoleArn": ROLE}
    properties = {"Name": "some-rule", "EventPattern": {"source": ["aws.s3"]}, "Targets": [target]}
    return template(
        resource("Role", "AWS::IAM::Role", own),
        resource("Group", "AWS::Logs::LogGroup", {"LogGroupName": "/aws/vendedlogs/states/some"}),
        resource("Bus", "AWS::Events::EventBus", {"Name": "some-bus"}),
        resource("Machine", "AWS::StepFunctions::StateMachine",
                 machine | change.pop("machine", {}), DependsOn=["Role"]),
        resource("Rule", "AWS::Events::Rule", properties | change, DependsOn=["Role"]),
    )  # fmt: skip


def guardrail(**change: Any) -> Template:
    attacks = {"Type": "PROMPT_ATTACK", "InputStrength": "HIGH", "OutputStrength": "NONE"}
    properties = {
        "Name": "some-rules", "BlockedInputMessaging": "no", "BlockedOutputsMessaging": "no",
        "ContentPolicyConfig": {"FiltersConfig": [attacks | change.pop("attacks", {})]}, **change,
    }  # fmt: skip
    return {key: item for key, item in properties.items() if item}


def pipeline(*path: Any, value: Any = None) -> Template:
    """Two stages that CodePipeline takes, with another value at a path."""
    trust = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": "codepipeline.amazonaws.com"},
    }
    own = {"RoleName": "some-role", "AssumeRolePolicyDocument": {**NO_POLICY, "Statement": [trust]}}

    def action(name: str, category: str, provider: str, **more: Any) -> Template:
        kind = {"Category": category, "Owner": "AWS", "Provider": provider, "Version": "1"}
        return {"Name": name, "ActionTypeId": kind, "Configuration": {}, **more}

    source = action(
        "source",
        "Source",
        "CodeStarSourceConnection",
        Namespace="Source",
        OutputArtifacts=[{"Name": "Source"}],
    )
    build = action("build", "Build", "CodeBuild", InputArtifacts=[{"Name": "Source"}])
    properties: Any = {
        "Name": "some",
        "PipelineType": "V2",
        "RoleArn": ROLE,
        "ArtifactStore": {"Type": "S3", "Location": "some-artifacts"},
        "Stages": [
            {"Name": name, "Actions": [item]}
            for name, item in (("Source", source), ("Build", build))
        ],
    }
    place = properties
    for key in path[:-1]:
        place = place[key]
    if path:
        place[path[-1]] = value
    one_pipeline = resource("It", "AWS::CodePipeline::Pipeline", properties, DependsOn=["Role"])
    return template(resource("Role", "AWS::IAM::Role", own), one_pipeline)  # fmt: skip


def github(change: str = "") -> Template:
    """Dev's own stack of GitHub Actions, or without what IAM asks of it."""
    resources = github_template("serving")["Resources"]
    if change == "provider":
        del resources["Provider"]
    for item in resources.values():
        if change == "provider":
            item.pop("DependsOn", None)
        if change == "sub" and item["Type"] == "AWS::IAM::Role":
            for statement in item["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
                del statement["Condition"]["StringEquals"][f"{ISSUER}:sub"]
    return {"Resources": resources}


_NO_GROUP = {"CloudWatchLogsLogGroup": {
    "LogGroupArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/none:*"}}  # fmt: skip
_APP = {"Name": "some-app", "ArtifactStoreUri": "s3://some/x",
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/none"}  # fmt: skip
_JOB = {"Role": "any", "Command": {"Name": "glueetl"}, "WorkerType": "G.3X"}
_PROFILE = {
    "InferenceProfileName": "some-profile",
    "ModelSource": {"CopyFrom": "arn:aws:bedrock:eu-west-1::foundation-model/amazon.x-v1:0"},
}
_LOCATION = {"DataLocation": {"CatalogId": ACCOUNT, "ResourceArn": "arn:aws:s3:::lake/t"}}
_LOGGING = {"LogFilePrefix": "any/", "TargetObjectKeyFormat": {"SimplePrefix": {}}}
# A stack that fails at its creation -> the reason.
REFUSED: dict[str, tuple[Template, str]] = {
    "an unknown property": (one("AWS::Logs::LogGroup", RetentionDays=7), "RetentionDays"),
    "a value that no enumeration has": (one("AWS::Glue::Job", **_JOB), "G.3X"),
    "a permission of no name": (lake(grant(READER, DATABASE, "READ")), "READ"),
    # A property that the emulator would drop.
    "an open bucket": (
        one("AWS::S3::Bucket", BucketName="some-acl", AccessControl="PublicRead"), "AccessControl"),
    "a format of logs": (
        one("AWS::S3::Bucket", BucketName="some-format", LoggingConfiguration=_LOGGING),
        "TargetObjectKeyFormat"),
    "a work group's state": (one("AWS::Athena::WorkGroup", Name="some", State="DISABLED"), "State"),
    "a disabled key": (one("AWS::KMS::Key", Enabled=False, KeyPolicy=NO_POLICY), "Enabled"),
    "a class of log group": (
        one("AWS::Logs::LogGroup", LogGroupClass="INFREQUENT_ACCESS"), "LogGroupClass"),
    "an app's key": (one("AWS::SageMaker::MlflowApp", **_APP, KmsKeyId="some"), "KmsKeyId"),
    "an app of no role": (one("AWS::SageMaker::MlflowApp", **_APP), "role/none"),
    "an app of no such mode": (
        one("AWS::SageMaker::MlflowApp", **_APP, ModelRegistrationMode="Off"), "'Off'"),
    # Lake Formation.
    "a filter on no column": (cells(ColumnNames=["a", "gone"]), "Column(s) gone not found"),
    "a filter by no column": (
        cells(ColumnNames=["a"],
              RowFilter={"FilterExpression": "a = 'text' AND gone IN (1, 2) OR a IS NOT NULL"}),
        "Column(s) gone not found"),
    "a filter of no columns": (cells(), "either ColumnNames or ColumnWildcard"),
    "a filter of some columns and of all": (
        cells(ColumnNames=["a"], ColumnWildcard={"ExcludedColumnNames": ["a"]}),
        "either ColumnNames or ColumnWildcard"),
    "a location that is not registered": (
        lake(grant(READER, _LOCATION, "DATA_LOCATION_ACCESS")), "lake/t is not registered"),
    "rows into a database": (
        lake(grant(READER, DATABASE, "INSERT")), "INSERT is not valid on a Database"),
    "databases in a table": (
        lake(grant(READER, {"Table": TABLE}, "CREATE_DATABASE")), "not valid on a Table"),
    "a column dropped": (
        lake(grant(READER, COLUMN, "DROP")), "DROP is not valid on a TableWithColumns"),
    "a grant to nobody": (
        lake(grant(f"arn:aws:iam::{ACCOUNT}:role/none", DATABASE, "DESCRIBE")),
        "Invalid principal"),
    "two values of a tag": (
        lake(tags("It", {"Table": TABLE}, ("kind", ["open", "closed"]))), "one value of an LF-Tag"),
    "a tag twice": (
        lake(tags("It", {"Table": TABLE}, ("kind", ["open"]), ("kind", ["closed"]))),
        "one value of an LF-Tag"),
    "a value that the tag lacks": (
        lake(tags("It", {"Table": TABLE}, ("kind", ["secret"]))), "does not exist: kind=secret"),
    # Roles that a service may not assume, and what it does not find.
    "a machine's role": (rule("events"), "states.amazonaws.com is not authorized to assume"),
    "a target's role": (rule("states"), "events.amazonaws.com is not authorized to assume"),
    "a machine's log group": (
        rule("events", "states",
             machine={"LoggingConfiguration": {"Level": "ALL", "Destinations": [_NO_GROUP]}}),
        "log destination not found"),
    "a schedule of another bus": (
        rule("events", "states", EventBusName={"Ref": "Bus"}, ScheduleExpression="rate(1 day)"),
        "only on the default event bus"),
    "anybody at GitHub": (github("sub"), f"{ISSUER}:sub"),
    "a trust in no provider": (github("provider"), PROVIDER),
    # CodePipeline.
    "an input that nobody writes": (
        pipeline("Stages", 1, "Actions", 0, "InputArtifacts", 0, "Name", value="Other"),
        "reads Other, which no earlier stage writes"),
    "a variable that nobody has": (
        pipeline("Stages", 1, "Actions", 0, "Configuration", value={"Project": "#{Later.NAME}"}),
        "takes a variable of Later"),
    "a condition": (
        pipeline("Stages", 1, "BeforeEntry", value={"Conditions": []}), "evaluates no conditions"),
    "two stages of one name": (
        pipeline("Stages", 1, "Name", value="Source"), "two stages have one name"),
    "an artifact's name": (
        pipeline("Stages", 0, "Actions", 0, "OutputArtifacts", 0, "Name", value="a.b"),
        "the artifact's name a.b is not valid"),
    "a pipeline's role": (
        pipeline("RoleArn", value=f"arn:aws:iam::{ACCOUNT}:role/none"), "there is no role"),
    # Bedrock.
    "a strength of answers": (
        one("AWS::Bedrock::Guardrail", **guardrail(attacks={"OutputStrength": "LOW"})),
        "must be NONE"),
    "a guardrail of no rules": (
        one("AWS::Bedrock::Guardrail", **guardrail(ContentPolicyConfig=None)),
        "at least one policy"),
    "another region's model": (
        one("AWS::Bedrock::ApplicationInferenceProfile", **_PROFILE),
        "is no model of this region"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_stack_that_aws_refuses_fails_and_leaves_nothing(stacks: Stacks, case: str) -> None:
    body, reason = REFUSED[case]
    before = inventory(stacks.emulator)
    name = case.replace(" ", "-").replace("'", "")

    assert stacks.deploy(name, body) == "ROLLBACK_COMPLETE"

    assert reason in stacks.failure(name)
    assert inventory(stacks.emulator) == before
    stacks.delete(name)


def _keys(alias: str) -> Template:
    signing = {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY", "KeyPolicy": NO_POLICY}
    target = {"AliasName": "alias/some", "TargetKeyId": {"Fn::GetAtt": [alias, "Arn"]}}
    return template(
        resource("First", "AWS::KMS::Key", signing),
        resource("Second", "AWS::KMS::Key", signing),
        resource("Data", "AWS::KMS::Key", {"KeyPolicy": NO_POLICY}),
        resource("Alias", "AWS::KMS::Alias", target),
    )


def _encryption(mode: str) -> Template:
    modes = {"S3Encryptions": [{"S3EncryptionMode": mode}]}
    return one("AWS::Glue::SecurityConfiguration", Name="some", EncryptionConfiguration=modes)


_COLUMNS = (database("some_columns"), table("t", "a"))
_BAD = resource("Bad", "AWS::Logs::LogGroup", {"RetentionInDays": 8}, DependsOn="Table")
_VPC = {"CidrBlock": "10.0.0.0/16"}


_ALARM = {"AlarmName": "some", "Namespace": "AWS/SQS", "MetricName": "Some", "Statistic": "Maximum",
          "Period": 300, "EvaluationPeriods": 1, "Threshold": 0,
          "ComparisonOperator": "GreaterThanThreshold"}  # fmt: skip
# moto and some of the APIs take a second resource of a name for the first.
NAMED = {
    "AWS::CloudWatch::Alarm": _ALARM,
    "AWS::Events::Rule": {"Name": "some", "EventPattern": {"source": ["aws.s3"]}},
    "AWS::S3::Bucket": {"BucketName": "some-name"},
    "AWS::S3::BucketPolicy": {"Bucket": "there", "PolicyDocument": NO_POLICY},
    "AWS::SQS::Queue": {"QueueName": "some"},
    "AWS::SSM::Parameter": {**PARAMETER, "Name": "some"},
}


@pytest.mark.parametrize("kind", NAMED)
def test_a_name_that_is_taken_fails_the_stack(stacks: Stacks, kind: str) -> None:
    stacks.emulator.client("s3").create_bucket(Bucket="there")
    both = (resource(name, kind, NAMED[kind]) for name in ("First", "Second"))
    assert stacks.deploy("twice", template(*both)) == "ROLLBACK_COMPLETE"
    assert re.search("already ?exists", stacks.failure("twice"), re.IGNORECASE)
    stacks.delete("twice")


def test_the_stacks_that_these_change_are_taken(stacks: Stacks) -> None:
    bodies = (lake(), rule("events", "states"), one("AWS::Bedrock::Guardrail", **guardrail()),
              pipeline())  # fmt: skip
    for body in bodies:
        assert stacks.deploy("taken", body) == "CREATE_COMPLETE", stacks.failure("taken")
        own = [item for item in deployed(stacks.emulator) if item.stack == "taken"]
        assert [text for item in own for text in item.differences()] == []
        assert stacks.delete("taken") == "DELETE_COMPLETE"


# A stack, an update of it that fails -> the reason.
UPDATES: dict[str, tuple[Template, Template, str]] = {
    "what moto lacks": (
        one("AWS::EC2::VPC", **_VPC), one("AWS::EC2::VPC", **_VPC, EnableDnsSupport=False),
        "can't change EnableDnsSupport"),
    "an alias of another key": (_keys("First"), _keys("Data"), "a key of another type or usage"),
    "what has no update, under its name": (_encryption("SSE-S3"), _encryption("DISABLED"),
                                           "AlreadyExists"),
    "a property taken away": (
        one("AWS::Bedrock::Guardrail", **guardrail(Description="some")),
        one("AWS::Bedrock::Guardrail", **guardrail()), "can't take Description away"),
    "a later resource": (
        template(*_COLUMNS), template(_COLUMNS[0], table("t", "a", "b"), _BAD), "RetentionInDays"),
}  # fmt: skip


@pytest.mark.parametrize("case", UPDATES)
def test_an_update_that_fails_leaves_all_as_it_was(stacks: Stacks, case: str) -> None:
    before, after, reason = UPDATES[case]
    name = case.replace(" ", "-").replace(",", "")
    assert stacks.deploy(name, before) == "CREATE_COMPLETE"

    assert stacks.deploy(name, after) == "UPDATE_ROLLBACK_COMPLETE"

    assert reason in stacks.failure(name)
    own = [item for item in deployed(stacks.emulator) if item.stack == name]
    assert [text for item in own for text in item.differences()] == []
    stacks.delete(name)


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
    """A new account's databases are open to everybody: pitfall 4."""
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
        Outputs={
            "Id": output({"Ref": "Named"}),
            "Flag": output({"Fn::GetAtt": ["Named", "Flag"]}),
        },
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


# Stacks that no life cycle deploys.


def test_the_stack_of_github_comes_changes_and_leaves_nothing(stacks: Stacks) -> None:
    iam, body = stacks.emulator.client("iam"), github()
    before = inventory(stacks.emulator)
    assert stacks.deploy("github", body) == "CREATE_COMPLETE"
    provider = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=PROVIDER)
    assert (provider["Url"], provider["ClientIDList"]) == (ISSUER, ["sts.amazonaws.com"])
    second = {"Resources": {"Provider": body["Resources"]["Provider"]}}
    assert stacks.deploy("second", second) == "ROLLBACK_COMPLETE"
    assert "EntityAlreadyExists" in stacks.failure("second")
    stacks.delete("second")

    for item in body["Resources"].values():
        if item["Type"] == "AWS::IAM::Role":
            (statement,) = item["Properties"]["AssumeRolePolicyDocument"]["Statement"]
            statement["Condition"]["StringEquals"][f"{ISSUER}:ref"] = "refs/heads/trunk"
    assert stacks.deploy("github", body) == "UPDATE_COMPLETE"
    role = iam.get_role(RoleName="sashiko-dev-github-deployer")["Role"]
    assert role["AssumeRolePolicyDocument"]["Statement"] == [statement]

    assert stacks.delete("github") == "DELETE_COMPLETE"
    assert inventory(stacks.emulator) == before


BEDROCK = ("Identity", "LakeFormationAccount", "DataLake")
NO_PROMPT = "--require-approval=never"


@pytest.fixture(scope="module")
def bedrock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, Path]]:
    """An account with the stacks that `Bedrock` needs, and the assembly."""
    from infra.stacks.data_lake import DataLake
    from infra.stacks.identity import Identity
    from infra.stacks.lake_formation_account import LakeFormationAccount
    from sashiko_packs.bedrock.constructs import Bedrock

    app, deployment = new_app(), deployment_of(settings_of("serving"))
    identity, account = Identity(app, deployment), LakeFormationAccount(app, deployment)
    lake = DataLake(app, deployment)
    for needed, stack in pairwise(
        (identity, account, lake, Bedrock(app, deployment, artifacts_key_arn=lake.key_arns["ml"]))
    ):
        stack.add_stack_dependency(needed)
    folder = written(app, tmp_path_factory.mktemp("assembly"))
    with running(ACCOUNT, tmp_path_factory.mktemp("home")) as emulator:
        bootstrap(emulator, tmp_path_factory.mktemp("bootstrap"), "serving")
        emulator.cdk("deploy", *BEDROCK, "--exclusively", NO_PROMPT, folder=folder)
        yield emulator, folder


def test_bedrock_is_deployed_as_it_says_and_its_destroy_leaves_nothing(
    bedrock: tuple[Emulator, Path],
) -> None:
    account, folder = bedrock
    api, before = account.client("bedrock"), inventory(account)
    account.cdk("deploy", "Bedrock", "--exclusively", NO_PROMPT, folder=folder)

    own = [item for item in deployed(account) if item.stack == "sashiko-dev-Bedrock"]
    assert {item.type.split("::")[1] for item in own} == {"Bedrock", "IAM", "KMS"}
    assert [text for item in own for text in item.differences()] == []
    outputs = Stacks(account).outputs("sashiko-dev-Bedrock")
    version = api.get_guardrail(
        guardrailIdentifier=outputs["GuardrailId"], guardrailVersion=outputs["GuardrailVersion"]
    )
    assert version["version"] == "1"
    aliases = {item["AliasName"] for item in account.client("kms").list_aliases()["Aliases"]}
    assert key_alias(settings_of("serving"), "bedrock") in aliases

    account.cdk("destroy", "Bedrock", "--exclusively", "--force", folder=folder)

    assert inventory(account) == before
    assert api.list_guardrails()["guardrails"] == []
    assert api.list_inference_profiles()["inferenceProfileSummaries"] == []


def test_a_version_stays_as_it_was_and_its_number_is_not_given_twice(stacks: Stacks) -> None:
    api = stacks.emulator.client("bedrock")

    def body(version: str, **change: Any) -> Template:
        of = {"GuardrailIdentifier": {"Fn::GetAtt": ["Rules", "GuardrailId"]}}
        return template(
            resource("Rules", "AWS::Bedrock::Guardrail", guardrail(**change)),
            resource(version, "AWS::Bedrock::GuardrailVersion", of),
        )

    stacks.deploy("rules", body("First"))
    changed = body("Second", BlockedInputMessaging="not so")
    assert stacks.deploy("rules", changed) == "UPDATE_COMPLETE"
    (draft,) = api.list_guardrails()["guardrails"]
    by_id = {"guardrailIdentifier": draft["id"]}
    versions = {item["version"] for item in api.list_guardrails(**by_id)["guardrails"]}
    assert versions == {"DRAFT", "2"}
    second = api.get_guardrail(**by_id, guardrailVersion="2")
    assert second["blockedInputMessaging"] == "not so"
    assert stacks.delete("rules") == "DELETE_COMPLETE"
