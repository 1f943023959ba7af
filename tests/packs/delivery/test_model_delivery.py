"""From an approval in an environment to the build in the tools' account: who may do what."""

import json

import pytest
from moto.events.models import EventPattern

from sashiko.account.access.policy_evaluation import allows, denies, statements
from sashiko.account.names import bootstrap_role_arn
from tests.infra.delivery import boundary_document, tools_of
from tests.infra.sample_events import package_changed
from tests.infra.variants import (
    as_list,
    complete_request,
    named,
    only,
    principals_of,
    resources,
    settings_of,
    some,
    templates_of,
)
from tests.packs.delivery.model_tools import DEV, TOOLS, VARIANT, tools_template

BUS = f"arn:aws:events:us-east-1:{TOOLS}:event-bus/sashiko-delivery-approvals"
DEPLOYER = "sashiko-dev-endpoint-deployer"
BUILD = f"arn:aws:iam::{TOOLS}:role/sashiko-delivery-models"


@pytest.fixture(scope="module")
def tools():
    return tools_template("github")


@pytest.fixture(scope="module")
def pipeline():
    return templates_of(VARIANT)["Pipeline"]


def _rules(template):
    return named(template, "AWS::Events::Rule", "Name")


def _matches(rule, event):
    return EventPattern.load(json.dumps(rule["EventPattern"])).matches_event(event)


def _only(template, kind):
    (logical,) = some(template, kind)
    return logical


def _role(template, name):
    return named(template, "AWS::IAM::Role", "RoleName")[name]


def test_an_environment_without_a_pipeline_of_its_own_hands_nothing_over():
    assert "sashiko-dev-model-delivery" not in _rules(templates_of("dev")["Pipeline"])
    trust = _role(templates_of("dev")["Identity"], DEPLOYER)["AssumeRolePolicyDocument"]
    assert BUILD not in json.dumps(trust)


def test_an_approval_goes_to_the_tools_bus_and_is_kept_where_it_cannot(pipeline):
    rule = _rules(pipeline)["sashiko-dev-model-delivery"]
    (target,) = rule["Targets"]
    assert target["Arn"] == BUS
    assert target["RoleArn"] == DEV.role_arn("event-router")
    (queue,) = resources(pipeline, "AWS::SQS::Queue")
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": [queue, "Arn"]}}
    assert _matches(rule, package_changed("Approved"))


@pytest.mark.parametrize(
    "event",
    [
        package_changed("Rejected"),
        package_changed("PendingManualApproval"),
        package_changed("Approved", status="InProgress"),
        package_changed("Approved", group="sashiko-prod-complaint-triage"),
        package_changed("Approved") | {"account": "999999999999"},
    ],
    ids=["rejected", "pending", "in-progress", "group", "account"],
)
def test_nothing_else_starts_a_delivery(pipeline, tools, event):
    assert not _matches(_rules(pipeline)["sashiko-dev-model-delivery"], event)
    assert not _matches(_rules(tools)["sashiko-delivery-models-dev"], event)


def test_each_environments_approval_starts_the_build_for_it(tools):
    rules = _rules(tools)
    prod = package_changed("Approved", group="sashiko-prod-complaint-triage")
    prod["account"] = "444455556666"
    for name, event in (("dev", package_changed("Approved")), ("prod", prod)):
        by_event, daily = (rules[f"sashiko-delivery-models-{name}{end}"] for end in ("", "-daily"))
        assert [n for n, r in rules.items() if "EventPattern" in r and _matches(r, event)] == [
            f"sashiko-delivery-models-{name}"
        ]
        assert by_event["EventBusName"] == "sashiko-delivery-approvals"
        assert "EventBusName" not in daily  # a schedule is of the default bus alone
        assert by_event["Targets"] == daily["Targets"]
        (target,) = by_event["Targets"]
        assert {
            item["name"]: item["value"]
            for item in json.loads(target["Input"])["environmentVariablesOverride"]
        } == {
            "ENVIRONMENT": name,
            "ROLE": settings_of(VARIANT if name == "dev" else "prod").role_arn("endpoint-deployer"),
        }


def test_the_bus_takes_approvals_of_the_environments_routers_alone(tools):
    policy = statements(only(tools, "AWS::Events::EventBus")["Policy"])

    def may(role, account, **context):
        request = complete_request(
            "events:PutEvents",
            BUS,
            {
                "aws:principalarn": role,
                "events:source": "aws.sagemaker",
                "events:detail-type": "SageMaker Model Package State Change",
                **context,
            },
        )
        principal = f"arn:aws:iam::{account}:root"
        return allows([item for item in policy if item.is_for(principal)], request)

    router = DEV.role_arn("event-router")
    assert may(router, DEV.account)
    assert not may(DEV.role_arn("deployer"), DEV.account)
    assert not may(router.replace(DEV.account, "999999999999"), "999999999999")
    assert not may(router, DEV.account, **{"events:source": "acme"})
    assert not may(router, DEV.account, **{"events:detail-type": "Object Created"})


