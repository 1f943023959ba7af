"""Whether the execution policy is what a deploy takes: no action less, no action more."""

import fnmatch
import functools
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sashiko.account.access.policy_evaluation import (
    Request,
    Statement,
    allows,
    covers,
    denies,
    statements,
)
from sashiko.account.names import exec_role_arn
from sashiko.account.templates import read_templates
from sashiko.errors import InputError
from sashiko_cdk.bootstrap.execution_policy import PARTS, Limit, merged, pack, resource_types
from tests.infra.delivery import delivery_template, tools_of
from tests.infra.deploy_facts import (
    DEPENDENT,
    HANDLERS,
    NOT_IN_IAM,
    PASSED_TO,
    UNUSED,
    WITHOUT_ARN,
    takes,
)
from tests.infra.deploy_requests import (
    DELIVERY,
    EVERY,
    FILTERED,
    OF_TOOLS,
    RequiredAction,
    required_actions,
    settings,
    templates_in,
    types_of,
)
from tests.infra.variants import (
    ROOT,
    WHOLE,
    assembly_of,
    bootstrapped,
    complete_request,
    deployment_of,
    new_app,
    output_of,
    resources,
    settings_of,
    templates_of,
    write_config,
)
from tests.project_root import IMAGES

Policy = tuple[Statement, ...]
ROLE = "AWS::IAM::Role"


def policies_of(settings: Any, *templates: Any, trust_open: bool = True) -> tuple[Policy, Policy]:
    """What CloudFormation's role is given by `make bootstrap TRUST=open`, and its cap."""
    tools = tools_of() if settings.environment == DELIVERY else None
    template = bootstrapped(settings, *templates, trust_open=trust_open, tools=tools)
    allowed: Policy = ()
    cap: Policy = ()
    for resource in template["Resources"].values():
        document = statements(resource["Properties"]["PolicyDocument"])
        name = resource["Properties"]["ManagedPolicyName"]
        if "-cap-" in name:
            cap += document
        elif "-execution-" in name:
            allowed += document
    return allowed, cap


@functools.cache
def policies(*variants: str) -> tuple[Policy, Policy]:
    """As the bootstrap of an account makes them that has environments like these."""
    return policies_of(settings(variants[0]), *map(templates_in, variants))


def exemption(item: RequiredAction) -> str | None:
    """The pattern of the facts' `unused` that excuses an action, if one does."""
    patterns = (
        pattern
        for group in UNUSED.get(item.kind, [])
        if not item.properties & {*group.get("unless", ())}
        for pattern in group["actions"]
    )
    return next((pattern for pattern in patterns if covers(pattern, item.action)), None)


def needed(variant: str) -> list[RequiredAction]:
    return [
        i for i in required_actions(variant) if i.action not in NOT_IN_IAM and exemption(i) is None
    ]


def denied_actions(items: Iterable[RequiredAction], allowed: Policy, cap: Policy) -> set[str]:
    return {
        f"{item.action} of {item.kind}, such as {item.resource}"
        for item in items
        if not item.requests
        or any(not allows(allowed, one) or denies(cap, one) for one in item.requests)
    }


@pytest.mark.parametrize("variant", EVERY)
def test_cloudformation_may_do_what_each_resource_takes(variant: str) -> None:
    """By the policies that are made of its own templates alone."""
    assert denied_actions(needed(variant), *policies(variant)) == set()


@pytest.mark.parametrize("variant", EVERY)
def test_a_deploy_changes_no_trust_of_any_role_unless_the_bootstrap_lets_it(variant: str) -> None:
    """Nor by deleting the role: the name would be free for one with another trust."""
    allowed, cap = policies_of(settings(variant), templates_in(variant), trust_open=False)
    roles = [f"{role.stack}.{role.logical_id}" for role in templates_in(variant).of_type(ROLE)]
    assert len(roles) > 10
    assert denied_actions(needed(variant), allowed, cap) == {
        f"{action} of {ROLE}, such as {role}"
        for role in roles
        for action in ("iam:DeleteRole", "iam:UpdateAssumeRolePolicy")
    }


