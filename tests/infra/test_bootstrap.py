"""What CloudFormation gets instead of AdministratorAccess."""

import fnmatch
import json
from pathlib import Path

import pytest

from tests.infra.variants import new_app, settings_of


@pytest.fixture(scope="module")
def policies():
    """Policy name -> its document."""
    from infra.bootstrap import add_policies

    app = new_app()
    add_policies(app, settings_of("dev"))
    app.synth()
    template = json.loads(Path(app.outdir, "Bootstrap.template.json").read_text())
    return {
        item["Properties"]["ManagedPolicyName"]: item["Properties"]["PolicyDocument"]
        for item in template["Resources"].values()
    }


def test_the_stock_bootstrap_is_given_both_policies(policies):
    from infra.bootstrap import bootstrap_options

    place, execution, cap = bootstrap_options(settings_of("dev"))

    assert place == "aws://111122223333/us-east-1"
    assert execution.rpartition("/")[2] in policies
    assert cap.partition("=")[2] in policies


def test_they_fit_into_a_managed_policy(policies):
    assert all(len(json.dumps(p, separators=(",", ":"))) < 6144 for p in policies.values())


def test_roles_are_made_with_the_boundary_alone(policies):
    allowed = policies["cdk-sashiko-execution-us-east-1"]["Statement"]
    (makes,) = [item for item in allowed if "iam:CreateRole" in item["Action"]]
    assert makes["Condition"] == {
        "ArnLike": {
            "iam:PermissionsBoundary": "arn:aws:iam::111122223333:policy/sashiko-*-boundary"
        }
    }


def test_cloudformation_reads_no_data(policies):
    cap = policies["cdk-sashiko-cap-us-east-1"]["Statement"]
    (denied,) = [item for item in cap if item.get("Sid") == "NoData"]
    assert denied["Effect"] == "Deny"
    assert {"kms:Decrypt", "s3:GetObject*", "lakeformation:GetDataAccess"} <= set(denied["Action"])


@pytest.mark.parametrize("variant", ["dev", "prod"])
def test_every_service_of_the_stacks_is_allowed(policies, templates, variant):
    """A stack with a new service's resources needs a line in the execution policy."""
    allowed = [
        action
        for item in policies["cdk-sashiko-execution-us-east-1"]["Statement"]
        for action in item["Action"]
    ]
    services = {
        resource["Type"].split("::")[1].lower()
        for template in templates(variant).values()
        for resource in template["Resources"].values()
    }
    assert [s for s in services if not fnmatch.filter(allowed, f"{s}:*")] == []
