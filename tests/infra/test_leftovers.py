"""What outlives a stack, or has a fixed name, is known to `sashiko doctor`."""

import pytest

from sashiko.doctor.deploy import lookups
from tests.infra.variants import resources

# Kept, or with a name, and not in the way of the next deploy: a key has no name and is found by its
# alias, a policy goes with its bucket, a permission with its function, the settings belong to the
# account, to grant twice is no error, and an MLflow App differs from others by the id in its ARN.
HARMLESS = {
    "AWS::KMS::Key",
    "AWS::LakeFormation::PrincipalPermissions",
    "AWS::Lambda::Permission",
    "AWS::S3::BucketPolicy",
    "AWS::SageMaker::MlflowApp",
    "Custom::DataLakeSettings",
}
# Named within the VPC, which is a new one each time.
WITHIN_VPC = {"AWS::EC2::SecurityGroup", "AWS::EC2::VPCEndpoint"}


def _is_named(resource):
    names = {
        "AliasName",
        "FunctionName",
        "JobName",
        "LogGroupName",
        "ManagedPolicyName",
        "RoleName",
        "TagKey",
    }
    return bool({"Name", "BucketName", *names} & resource.get("Properties", {}).keys())


@pytest.mark.parametrize("variant", ["dev", "prod", "iam_only"])
def test_the_doctor_looks_for_each_kind_that_is_kept_or_named(templates, variant):
    kinds = {
        resource["Type"]
        for template in templates(variant).values()
        for resource in template["Resources"].values()
        if resource.get("DeletionPolicy", "").startswith("Retain") or _is_named(resource)
    }
    assert kinds - HARMLESS - WITHIN_VPC <= lookups().keys()


def test_each_kind_that_the_doctor_looks_for_is_in_the_templates(templates):
    for kind in lookups().keys() - {"AWS::LakeFormation::DataCellsFilter"}:
        assert any(resources(template, kind) for template in templates("dev").values()), kind