def test_every_type_says_what_it_takes() -> None:
    """A new type comes with its facts, one that is gone takes them along."""
    there = set().union(*map(types_of, EVERY))
    assert there == set(HANDLERS) or (there < set(HANDLERS) and not WHOLE)


def test_no_excuse_outlives_its_need() -> None:
    """Each is for what a handler asks and the policy or the cap refuses."""
    exemptions = [(v, i, exemption(i)) for v in EVERY for i in required_actions(v) if exemption(i)]
    used = {(i.kind, pattern) for v, i, pattern in exemptions if denied_actions([i], *policies(v))}
    there = set().union(*map(types_of, EVERY))
    excuses = {(k, p) for k, groups in UNUSED.items() for g in groups for p in g["actions"]}
    assert {(kind, pattern) for kind, pattern in excuses if kind in there} == used


def test_the_facts_say_of_each_action_what_iam_says() -> None:
    every = {action for verbs in HANDLERS.values() for group in verbs.values() for action in group}
    every |= {more for action in every for more in DEPENDENT.get(action, ())}
    assert {action for action in every if takes(action) is None} == NOT_IN_IAM
    assert {action for action in every if takes(action) == ()} == WITHOUT_ARN


@pytest.mark.parametrize("variants", [(FILTERED, "serving"), *zip(OF_TOOLS)])
def test_nothing_is_allowed_that_no_resource_takes(variants: tuple[str, ...]) -> None:
    """Every action and every ARN of every statement is what some resource of ours needs."""
    allowed, _ = policies(*variants)
    unused = {
        (n, word) for n, item in enumerate(allowed) for word in (*item.actions, *item.resources)
    }
    items = [item for variant in variants for item in needed(variant)]
    for request in _distinct(r for item in items for r in item.requests):
        for number, statement in enumerate(allowed):
            if statement.applies(request):
                actions = {
                    p for p in statement.actions if covers(p.lower(), request.action.lower())
                }
                arns = {p for p in statement.resources if covers(p, request.resource)}
                unused -= {(number, word) for word in actions | arns}
    assert {word for _, word in unused} == set()


def _distinct(requests: Iterable[Request]) -> Iterable[Request]:
    return {(r.action, r.resource, tuple(sorted(r.context.items()))): r for r in requests}.values()


@pytest.mark.slow
def test_another_projects_resources_are_out_of_reach() -> None:
    """What has a name, a tag or a boundary is refused; what has none is listed, created, read."""
    from infra.app import add_stacks

    other = settings("serving").model_copy(update={"project": "other"})
    package = str(other.serving.model_package_arn).replace("sashiko-", "other-")
    serving = other.serving.model_copy(update={"model_package_arn": package})
    other = other.model_copy(update={"serving": serving})
    app = new_app()
    add_stacks(app, deployment_of(other))
    assembly = read_templates(other, folder=Path(app.synth().directory))
    allowed, cap = policies_of(other, assembly)
    # SageMaker's own log groups are the account's.
    items = [i for i in needed("serving") if "JobLogs" not in i.resource]
    reachable = {i.action for i in items if not denied_actions([i], allowed, cap)}
    assert {action for action in reachable if not _without_names(action)} == set()


