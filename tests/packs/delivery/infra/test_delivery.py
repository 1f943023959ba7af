"""The pipeline in the tools' account: what runs where, who decides, and whom a role can reach."""

import json
import os
import sys
from dataclasses import replace
from importlib.util import find_spec

import jmespath
import pytest
from moto.events.models import EventPattern
from typer.testing import CliRunner

from sashiko.account.access.policy_evaluation import allows, denies, statements
from sashiko.account.names import bootstrap_role_arn
from sashiko.cli import app
from sashiko_packs.delivery.constructs.parts import is_approved
from sashiko_packs.delivery.pack import PACK
from tests.infra.delivery import (
    boundary_document,
    delivery_folder,
    delivery_template,
    tools_of,
    tools_template,
    write_stages,
)
from tests.infra.sample_events import package_changed
from tests.infra.test_lint import _findings
from tests.infra.variants import (
    as_list,
    complete_request,
    named,
    only,
    output_of,
    principals_of,
    resources,
    settings_of,
    some,
    templates_of,
)
from tests.packs.delivery.golden import IDS, golden
from tests.project_root import REPOSITORY
from tests.unit.commands.deploy_tools import import_with_the_lock

PLACES = {
    "dev": "111122223333",
    "delivery": "777788889999",
    "staging": "222233334444",
    "prod": "444455556666",
}
BOUNDARY = "arn:aws:iam::777788889999:policy/cdk-sashiko-boundary-us-east-1"
MODELS = "sashiko-delivery-models"  # deploys nothing: see below


@pytest.fixture(scope="module")
def template():
    return delivery_template()


@pytest.fixture(scope="module")
def stages(template):
    pipeline = only(template, "AWS::CodePipeline::Pipeline")
    assert pipeline["PipelineType"] == "V2"
    return {stage["Name"]: stage for stage in pipeline["Stages"]}


@pytest.fixture(scope="module")
def roles(template):
    return named(template, "AWS::IAM::Role", "RoleName")


def _projects(template):
    return named(template, "AWS::CodeBuild::Project", "Name")


def _request(action, role, resource="*", **context):
    principal = f"arn:aws:iam::777788889999:role/sashiko-delivery-{role}"
    always = {"aws:principalarn": principal, "aws:requestedregion": "us-east-1"}
    return complete_request(action, resource, always | context)


def test_a_merge_reaches_dev_and_a_person_allows_all_that_follows(stages):
    """The pipeline's own update too, and in each execution: no output of a build decides it."""
    after = ["difference", "approval", "deploy"]
    approved = [f"{place}-{part}" for place in ("delivery", "staging", "prod") for part in after]
    assert list(stages) == ["Source", "Build", "dev-difference", "dev-deploy", *approved]
    assert {action["Name"] for action in stages["Build"]["Actions"]} == {"test", "synth"}
    for name, stage in stages.items():
        assert stage.keys() == {"Name", "Actions"}  # without a condition that could skip it
        if name.endswith("-approval"):
            (approval,) = stage["Actions"]
            assert approval["ActionTypeId"]["Category"] == "Approval"
            # What the person is shown is CodePipeline's, and no build's.
            assert "#{Source.CommitId}" in approval["Configuration"]["CustomData"]
            assert approval["Configuration"]["CustomData"].count("#{") == 1


@pytest.mark.parametrize(("tier", "approved"), [("dev", False), ("prod", True)])
def test_a_first_stage_of_tier_prod_is_approved_as_well(tier, approved):
    tools = tools_of()
    first = tools.stages[0].model_copy(update={"tier": tier})
    assert is_approved(replace(tools, stages=(first, *tools.stages[1:])), first) is approved


def test_one_synth_is_what_every_account_gets(stages):
    actions = [action for stage in stages.values() for action in stage["Actions"]]
    (synth,) = [a for a in actions if {"Name": "Synth"} in a.get("OutputArtifacts", [])]
    assert synth["Name"] == "synth"
    later = [a for a in actions if a["Name"].endswith(("-difference", "-deploy"))]
    assert len(later) == 2 * len(PLACES)
    for action in later:
        assert action["InputArtifacts"] == [{"Name": "Synth"}]
        (digest,) = json.loads(action["Configuration"]["EnvironmentVariables"])
        assert (digest["name"], digest["value"]) == ("ASSEMBLY", "#{Synth.ASSEMBLY}")


