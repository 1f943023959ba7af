"""What test_life_cycle reads and checks of an account between its deploys."""

from verification.deploy import changes
from verification.deploy.lake import check_reader, columns, own_tags
from verification.deploy.process import Emulator


def live_values(dev: Emulator) -> dict[str, str]:
    """Placeholder -> the value, from the services' own lists, not from stacks."""
    ec2, kms = dev.client("ec2"), dev.client("kms")
    named = [{"Name": "tag:project", "Values": ["sashiko"]}]
    (subnet,) = ec2.describe_subnets(Filters=named)["Subnets"]
    groups = [{"Name": "group-name", "Values": ["sashiko-dev-jobs"]}]
    (group,) = ec2.describe_security_groups(Filters=groups)["SecurityGroups"]
    (app,) = dev.client("sagemaker").list_mlflow_apps()["Summaries"]
    keys = {
        f"DeployTime-Key-{domain}": kms.describe_key(KeyId=f"alias/sashiko-dev-{domain}")[
            "KeyMetadata"
        ]["Arn"]
        for domain in ("ml", "snapshots")
    }
    return {
        **keys,
        "DeployTime-Subnet-a": subnet["SubnetId"],
        "DeployTime-SecurityGroup": group["GroupId"],
        "DeployTime-TrackingUri": app["Arn"],
    }


def fill(dev: Emulator, bucket: str) -> None:
    """An object with an older version, and one that was deleted: its versions are still there."""
    s3 = dev.client("s3")
    for key in ("kept", "kept", "deleted"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"row")
    s3.delete_object(Bucket=bucket, Key="deleted")


def tags(dev: Emulator) -> dict[str, set[str]]:
    """Repository -> the tags in it."""
    ecr = dev.client("ecr")
    names = [item["repositoryName"] for item in ecr.describe_repositories()["repositories"]]
    return {
        name: {item["imageTag"] for item in ecr.list_images(repositoryName=name)["imageIds"]}
        for name in names
        if "/" in name
    }


def check_second_images(dev: Emulator, before: dict[str, set[str]]) -> None:
    """Another base: two images are rebuilt, and the old images stay available."""
    new = {
        name: image_tags - before[name]
        for name, image_tags in tags(dev).items()
        if image_tags - before[name]
    }
    assert set(new) == {"sashiko-dev/bias", "sashiko-dev/job"}
    assert all(before[name] <= image_tags for name, image_tags in tags(dev).items())
    pipeline = dev.client("sagemaker").describe_pipeline(PipelineName="sashiko-dev-complaints")
    (tag,) = new["sashiko-dev/job"]
    assert f"sashiko-dev/job:{tag}" in pipeline["PipelineDefinition"]


def check_first_update(dev: Emulator) -> None:
    """A new column, a reader's row filter, and a column with fewer readers."""
    assert "branch" in columns(dev, "complaints")
    check_reader(dev, changes.SHOWN)
    assert own_tags(dev, "channel") == {}  # pii, as the table is


def check_second_update(dev: Emulator) -> None:
    """Another filter, and the column with its next tag."""
    check_reader(dev, changes.SHOWN_NEXT)
    assert own_tags(dev, "channel") == {"sashiko-sensitivity": ["sensitive"]}
