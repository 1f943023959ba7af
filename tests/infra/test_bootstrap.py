"""What CloudFormation gets instead of AdministratorAccess."""

import fnmatch
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.variants import ROOT, assembly_of, bootstrapped, settings_of, write_config
from tests.project_root import IMAGES

BOUNDARY = "cdk-sashiko-boundary-us-east-1"


@pytest.fixture(scope="module")
def policies():
    """Policy name -> its document."""
    template = bootstrapped(settings_of("dev"), assembly_of("dev"), assembly_of("serving"))
    return {
        item["Properties"]["ManagedPolicyName"]: item["Properties"]["PolicyDocument"]
        for item in template["Resources"].values()
    }


def allowed(policies):
    """Every statement of what is not the cap."""
    execution_policies = [document for name, document in policies.items() if "-execution-" in name]
    return [item for document in execution_policies for item in document["Statement"]]


def test_the_stock_bootstrap_is_given_all_policies(policies):
    from sashiko_cdk.bootstrap.policies import bootstrap_options

    place, execution, *toolkit, cap = bootstrap_options(settings_of("dev"))

    assert place == "aws://111122223333/us-east-1"
    option, _, arns = execution.partition("=")
    assert option == "--cloudformation-execution-policies"
    names = {arn.removeprefix("arn:aws:iam::111122223333:policy/") for arn in arns.split(",")}
    assert names | {cap.partition("=")[2], BOUNDARY} == set(policies)
    assert len(names) <= 5  # a role takes ten, and an organization's baseline has some of them
    assert toolkit == ["--qualifier=sashiko", "--toolkit-stack-name=CDKToolkit-sashiko"]


def test_each_fits_into_a_managed_policy(policies):
    """6,144 characters without white space: a part that outgrows them becomes two."""
    sizes = {name: len(json.dumps(p, separators=(",", ":"))) for name, p in policies.items()}
    assert {name: size for name, size in sizes.items() if size > 6144} == {}


def test_cloudformation_cannot_change_the_boundary_that_its_roles_must_have(policies):
    own = f"arn:aws:iam::111122223333:policy/{BOUNDARY}"
    for item in allowed(policies):
        if any(action.endswith("Policy") or "PolicyVersion" in action for action in item["Action"]):
            arns = item["Resource"] if isinstance(item["Resource"], list) else [item["Resource"]]
            assert not any(fnmatch.fnmatchcase(own, arn) for arn in arns if ":policy/" in arn)
    cap = policies["cdk-sashiko-cap-us-east-1"]["Statement"]
    (stays,) = [item for item in cap if item.get("Sid") == "CapStays"]
    assert fnmatch.fnmatchcase(own, stays["Resource"])
    assert "iam:CreatePolicyVersion" in stays["Action"]


def test_roles_are_made_with_the_boundary_alone(policies):
    (makes,) = [item for item in allowed(policies) if "iam:CreateRole" in item["Action"]]
    assert makes["Condition"] == {
        "ArnEquals": {"iam:PermissionsBoundary": f"arn:aws:iam::111122223333:policy/{BOUNDARY}"}
    }


def test_cloudformation_reads_no_data(policies):
    cap = policies["cdk-sashiko-cap-us-east-1"]["Statement"]
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
    done = subprocess.run(
        [sys.executable, "-m", "sashiko_cdk.bootstrap"],
        cwd=tmp_path,
        env=os.environ
        | {
            "PYTHONPATH": f"{ROOT}:{ROOT}/src",
            "CDK_OUTDIR": "out",
            "CDK_CONTEXT_JSON": json.dumps(context),
        },
        capture_output=True,
        text=True,
        check=False,
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
