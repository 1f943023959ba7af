"""GitHub Actions: who gets a role of an account by its token, and what the roles can do."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aws_cdk import App, CfnOutput, Stack

from sashiko.account.access.environment_access import Principal
from sashiko.account.access.policy_evaluation import Request, Statement, denies, statements
from sashiko.account.names import GITHUB_ISSUER as ISSUER
from sashiko.account.names import bucket_name
from sashiko_packs.delivery.commands import render_workflow
from tests.infra.both_sides import assumes, bootstrap_role, trusts
from tests.infra.variants import (
    assembly_of,
    bootstrapped,
    complete_request,
    github_template,
    named,
    output_of,
    principals_of,
    settings_of,
)

DEV, PROD = settings_of("serving"), settings_of("serving_prod")
PROVIDER = f"arn:aws:iam::111122223333:oidc-provider/{ISSUER}"
REPOSITORY = "repo:acme@1234/churn@567890"
MAIN = "refs/heads/main"
TOKENS = {
    "deployer": {"sub": f"{REPOSITORY}:environment:dev", "ref": MAIN},
    "reader": {"sub": f"{REPOSITORY}:ref:{MAIN}", "ref": MAIN},
}
KEY = "arn:aws:kms:us-east-1:111122223333:key/0123"
BUCKET = f"arn:aws:s3:::{bucket_name(DEV, 'artifacts')}"
PACKAGE = "arn:aws:sagemaker:us-east-1:111122223333:model-package/sashiko-dev-complaint-triage/3"
THROUGH_S3 = {
    "kms:viaservice": "s3.us-east-1.amazonaws.com",
    "kms:encryptioncontext:aws:s3:arn": BUCKET,
}
DIGEST = {
    "kms:messagetype": "DIGEST",
    "kms:signingalgorithm": "ECDSA_SHA_256",
    "kms:requestalias": "alias/sashiko-dev-signing",
}


def _role(part: str, *, variant: str = "serving") -> Principal:
    role: Principal = principals_of(variant)[f"github-{part}"]
    return role


def _lets_in(part: str, claims: dict[str, str]) -> bool:
    """Whether the role's trust lets in a token of GitHub's with these claims and no others."""
    roles = named(github_template("serving"), "AWS::IAM::Role", "RoleName")
    document = roles[f"sashiko-dev-github-{part}"]["AssumeRolePolicyDocument"]
    token = {"aud": "sts.amazonaws.com", **claims}
    context = {f"{ISSUER}:{name}": value for name, value in token.items()}
    request = complete_request(
        "sts:AssumeRoleWithWebIdentity", "*", context | {"aws:principalarn": PROVIDER}
    )
    return trusts(statements(document), request)


@pytest.mark.parametrize("part", TOKENS)
@pytest.mark.control("github-oidc")
def test_the_branch_of_the_repository_gets_in(part: str) -> None:
    assert _lets_in(part, TOKENS[part])


OTHERS: dict[str, dict[str, str]] = {
    "another branch": {"ref": "refs/heads/feature"},
    "a tag": {"ref": "refs/tags/main"},
    "a pull request": {"ref": "refs/pull/7/merge"},
    "another audience": {"aud": "https://github.com/acme"},
    "another environment": {"sub": f"{REPOSITORY}:environment:prod"},
    "an environment with a longer name": {"sub": f"{REPOSITORY}:environment:dev2"},
    "another repository": {"sub": "repo:acme@1234/other@567891:environment:dev"},
    "a new owner of the names": {"sub": "repo:acme@999/churn@888:environment:dev"},
    "the names alone": {"sub": "repo:acme/churn:environment:dev"},
    "a job outside an environment": {"sub": f"{REPOSITORY}:pull_request"},
}


@pytest.mark.parametrize("claims", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("part", TOKENS)
@pytest.mark.control("github-oidc")
def test_nobody_else_at_github_gets_in(part: str, claims: dict[str, str]) -> None:
    assert not _lets_in(part, TOKENS[part] | claims)


@pytest.mark.parametrize("part", TOKENS)
@pytest.mark.control("github-oidc")
def test_a_token_without_a_claim_gets_in_nowhere(part: str) -> None:
    for name in ("sub", "ref"):
        claims = {key: value for key, value in TOKENS[part].items() if key != name}
        assert not _lets_in(part, claims), name


@pytest.mark.control("github-oidc")
def test_a_job_before_the_approval_does_not_get_the_deployers_role() -> None:
    assert not _lets_in("deployer", TOKENS["reader"])
    assert not _lets_in("reader", TOKENS["deployer"])


@pytest.mark.slow
def test_each_role_assumes_the_bootstraps_roles_that_its_job_takes() -> None:
    """By the role's own policies and boundary, and by the trust of the bootstrap's roles."""
    parts: Any = ("cfn-exec", "deploy", "file-publishing", "image-publishing", "lookup")
    for variant in ("serving", "serving_prod"):
        reach = {
            part: {
                name
                for name in parts
                if assumes(_role(part, variant=variant), bootstrap_role(settings_of(variant), name))
            }
            for part in TOKENS
        }
        assert reach == {"deployer": {"deploy", "file-publishing"}, "reader": {"lookup"}}


def test_neither_reaches_another_account_or_project() -> None:
    other_project = DEV.model_copy(update={"qualifier": "other"})
    for part in TOKENS:
        for settings in (PROD, other_project):
            for name in ("deploy", "file-publishing", "lookup"):
                role = bootstrap_role(settings, name, trusts=DEV.account)
                assert not assumes(_role(part), role)


PREFLIGHT = [
    ("sagemaker:DescribeModelPackage", PACKAGE, {}),
    ("s3:GetObject", f"{BUCKET}/models/x/0123/model.tar.gz", {}),
    ("kms:Decrypt", KEY, THROUGH_S3),
    ("kms:Verify", KEY, DIGEST),
    ("sagemaker:DescribeEndpoint", PACKAGE.replace("model-package", "endpoint"), {}),
    ("application-autoscaling:DescribeScalableTargets", "*", {}),
]


@pytest.mark.parametrize("call", PREFLIGHT)
def test_the_deployer_reads_what_the_preflight_reads(call: Any) -> None:
    role = _role("deployer")
    assert role.may(*call)
    action, resource, context = call
    request = role.request(action, resource, context | {"s3:tlsversion": "1.3"})
    own = [item for item in _models_policies() for item in item if item.is_for(role.arn)]
    assert own
    assert not denies(own, request)


def _models_policies() -> Iterator[tuple[Statement, ...]]:
    templates = assembly_of("serving")
    keys = {
        alias.properties["TargetKeyId"]
        for alias in templates.of_type("AWS::KMS::Alias")
        if alias.properties["AliasName"] in {"alias/sashiko-dev-ml", "alias/sashiko-dev-signing"}
    }
    assert len(keys) == 2
    for key in templates.of_type("AWS::KMS::Key"):
        if f"<{key.stack}.{key.logical_id}.Arn>" in keys:
            yield statements(key.properties["KeyPolicy"])
    for bucket in templates.of_type("AWS::S3::BucketPolicy"):
        if bucket.properties["Bucket"] == bucket_name(DEV, "artifacts"):
            yield statements(bucket.properties["PolicyDocument"])


@pytest.mark.parametrize(
    "call",
    [
        ("s3:GetObject", f"{BUCKET}/runs/x/Evaluate/predictions/predictions.parquet", {}),
        ("s3:GetObject", f"arn:aws:s3:::{bucket_name(DEV, 'curated')}/complaints/x", {}),
        ("s3:PutObject", f"{BUCKET}/models/x/0123/model.tar.gz", {}),
        ("kms:Decrypt", KEY, {}),
        ("kms:Sign", KEY, DIGEST),
        ("sagemaker:UpdateModelPackage", PACKAGE, {}),
        ("sagemaker:CreateModelPackage", PACKAGE, {}),
        ("sagemaker:CreateTrainingJob", "*", {}),
        ("lakeformation:GetDataAccess", "*", {}),
        ("iam:PassRole", "arn:aws:iam::111122223333:role/sashiko-dev-training", {}),
        ("iam:UpdateAssumeRolePolicy", "arn:aws:iam::111122223333:role/sashiko-dev-training", {}),
        ("cloudformation:UpdateStack", "*", {}),
    ],
)
def test_neither_reads_data_judges_a_model_or_acts_but_through_the_bootstrap(call: Any) -> None:
    for part in TOKENS:
        role = _role(part)
        action, resource, _ = call
        complete = complete_request(action, resource, role.request(*call).context)
        assert not (role.within(complete) and role.may(*call)), part


@pytest.mark.parametrize("part", TOKENS)
def test_a_deploy_changes_nobodys_trust_in_github(part: str) -> None:
    template = bootstrapped(DEV, assembly_of("serving"))
    policies = named(template, "AWS::IAM::ManagedPolicy", "ManagedPolicyName")
    (cap,) = (item["PolicyDocument"] for name, item in policies.items() if "-cap-" in name)
    for action in ("iam:UpdateAssumeRolePolicy", "iam:DeleteRole"):
        request = Request(
            action=action, resource=f"arn:aws:iam::111122223333:role/sashiko-dev-github-{part}"
        )
        assert denies(statements(cap), request)


def test_a_deploy_that_nobody_approved_leaves_the_roles_that_deliver(tmp_path: Path) -> None:
    """By the pinned command line: an update of what delivers is a person's, in dev too."""
    (tmp_path / "base.yaml").write_bytes(Path("config/base.yaml").read_bytes())
    (tmp_path / "dev.yaml").write_text('tier: dev\naccount: "111122223333"\n')
    (tmp_path / "delivery.yaml").write_text(
        'by: actions\naccount: "777788889999"\nregion: us-east-1\nstages: [dev]\nsource: {host: '
        "github, repository: acme/churn, branch: main, ids: {owner: 1, repository: 2}}\n"
    )
    steps = yaml.safe_load(render_workflow(folder=tmp_path))["jobs"]["deploy-dev"]["steps"]
    words = shlex.split(steps[-1]["run"])
    place = {"account": "111122223333", "region": "us-east-1"}
    # Identity depends on it, and each later stack on the one before.
    assembly = str(tmp_path / "assembly")
    app = App(outdir=assembly)
    stacks = [Stack(app, name, env=place) for name in ("GitHubActions", "Identity", "Serving")]
    for before, stack in zip((None, *stacks), stacks, strict=False):
        CfnOutput(stack, "Output", value="x")
        if before:
            stack.add_stack_dependency(before)
    app.synth()
    command = ["node_modules/.bin/cdk", *words[words.index("deploy") :]]
    command[command.index("--app") + 1] = assembly
    nobody = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", **nobody}
    done = output_of(command, env={**os.environ, **nowhere})
    # It has chosen what to deploy, and looks for the account.
    assert "Need to perform AWS calls for account 111122223333" in done.stderr
    assert "GitHubActions" not in done.stderr
