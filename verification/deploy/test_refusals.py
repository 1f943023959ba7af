"""What AWS refuses is refused, and the stacks that no life cycle deploys come, change and go."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sashiko.account.names import key_alias
from tests.infra.variants import deployment_of, github_template, new_app, settings_of
from verification.deploy.assembly import bootstrap, written
from verification.deploy.deployed import deployed
from verification.deploy.inventory import inventory
from verification.deploy.process import REGION, Emulator, running
from verification.deploy.stacks import (
    ACCOUNT,
    COLUMN,
    DATABASE,
    NO_POLICY,
    READER,
    TABLE,
    Stacks,
    Template,
    database,
    grant,
    one,
    resource,
    role,
    table,
    tags,
    template,
)  # fmt: skip

ROLE = f"arn:aws:iam::{ACCOUNT}:role/some-role"
ISSUER = "token.actions.githubusercontent.com"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{ISSUER}"


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


def rule(*services: str, **change: Any) -> Template:
    """A rule that starts a machine, by one role that these services may assume."""
    own = {"RoleName": "some-role", "AssumeRolePolicyDocument": trust_in(*services)}
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
    source = action("source", "Source", "CodeStarSourceConnection", Namespace="Source",
                    OutputArtifacts=[{"Name": "Source"}])  # fmt: skip
    build = action("build", "Build", "CodeBuild", InputArtifacts=[{"Name": "Source"}])
    properties: Any = {
        "Name": "some", "PipelineType": "V2", "RoleArn": ROLE,
        "ArtifactStore": {"Type": "S3", "Location": "some-artifacts"},
        "Stages": [{"Name": "Source", "Actions": [source]}, {"Name": "Build", "Actions": [build]}],
    }  # fmt: skip
    place = properties
    for key in path[:-1]:
        place = place[key]
    if path:
        place[path[-1]] = value
    own = {"RoleName": "some-role", "AssumeRolePolicyDocument": trust_in("codepipeline")}
    return template(
        resource("Role", "AWS::IAM::Role", own),
        resource("It", "AWS::CodePipeline::Pipeline", properties, DependsOn=["Role"]),
    )


def action(name: str, category: str, provider: str, **more: Any) -> Template:
    kind = {"Category": category, "Owner": "AWS", "Provider": provider, "Version": "1"}
    return {"Name": name, "ActionTypeId": kind, "Configuration": {}, **more}


def trust_in(*services: str) -> Template:
    names = [f"{name}.amazonaws.com" for name in services]
    principal = {"Service": names if len(names) > 1 else names[0]}  # moto reads one as a text
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
    return {**NO_POLICY, "Statement": [statement]}


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


def _endpoints(names: tuple[str, ...], cidrs: tuple[str, ...]) -> Template:
    vpc = {"VpcId": {"Ref": "Vpc"}}
    subnets = {f"Subnet{n}": {"CidrBlock": one, **vpc} for n, one in enumerate(cidrs)}
    door = {"ServiceName": f"com.amazonaws.{REGION}.sts", "PrivateDnsEnabled": True, **vpc,
            "SubnetIds": [{"Ref": key} for key in subnets]}  # fmt: skip
    return template(
        resource("Vpc", "AWS::EC2::VPC", {"CidrBlock": "10.0.0.0/16"}),
        *(resource(name, "AWS::EC2::Subnet", {"AvailabilityZone": f"{REGION}a", **subnet})
          for name, subnet in subnets.items()),
        *(resource(name, "AWS::EC2::VPCEndpoint", door | {"VpcEndpointType": "Interface"})
          for name in names),
    )  # fmt: skip


_NO_GROUP = {"CloudWatchLogsLogGroup": {
    "LogGroupArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/none:*"}}  # fmt: skip
_APP = {"Name": "some-app", "ArtifactStoreUri": "s3://some/x",
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/none"}  # fmt: skip
_JOB = {"Role": "any", "Command": {"Name": "glueetl"}, "WorkerType": "G.3X"}
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
    # EC2.
    "two endpoints of a service": (
        _endpoints(("One", "Two"), ("10.0.0.0/24",)), "conflicting DNS domain"),
    "two subnets of a zone": (
        _endpoints(("One",), ("10.0.0.0/24", "10.0.1.0/24")), "DuplicateSubnetsInSameZone"),
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
    "AWS::SSM::Parameter": {"Type": "String", "Value": "any", "Name": "some"},
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