def _without_names(action: str) -> bool:
    return action.startswith(("application-autoscaling:", "ec2:", "lakeformation:")) or action in {
        "bedrock:CreateGuardrail",
        "billing:GetBillingViewData",
        # Application Auto Scaling tries them with no name.
        "cloudwatch:DeleteAlarms",
        "cloudwatch:DescribeAlarms",
        "cloudwatch:PutMetricAlarm",
        "glue:CreateDataQualityRuleset",
        "glue:CreateSecurityConfiguration",
        "glue:DeleteSecurityConfiguration",
        "glue:GetSecurityConfiguration",
        "iam:CreateServiceLinkedRole",
        # Through ECR or SageMaker alone, for their own use.
        "kms:CreateGrant",
        "kms:RetireGrant",
        # Of the bootstrap's bucket, which bears the qualifier and no project.
        "kms:Decrypt",
        "s3:GetObject",
        "s3:GetObjectVersion",
        # Before a tag counts a deploy needs these; they read a key, or have it rotate.
        "kms:DescribeKey",
        "kms:EnableKeyRotation",
        "kms:GetKeyPolicy",
        "kms:GetKeyRotationStatus",
        "kms:ListAliases",
        "kms:ListResourceTags",
        "logs:CreateLogDelivery",
        "logs:DeleteLogDelivery",
        "logs:DescribeIndexPolicies",
        "logs:DescribeLogGroups",
        "logs:DescribeResourcePolicies",
        "route53:AssociateVPCWithHostedZone",
        "ssm:GetParameters",
    }


def test_a_role_is_passed_to_the_service_that_it_trusts_and_to_no_other() -> None:
    kinds = set()
    for variants in (("dev", "serving"), *zip(OF_TOOLS)):
        allowed, _ = policies(*variants)
        items = [item for variant in variants for item in needed(variant)]
        passing = [item for item in items if item.action == "iam:PassRole"]
        kinds |= {item.kind for item in passing}
        for item in passing:
            (request,) = item.requests
            assert PASSED_TO[item.kind] in _trusted(request.resource)
            other = complete_request(
                request.action,
                request.resource,
                {**request.context, "iam:passedtoservice": "ecs-tasks.amazonaws.com"},
            )
            assert not allows(allowed, other)
    # CodePipeline is the tools' account's alone.
    of_tools = set() if OF_TOOLS else {"AWS::CodePipeline::Pipeline"}
    assert kinds == set(PASSED_TO) - of_tools


@pytest.mark.parametrize("variant", EVERY)
def test_each_type_is_known_that_hands_a_role_to_a_service(variant: str) -> None:
    """Where a handler may pass a role and none is known to, no property is a role's ARN."""
    passing = {
        k for k, verbs in HANDLERS.items() if any("iam:PassRole" in a for a in verbs.values())
    }
    for kind in passing - set(PASSED_TO):
        for resource in templates_in(variant).of_type(kind):
            assert ":role/" not in json.dumps(resource.properties), resource.logical_id


def test_a_service_is_handed_the_roles_that_templates_give_it_and_no_other() -> None:
    allowed, _ = policies("dev", "serving")
    for name in ("break-glass", "approver", "deployer", "lake-settings"):
        for service in {*PASSED_TO.values()} - (
            {"lambda.amazonaws.com"} if name == "lake-settings" else set()
        ):
            passed = complete_request(
                "iam:PassRole",
                f"arn:aws:iam::111122223333:role/sashiko-dev-{name}",
                {"iam:passedtoservice": service},
            )
            assert not allows(allowed, passed), (name, service)


def _trusted(arn: str) -> set[str]:
    """The services that may assume a role, found by the name that it has or gets."""
    return {
        name
        for stack, template in {
            **templates_of("serving"),
            **({"Delivery": delivery_template()} if OF_TOOLS else {}),
        }.items()
        for logical_id, role in resources(template, "AWS::IAM::Role").items()
        if arn.rpartition("/")[2].removesuffix("-1A2B3C")
        == role["Properties"].get("RoleName", f"sashiko-dev-{stack}-{logical_id}")
        for item in statements(role["Properties"]["AssumeRolePolicyDocument"])
        for name in item.principals
    }


