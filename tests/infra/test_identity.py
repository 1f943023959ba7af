"""The roles: who may assume them, and what none of them may do."""

import fnmatch
import json
from typing import Any

import pytest

from sashiko.settings.environment import Settings
from sashiko_cdk.identity.role_permissions import own_permissions, training_plan_permissions
from sashiko_cdk.identity.role_table import role_records
from sashiko_cdk.identity.roles import job_denials
from tests.infra.variants import (
    VARIANTS,
    as_list,
    changed,
    named,
    of_pack,
    resources,
    settings_of,
    synthesized,
)

# Of the core; packs add theirs.
PEOPLE = {
    "approver", "break-glass", "data-scientist", "deployer", "endpoint-deployer", "promoter",
    *of_pack("monitoring", "privacy-officer"),
}  # fmt: skip


@pytest.fixture(scope="session")
def roles(templates):
    """Role -> its properties, in dev."""
    roles = named(templates("dev")["Identity"], "AWS::IAM::Role", "RoleName")
    return {name.removeprefix("sashiko-dev-"): role for name, role in roles.items()}


def _statements(role, effect):
    document = role["Policies"][0]["PolicyDocument"]
    return [item for item in document["Statement"] if item["Effect"] == effect]


def _actions(role, effect):
    return {action for item in _statements(role, effect) for action in as_list(item["Action"])}


def _allowing_to(role, action):
    allowing = _statements(role, "Allow")
    (statement,) = [item for item in allowing if action in as_list(item["Action"])]
    return statement


@pytest.mark.control("boundary")
def test_each_role_has_its_fixed_name_and_the_boundary(roles):
    assert set(roles) == {record.name for record in role_records(settings_of("dev"))}
    boundaries = {role["PermissionsBoundary"] for role in roles.values()}
    assert boundaries == {"arn:aws:iam::111122223333:policy/cdk-sashiko-boundary-us-east-1"}


def test_prod_keeps_roles_and_dev_does_not(templates):
    policies = {
        variant: {
            role["DeletionPolicy"]
            for role in resources(templates(variant)["Identity"], "AWS::IAM::Role").values()
        }
        for variant in ("dev", "prod")
    }
    assert policies == {"dev": {"Delete"}, "prod": {"RetainExceptOnCreate"}}


@pytest.mark.parametrize("role", sorted(PEOPLE))
@pytest.mark.control("IA-2(1)")
def test_people_come_from_the_account_with_a_second_factor(roles, role):
    statements = roles[role]["AssumeRolePolicyDocument"]["Statement"]
    assert {json.dumps(item["Principal"]) for item in statements} == {
        '{"AWS": "arn:aws:iam::111122223333:root"}'
    }
    # A session of Identity Center carries no factor: its roles are known by their reserved path.
    single_sign_on = "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/*"
    # So that its use is reported, STS is called in this region.
    home = {"aws:RequestedRegion": "us-east-1"}
    region = {"StringEquals": home} if role == "break-glass" else {}
    assert [item["Condition"] for item in statements] == [
        {"Bool": {"aws:MultiFactorAuthPresent": "true"}, **region},
        {"ArnLike": {"aws:PrincipalArn": single_sign_on}, **region},
    ]


@pytest.mark.control("AC-5")
def test_nobody_both_registers_and_approves(roles):
    registers, approves = "sagemaker:CreateModelPackage", "sagemaker:UpdateModelPackage"
    may = {name: _actions(role, "Allow") for name, role in roles.items()}
    assert [name for name in may if registers in may[name]] == ["registrar"]
    assert [name for name in may if approves in may[name]] == ["approver"]
    assert approves in _actions(roles["registrar"], "Deny")
    assert registers in _actions(roles["approver"], "Deny")


def test_the_registrar_registers_as_pending_alone(roles):
    pending = {"StringEquals": {"sagemaker:ModelApprovalStatus": "PendingManualApproval"}}
    statement = _allowing_to(roles["registrar"], "sagemaker:CreateModelPackage")
    assert statement["Condition"] == pending