def test_the_build_may_push_read_versions_and_nothing_else(tools):
    role = _role(tools, "sashiko-delivery-models")
    (policy,) = role["Policies"]
    allowed = {
        action: item["Resource"]
        for item in policy["PolicyDocument"]["Statement"]
        for action in as_list(item["Action"])
    }
    connection = tools_of().delivery.source.connection
    registries = [stage.role_arn("endpoint-deployer") for stage in tools_of().stages]
    assert allowed.pop("sns:Publish") == {"Ref": _only(tools, "AWS::SNS::Topic")}
    key = {"Fn::GetAtt": [_only(tools, "AWS::KMS::Key"), "Arn"]}
    assert allowed.pop("kms:Decrypt") == allowed.pop("kms:GenerateDataKey") == key
    assert allowed == {
        "logs:CreateLogStream": allowed["logs:PutLogEvents"],
        "logs:PutLogEvents": f"arn:aws:logs:us-east-1:{TOOLS}:log-group:/sashiko-delivery/models:*",
        "codeconnections:GetConnection": connection,
        "codeconnections:GetConnectionToken": connection,
        "codeconnections:UseConnection": connection,
        "sts:AssumeRole": registries,
    }


def test_the_tools_boundary_lets_the_build_alone_push_and_read_registries():
    """Whatever a merged change lets the policies of the pipeline's roles say."""
    policy = statements(boundary_document())
    roles = f"arn:aws:iam::{TOOLS}:role/sashiko-delivery"

    def within(role, action, resource):
        request = complete_request(
            action, resource, {"aws:principalarn": role, "aws:requestedregion": "us-east-1"}
        )
        return allows(policy, request) and not denies(policy, request)

    connection = tools_of().delivery.source.connection
    for stage in tools_of().stages:
        reads = stage.role_arn("endpoint-deployer")
        assert within(BUILD, "sts:AssumeRole", reads)
        assert not within(BUILD, "sts:AssumeRole", stage.role_arn("registrar"))
        assert not within(BUILD, "sts:AssumeRole", bootstrap_role_arn(stage, "deploy"))
        assert not within(f"{roles}-test", "sts:AssumeRole", reads)
        assert not within(f"{roles}-{stage.environment}-deploy", "sts:AssumeRole", reads)
    assert within(BUILD, "codeconnections:GetConnectionToken", connection)
    assert not within(f"{roles}-test", "codeconnections:GetConnectionToken", connection)


def test_the_environment_trusts_the_build_with_its_registry_alone():
    templates = templates_of(VARIANT)
    trust = _role(templates["Identity"], DEPLOYER)["AssumeRolePolicyDocument"]["Statement"]
    (build,) = (item for item in trust if TOOLS in json.dumps(item))
    assert build["Action"] == "sts:AssumeRole"
    assert build["Principal"] == {"AWS": f"arn:aws:iam::{TOOLS}:root"}
    assert build["Condition"] == {"ArnEquals": {"aws:PrincipalArn": BUILD}}
    roles = named(templates["Identity"], "AWS::IAM::Role", "RoleName")
    assert TOOLS not in json.dumps([role for name, role in roles.items() if name != DEPLOYER])


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("sagemaker:ListModelPackages", "model-package-group/sashiko-dev-complaint-triage", {}),
        ("sagemaker:DescribeModelPackage", "model-package/sashiko-dev-complaint-triage/3", {}),
        ("sagemaker:DescribeEndpoint", "endpoint/sashiko-dev-complaint-triage", {}),
        ("s3:GetObject", "models/sashiko-dev-complaint-triage/0123456789abcdef/model.tar.gz", {}),
        (
            "kms:Verify",
            "key/0123",
            {
                "kms:messagetype": "DIGEST",
                "kms:signingalgorithm": "ECDSA_SHA_256",
                "kms:requestalias": "alias/sashiko-dev-signing",
            },
        ),
        (
            "kms:Decrypt",
            "key/0123",
            {
                "kms:viaservice": "s3.us-east-1.amazonaws.com",
                "kms:encryptioncontext:aws:s3:arn": "arn:aws:s3:::sashiko-dev-artifacts-"
                "111122223333-us-east-1",
            },
        ),
        ("application-autoscaling:DescribeScalableTargets", "*", {}),
    ],
)
def test_what_the_check_of_a_version_calls_is_allowed(action, resource, context):
    service = action.partition(":")[0]
    places = {
        "s3": "arn:aws:s3:::sashiko-dev-artifacts-111122223333-us-east-1/",
        "application-autoscaling": "",
    }
    arn = places.get(service, f"arn:aws:{service}:us-east-1:111122223333:") + resource
    assert principals_of(VARIANT)["endpoint-deployer"].may(action, arn, context)