def test_the_stock_bootstrap_gives_the_role_these_policies_and_no_other() -> None:
    """And the deploy role, not this one, reads templates from the bucket of assets."""
    file = ROOT / "node_modules/aws-cdk/lib/api/bootstrap/bootstrap-template.yaml"
    template = yaml.safe_load(file.read_text())
    role = template["Resources"]["CloudFormationExecutionRole"]["Properties"]
    policy_arns = role["ManagedPolicyArns"]["Fn::If"]
    assert policy_arns[:2] == [
        "HasCloudFormationExecutionPolicies",
        {"Ref": "CloudFormationExecutionPolicies"},
    ]
    assert template["Parameters"]["CloudFormationExecutionPolicies"]["Type"] == "CommaDelimitedList"
    assert "InputPermissionsBoundary" in json.dumps(role["PermissionsBoundary"])
    assert "Policies" not in role
    name = role["RoleName"]["Fn::Sub"].replace("${Qualifier}", "sashiko")
    name = name.replace("${AWS::AccountId}", "111122223333").replace("${AWS::Region}", "us-east-1")
    assert exec_role_arn(settings_of("dev")) == f"arn:aws:iam::111122223333:role/{name}"

    deploy = template["Resources"]["DeploymentActionRole"]["Properties"]["Policies"]
    (reads,) = [
        item
        for item in deploy[0]["PolicyDocument"]["Statement"]
        if item.get("Sid") == "CliStagingBucket"
    ]
    assert "s3:GetObject*" in reads["Action"]
    assert {"Fn::Sub": "${StagingBucket.Arn}/*"} in reads["Resource"]


def need(action, resource, **conditions):
    return action, Limit(f"arn:aws:s3:::{resource}", conditions)


def many(count, *, length=40):
    return merged(need(f"s3:Get{'x' * length}{n}", f"sashiko-{n}") for n in range(count))


@pytest.mark.parametrize("count", [1, 2, 5, 37, 150])
def test_each_policy_has_a_part_of_all_statements(count):
    parts = pack(many(count))
    assert list(parts) == list(PARTS)
    assert all(parts.values())
    packed = [item.statement.to_json() for part in parts.values() for item in part]
    # Of fewer statements than policies one is repeated, as a policy without any is not valid.
    assert len(packed) == max(count, len(PARTS))
    assert len({json.dumps(item) for item in packed}) == count
    for allowed in parts.values():
        statements = [item.statement.to_json() for item in allowed]
        document = {"Version": "2012-10-17", "Statement": statements}
        assert len(json.dumps(document, separators=(",", ":"))) <= 6144


def test_what_does_not_fit_or_has_no_facts_is_an_error_that_says_so():
    with pytest.raises(InputError, match=r"does not fit into 5 policies of 6144"):
        pack(many(600))

    with pytest.raises(
        InputError, match=r"python -m sashiko_cdk\.bootstrap\.describe_types AWS::EKS::Cluster"
    ):
        resource_types().of("AWS::EKS::Cluster")


BOUNDARY = "cdk-sashiko-boundary-us-east-1"


@pytest.fixture(scope="module")
def given():
    """Policy name -> its document."""
    template = bootstrapped(settings_of("dev"), assembly_of("dev"), assembly_of("serving"))
    return {
        item["Properties"]["ManagedPolicyName"]: item["Properties"]["PolicyDocument"]
        for item in template["Resources"].values()
    }


def allowed(given):
    """Every statement of what is not the cap."""
    execution_policies = [document for name, document in given.items() if "-execution-" in name]
    return [item for document in execution_policies for item in document["Statement"]]


def test_the_stock_bootstrap_is_given_all_policies(given):
    from sashiko_cdk.bootstrap.policies import bootstrap_options

    place, execution, *toolkit, cap = bootstrap_options(settings_of("dev"))
    assert place == "aws://111122223333/us-east-1"
    option, _, arns = execution.partition("=")
    assert option == "--cloudformation-execution-policies"
    names = {arn.removeprefix("arn:aws:iam::111122223333:policy/") for arn in arns.split(",")}
    assert names | {cap.partition("=")[2], BOUNDARY} == set(given)
    assert len(names) <= 5  # a role takes ten, and an organization's baseline has some of them
    assert toolkit == ["--qualifier=sashiko", "--toolkit-stack-name=CDKToolkit-sashiko"]