def test_the_pipeline_passes_named_roles_to_sagemaker_alone(roles):
    statement = _allowing_to(roles["pipeline"], "iam:PassRole")
    passed = {arn.rpartition("sashiko-dev-")[2] for arn in statement["Resource"]}
    core = {"bias-evaluator", "broker", "device-check", "registrar", "registry-reader", "training"}
    assert passed == core | of_pack("monitoring", "monitor") | of_pack("batch", "batch")
    assert statement["Condition"] == {
        "StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}
    }


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ("Null", {"sagemaker:VpcSubnets": "true"}),
        ("Null", {"sagemaker:VpcSecurityGroupIds": "true"}),
        ("Null", {"sagemaker:VolumeKmsKey": "true", "sagemaker:VolumeKmsKeyArn": "true"}),
        ("Null", {"sagemaker:OutputKmsKey": "true", "sagemaker:OutputKmsKeyArn": "true"}),
        ("Null", {"sagemaker:InterContainerTrafficEncryption": "true"}),
        ("Bool", {"sagemaker:InterContainerTrafficEncryption": "false"}),
        ("Null", {"sagemaker:MaxRuntimeInSeconds": "true"}),
        ("NumericGreaterThan", {"sagemaker:MaxRuntimeInSeconds": "14400"}),
        (
            "ForAnyValue:StringNotEquals",
            {"sagemaker:InstanceTypes": ["ml.g5.xlarge", "ml.m5.2xlarge", "ml.m5.large"]},
        ),
    ],
)
@pytest.mark.control("SC-28")
def test_the_pipeline_starts_no_job_outside_the_guardrails(roles, condition, value):
    denied = [
        item
        for item in _statements(roles["pipeline"], "Deny")
        if item.get("Condition", {}).get(condition) == value
    ]
    assert len(denied) == 1
    assert set(denied[0]["Action"]) == {
        "sagemaker:CreateProcessingJob",
        "sagemaker:CreateTrainingJob",
    }


def test_the_pipelines_jobs_run_on_each_named_type_and_wait_as_long_as_is_set():
    dev = settings_of("dev")

    def denial(settings: Settings, sid: str) -> dict[str, Any]:
        statements = [one.to_statement_json() for one in job_denials(settings, ())]
        (statement,) = [item for item in statements if item["Sid"] == sid]
        return dict(statement["Condition"])

    types = denial(dev, "KnownInstances")["ForAnyValue:StringNotEquals"]["sagemaker:InstanceTypes"]
    assert "ml.m5.4xlarge" not in types
    settings = changed(dev, "jobs.scoring", fallback_instance_types=("ml.m5.4xlarge",))
    condition = denial(settings, "KnownInstances")["ForAnyValue:StringNotEquals"]
    assert condition["sagemaker:InstanceTypes"] == sorted([*types, "ml.m5.4xlarge"])
    period = {"sagemaker:KeepAlivePeriod": "0"}
    assert denial(dev, "KeptAlive") == {"NumericGreaterThan": period}
    settings = changed(dev, "jobs.training", keep_alive=1800)
    assert denial(settings, "KeptAlive")["NumericGreaterThan"] == dict.fromkeys(period, "1800")


def test_the_pipeline_uses_the_training_plan_that_is_named_and_no_other():
    dev = settings_of("dev")
    assert training_plan_permissions(dev) == []
    plan = "arn:aws:sagemaker:us-east-1:111122223333:training-plan/spring"
    settings = changed(dev, "jobs.training", training_plan=plan)
    statements = [
        item.statement.to_statement_json()
        for item in own_permissions(settings, "pipeline", targets=["cpu"])
    ]
    (allowed,) = [item for item in statements if "training-plan" in str(item["Resource"])]
    assert as_list(allowed["Action"]) == ["sagemaker:CreateTrainingJob"]
    reserved = "arn:aws:sagemaker:us-east-1:111122223333:reserved-capacity/*"
    assert set(allowed["Resource"]) == {plan, reserved}


@pytest.mark.parametrize("role", ["training", "registrar", "registry-reader", "pipeline"])
def test_who_needs_no_lake_is_denied_it(roles, role):
    assert {"athena:*", "lakeformation:GetDataAccess"} <= _actions(roles[role], "Deny")


def _closed(templates, variant, role):
    roles = named(templates(variant)["Identity"], "AWS::IAM::Role", "RoleName")
    return {
        arn.removeprefix("arn:aws:s3:::sashiko-dev-").partition("-")[0]
        for item in _statements(roles[f"sashiko-dev-{role}"], "Deny")
        if "s3:GetObject" in as_list(item["Action"])
        for arn in as_list(item["Resource"])
    }


def test_nobody_reads_the_lakes_objects_past_lake_formation(templates):
    assert _closed(templates, "dev", "broker") == {"raw", "curated"}
    assert _closed(templates, "dev", "training") == {"raw", "curated"}
    assert _closed(templates, "dev", "etl") == set()
    # Without Lake Formation the broker reads what Athena reads.
    assert _closed(templates, "iam_only", "broker") == {"raw"}
    assert _closed(templates, "iam_only", "training") == {"raw", "curated"}