def test_synth_is_that_of_the_environments_own_command(template):
    """So the templates are those of `make synth ENV=...`; test_synth.py compares their bytes."""
    spec = json.loads(_projects(template)["sashiko-delivery-synth"]["Source"]["BuildSpec"])
    commands = spec["phases"]["build"]["commands"]
    assert [item for item in commands if item.startswith("make ")] == [
        f'make synth ENV={name} ARGS="--output cdk.out/{name}"'
        for name in ("delivery", "dev", "staging", "prod")
    ]


def test_each_role_has_the_boundary(roles):
    assert {role["PermissionsBoundary"] for role in roles.values()} == {BOUNDARY}


def test_the_boundary_parts_the_environments_whatever_a_policy_says():
    """A merge may change the pipeline's policies: not whom a role can reach."""
    boundary = statements(boundary_document())

    def reaches(role, account, part="deploy"):
        arn = f"arn:aws:iam::{account}:role/cdk-sashiko-{part}-role-{account}-us-east-1"
        request = _request("sts:AssumeRole", role, arn)
        return allows(boundary, request) and not denies(boundary, request)

    for place, account in PLACES.items():
        others = set(PLACES.values()) - {account}
        assert reaches(f"{place}-deploy", account)
        assert not any(reaches(f"{place}-deploy", other) for other in others)
        assert not reaches("test", account) and not reaches("synth", account)
        assert not reaches("pipeline", account)
        assert not reaches(f"{place}-deploy", account, part="cfn-exec")


@pytest.mark.parametrize("action", ["StartBuild", "StartBuildBatch"])
@pytest.mark.parametrize(
    "member", ["source.buildspec", "environment.image", "environment.privilegedMode", "serviceRole"]
)
def test_no_role_starts_a_build_with_other_commands_than_its_project_has(action, member):
    """Such as `curl | bash` by the role that deploys prod: the boundary is not a deploy's."""
    boundary = statements(boundary_document())
    for role in ("pipeline", "approvals", "models"):
        plain = _request(f"codebuild:{action}", role)
        overridden = _request(f"codebuild:{action}", role, **{f"codebuild:{member.lower()}": "x"})
        assert not denies(boundary, plain)
        assert denies(boundary, overridden)
        assert denies(boundary, _request("codebuild:RetryBuild", role))