def test_each_fits_into_a_managed_policy(given):
    """6,144 characters without white space: a part that outgrows them becomes two."""
    sizes = {name: len(json.dumps(p, separators=(",", ":"))) for name, p in given.items()}
    assert {name: size for name, size in sizes.items() if size > 6144} == {}


def test_cloudformation_cannot_change_the_boundary_that_its_roles_must_have(given):
    own = f"arn:aws:iam::111122223333:policy/{BOUNDARY}"
    for item in allowed(given):
        if any(action.endswith("Policy") or "PolicyVersion" in action for action in item["Action"]):
            arns = item["Resource"] if isinstance(item["Resource"], list) else [item["Resource"]]
            assert not any(fnmatch.fnmatchcase(own, arn) for arn in arns if ":policy/" in arn)
    cap = given["cdk-sashiko-cap-us-east-1"]["Statement"]
    (stays,) = [item for item in cap if item.get("Sid") == "CapStays"]
    assert fnmatch.fnmatchcase(own, stays["Resource"])
    assert "iam:CreatePolicyVersion" in stays["Action"]


def test_roles_are_made_with_the_boundary_alone(given):
    (makes,) = [item for item in allowed(given) if "iam:CreateRole" in item["Action"]]
    assert makes["Condition"] == {
        "ArnEquals": {"iam:PermissionsBoundary": f"arn:aws:iam::111122223333:policy/{BOUNDARY}"}
    }


def test_cloudformation_reads_no_data(given):
    cap = given["cdk-sashiko-cap-us-east-1"]["Statement"]
    denied = {item["Sid"]: item for item in cap if item["Effect"] == "Deny"}
    assert {"s3:PutObject*", "lakeformation:GetDataAccess"} <= set(denied["NoData"]["Action"])
    # Lambda reads a function's code as whoever makes the function: that bucket holds no data.
    code = "arn:aws:s3:::cdk-sashiko-assets-111122223333-us-east-1"
    assert denied["NoObjectsButCode"]["Action"] == "s3:GetObject*"
    assert denied["NoObjectsButCode"]["NotResource"] == f"{code}/*"
    assert denied["NoKeyButOfCode"]["Action"] == "kms:Decrypt"
    assert denied["NoKeyButOfCode"]["Resource"] == "*"
    assert denied["NoKeyButOfCode"]["Condition"] == {
        "StringNotLike": {"kms:EncryptionContext:aws:s3:arn": [code, f"{code}/*"]}
    }


@pytest.mark.slow
def test_its_app_takes_the_projects_stacks_and_an_endpoint_that_may_come(tmp_path):
    for name in ("contracts", "pipelines", "recipes", *IMAGES):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "config").mkdir()
    write_config(tmp_path / "config", "dev")
    context = json.loads((ROOT / "cdk.json").read_text())["context"] | {"env": "dev"}
    done = output_of(
        [sys.executable, "-m", "sashiko_cdk.bootstrap"],
        cwd=tmp_path,
        env=os.environ
        | {
            "PYTHONPATH": f"{ROOT}:{ROOT}/src",
            "CDK_OUTDIR": "out",
            "CDK_CONTEXT_JSON": json.dumps(context),
        },
    )
    assert done.returncode == 0, done.stderr
    template = json.loads(Path(tmp_path, "out/Bootstrap.template.json").read_text())
    actions = {
        action
        for item in template["Resources"].values()
        if "-execution-" in item["Properties"]["ManagedPolicyName"]
        for statement in item["Properties"]["PolicyDocument"]["Statement"]
        for action in statement["Action"]
    }
    assert {"glue:CreateJob", "sagemaker:CreatePipeline"} <= actions
    assert not settings_of("dev").serving.enabled
    assert {"sagemaker:CreateEndpoint", "application-autoscaling:RegisterScalableTarget"} <= actions