@pytest.fixture(scope="session")
def boundary():
    """The policy that caps the roles, as `make bootstrap` makes it."""
    template = json.loads((synthesized("dev") / "bootstrap/Bootstrap.template.json").read_text())
    policies = named(template, "AWS::IAM::ManagedPolicy", "ManagedPolicyName")
    (name,) = (name for name in policies if "-boundary-" in name)
    return policies[name]["PolicyDocument"]


def _allowing(templates):
    """The statements that give somebody something, in all variants."""
    for variant in VARIANTS:
        for template in templates(variant).values():
            managed = resources(template, "AWS::IAM::ManagedPolicy").values()
            policies = [policy["Properties"] for policy in managed]
            for role in resources(template, "AWS::IAM::Role").values():
                policies += role["Properties"].get("Policies", [])
            for policy in policies:
                statements = policy["PolicyDocument"]["Statement"]
                yield from (item for item in statements if item["Effect"] == "Allow")


def test_whoever_a_state_machine_acts_as_may_log_before_the_machine_is_made(templates, roles):
    """Step Functions looks at once; the stack of the machines comes after that of the roles."""
    kind = "AWS::StepFunctions::StateMachine"
    for machine in named(templates("dev")["Pipeline"], kind, "RoleArn").values():
        name = machine["RoleArn"].rpartition("sashiko-dev-")[2]
        assert "logs:CreateLogDelivery" in _actions(roles[name], "Allow"), name


@pytest.mark.control("KMS.1", "KMS.2")
def test_nobody_may_decrypt_under_every_key(templates):
    decrypting = [
        item
        for item in _allowing(templates)
        if any(fnmatch.fnmatchcase("kms:Decrypt", action) for action in as_list(item["Action"]))
    ]
    assert decrypting
    artifacts = {
        f"arn:aws:kms:us-east-1:{account}:key/*": f"sashiko-{name}-artifacts-{account}-us-east-1"
        for name, account in (("dev", "111122223333"), ("prod", "444455556666"))
    }
    for item in decrypting:
        bucket = artifacts.get(str(item["Resource"]))
        if bucket:
            # Of another account or stack: its keys' ids are not known there, so S3's context names
            # the key.
            assert item["Condition"] == {
                "StringEquals": {
                    "kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{bucket}",
                    "kms:ViaService": "s3.us-east-1.amazonaws.com",
                }
            }
        else:
            assert "*" not in json.dumps(item["Resource"]), item


@pytest.mark.control("AC-6", "IAM.1")
def test_the_boundary_lets_through_what_the_policies_allow_and_no_other_service(
    templates, boundary
):
    statements = boundary["Statement"]
    (cap,) = [item for item in statements if item["Effect"] == "Allow"]
    allowed = {action for item in _allowing(templates) for action in as_list(item["Action"])}
    capped = {a for a in allowed if not any(fnmatch.fnmatchcase(a, w) for w in cap["Action"])}
    assert not capped, "these have no effect without a line in src/sashiko_cdk/identity/boundary.py"
    for action in ("ec2:RunInstances", "iam:CreateUser", "lambda:CreateFunction"):
        assert not any(fnmatch.fnmatchcase(action, within) for within in cap["Action"])


def test_the_boundary_caps_escalation_grants_and_the_region(boundary):
    statements = boundary["Statement"]
    denied = {item["Sid"]: item for item in statements if item["Effect"] == "Deny"}
    assert {"iam:Attach*", "iam:Create*", "iam:Put*"} <= set(denied["NoEscalation"]["Action"])
    assert "lakeformation:GrantPermissions" in denied["NoGrants"]["Action"]
    assert "cloudtrail:StopLogging" in denied["SafeguardsStay"]["Action"]
    assert denied["StayInRegion"]["Condition"] == {
        "StringNotEquals": {"aws:RequestedRegion": "us-east-1"}
    }


def test_inline_policies_are_within_awss_limit(roles):
    assert all(len(json.dumps(role["Policies"])) < 10_240 for role in roles.values())


def test_who_deploys_may_stay_as_long_as_the_first_deploy_takes(roles):
    """Four images, each built for 50 minutes at most; an hour is what a role has without a word."""
    durations = {name: role.get("MaxSessionDuration", 3600) for name, role in roles.items()}
    assert durations.pop("deployer") >= 4 * 50 * 60
    assert set(durations.values()) == {3600}