def test_what_reads_the_repository_cannot_push(roles):
    boundary = statements(boundary_document())
    for name, role in roles.items():
        short = name.removeprefix("sashiko-delivery-")
        writes = {"codeconnections:providerpermissionsrequired": "read_write"}
        use = _request("codeconnections:UseConnection", short, **writes)
        assert denies(boundary, use) is (name != MODELS)
        reads = {"codeconnections:providerpermissionsrequired": "read_only"}
        assert not denies(boundary, _request(use.action, short, **reads))
        (policy,) = role["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement["Action"] == "codeconnections:UseConnection" and name != MODELS:
                (used,) = statement["Condition"].values()
                assert used["codeconnections:ProviderPermissionsRequired"] == "read_only"


def test_caches_and_artifacts_are_not_shared_upwards(template, roles):
    """What a test of a commit caches is not what a deploy installs."""
    projects = _projects(template)
    bucket = "arn:aws:s3:::sashiko-delivery-artifacts-777788889999-us-east-1"
    assert "Cache" not in projects.pop(MODELS)
    for name, project in projects.items():
        place = project["Cache"]["Location"]
        assert place.endswith(f"/cache/{name.removeprefix('sashiko-delivery-')}")
        (policy,) = roles[name]["Policies"]
        objects = [
            arn
            for statement in policy["PolicyDocument"]["Statement"]
            if "s3:PutObject" in statement["Action"]
            for arn in as_list(statement["Resource"])
        ]
        own = f"{bucket}/cache/{name.removeprefix('sashiko-delivery-')}/*"
        artifacts = [f"{bucket}/sashiko-delivery*"] * name.endswith(("-synth", "-difference"))
        assert objects == [*artifacts, own]
    assert len({project["Cache"]["Location"] for project in projects.values()}) == len(projects)


def test_builds_are_unprivileged_logged_and_encrypted(template):
    groups = named(template, "AWS::Logs::LogGroup", "LogGroupName")
    for project in _projects(template).values():
        assert project["Environment"]["PrivilegedMode"] is False
        assert project["EncryptionKey"]
    for group in groups.values():
        assert group["RetentionInDays"] == 365 and group["KmsKeyId"]
    assert len(groups) == len(_projects(template))


def test_the_template_is_clean():
    assert _findings(delivery_folder() / "Delivery.template.json") == []


def test_the_bootstrap_of_a_stage_trusts_the_tools_account_alone():
    from sashiko_cdk.bootstrap.policies import bootstrap_options

    options = bootstrap_options(settings_of("dev"), tools=tools_of())
    assert [option for option in options if "trust" in option] == [
        "--trust=777788889999",
        "--trust-for-lookup=777788889999",
    ]
    assert not [option for option in bootstrap_options(settings_of("dev")) if "trust" in option]


def test_resources_that_would_stay_are_none(template):
    kept = [
        name
        for name, item in template["Resources"].items()
        if item.get("DeletionPolicy", "Delete").startswith("Retain")
    ]
    assert kept == []
    assert resources(template, "AWS::S3::Bucket")


@pytest.mark.skipif(not find_spec("sashiko_packs.operations"), reason="its pack is off")
def test_what_a_delivery_costs(tmp_path, monkeypatch):
    templates = str(delivery_folder())
    (tmp_path / "config").mkdir()
    write_stages(tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    command = ["env", "cost", "--env", "delivery", "--templates", templates, "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    costs = json.loads(done.stdout)
    # One key, and nothing that runs while nothing is merged.
    assert costs["idle"]["monthly"] == pytest.approx(1.0)
    deploy = costs["loads_and_builds"]["build sashiko-delivery-dev-deploy"]
    # 8 hours of a machine for 0.60 an hour, and 480 minutes of an action for 0.002 each.
    assert deploy["at_most"] == pytest.approx(8 * 0.60 + 480 * 0.002)
    assert any(price["usd"] == 0.002 for price in costs["prices"])


def test_the_bootstrap_of_the_tools_account_covers_its_stack():
    """The policies of `make bootstrap ENV=delivery` follow from the stack that the pack adds."""
    code = (
        "from sashiko_cdk.bootstrap.__main__ import _synthesize, add_tools_stack\n"
        "from tests.infra.delivery import tools_of\n"
        "print(*_synthesize(add_tools_stack, tools_of()).stacks)\n"
    )
    context = json.loads((REPOSITORY / "cdk.json").read_text())["context"]
    variables = {"CDK_CONTEXT_JSON": json.dumps(context), "PYTHONPATH": str(REPOSITORY)}
    done = output_of([sys.executable, "-c", code], cwd=REPOSITORY, env=os.environ | variables)
    assert done.stdout.split() == ["sashiko-delivery-Delivery"], done.stderr


def test_stateful_resources_keep_their_logical_ids() -> None:
    """Else an update deletes the pipeline's bucket, key or roles, and makes others."""
    assert IDS.read_bytes() == golden()[IDS], "run `make golden`, and look at what is gone"


def _failed(stage, category):
    """An action that failed ("Monitoring CodePipeline events", CodePipeline User Guide)."""
    return {
        "version": "0",
        "id": "01234567-EXAMPLE",
        "detail-type": "CodePipeline Action Execution State Change",
        "source": "aws.codepipeline",
        "account": "777788889999",
        "time": "2020-01-31T18:55:43Z",
        "region": "us-east-1",
        "resources": ["arn:aws:codepipeline:us-east-1:777788889999:sashiko-delivery"],
        "detail": {
            "pipeline": "sashiko-delivery",
            "execution-id": "12345678-1234-5678-abcd-12345678abcd",
            "stage": stage,
            "execution-result": {
                "external-execution-url": "https://us-west-2.console.aws.amazon.com/codesuite",
                "external-execution-summary": "Build terminated with state: FAILED",
                "external-execution-id": "sashiko:01234567",
                "error-code": "JobFailed",
            },
            "action": "an-action",
            "state": "FAILED",
            "region": "us-east-1",
            "type": {"owner": "AWS", "category": category, "provider": "Any", "version": "1"},
            "version": 2.0,
            "pipeline-execution-attempt": 1.0,
        },
    }


def _messages(event):
    """What the rules make of an event, and the role that publishes it."""
    for rule in some(delivery_template(), "AWS::Events::Rule").values():
        pattern = rule["Properties"].get("EventPattern")
        if not pattern or not EventPattern.load(json.dumps(pattern)).matches_event(event):
            continue
        (target,) = rule["Properties"]["Targets"]
        transformer = target["InputTransformer"]
        message = json.loads(transformer["InputTemplate"])
        for name, path in transformer["InputPathsMap"].items():
            quoted = ".".join(f'"{key}"' for key in path.removeprefix("$.").split("."))
            message = message.replace(f"<{name}>", jmespath.search(quoted, event))
        yield message


@pytest.mark.parametrize("category", ["Source", "Build", "Approval"])
def test_each_failure_is_one_message_with_the_next_command(category):
    event = _failed("Source" if category == "Source" else "prod-deploy", category)
    (message,) = _messages(event)
    assert "<" not in message
    assert f"{event['detail']['stage']} failed: Build terminated" in message
    command = message.rpartition(": ")[2]
    if category == "Source":
        assert command == (
            "aws codepipeline start-pipeline-execution --name sashiko-delivery --region us-east-1"
        )
        assert "Update pending connection authorizes it again" in message
    else:
        assert command == (
            "aws codepipeline retry-stage-execution --pipeline-name sashiko-delivery "
            "--stage-name prod-deploy --pipeline-execution-id 12345678-1234-5678-abcd-12345678abcd "
            "--retry-mode FAILED_ACTIONS --region us-east-1"
        )

    other = {**event, "detail": {**event["detail"], "pipeline": "another"}}
    succeeded = {**event, "detail": {**event["detail"], "state": "SUCCEEDED"}}
    assert [*_messages(other), *_messages(succeeded)] == []


def test_the_role_of_the_rules_publishes_and_does_nothing_else():
    roles = [role["Properties"] for role in some(delivery_template(), "AWS::IAM::Role").values()]
    (role,) = (role for role in roles if role["RoleName"] == "sashiko-delivery-failures")
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "events.amazonaws.com"}
    assert trust["Condition"]["ArnLike"] == {
        "aws:SourceArn": "arn:aws:events:us-east-1:777788889999:rule/sashiko-delivery-*-failed"
    }
    (policy,) = role["Policies"]
    actions = [item["Action"] for item in policy["PolicyDocument"]["Statement"]]
    assert actions == ["sns:Publish", ["kms:Decrypt", "kms:GenerateDataKey"]]


# A command below `sashiko model` is found by that group's module.
@pytest.mark.parametrize("path", PACK.commands)
def test_what_a_build_runs_needs_nothing_but_the_lock(path: str) -> None:
    group = (
        "sashiko.commands.model_command" if path.startswith("model ") else "sashiko.commands.doctor"
    )
    import_with_the_lock(group, command=PACK.commands[path].partition(":")[0])


VARIANT = "account_off"  # the pipeline of the tools' account deploys it
DEV = settings_of(VARIANT)
TOOLS = "777788889999"
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


@pytest.mark.slow
def test_an_environment_without_a_pipeline_of_its_own_hands_nothing_over():
    assert "sashiko-dev-model-delivery" not in _rules(templates_of("dev")["Pipeline"])
    trust = _role(templates_of("dev")["Identity"], DEPLOYER)["AssumeRolePolicyDocument"]
    assert BUILD not in json.dumps(trust)


@pytest.mark.slow
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
