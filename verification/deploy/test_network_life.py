"""An environment that moves into an existing network, and back into one of ours."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from verification.deploy.assembly import bootstrap, synthesize
from verification.deploy.deployed import deployed
from verification.deploy.inventory import identities
from verification.deploy.process import REGION, Emulator, running
from verification.deploy.stacks import ACCOUNT, Stacks
from verification.deploy.test_life_cycle import STATEFUL


@pytest.fixture
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An account that holds an environment with a network of ours."""
    with running(ACCOUNT, tmp_path_factory.mktemp("home")) as emulator:
        bootstrap(emulator, tmp_path_factory.mktemp("bootstrap"), "dev")
        deploy(emulator, synthesize(tmp_path_factory.mktemp("own"), "dev"))
        yield emulator


def deploy(dev: Emulator, folder: Path) -> None:
    """Deploys all stacks: nothing that holds data is another one then, and templates are true."""
    before = data_holders(dev)
    dev.cdk("deploy", "--all", "--require-approval=never", folder=folder)
    assert before.items() <= data_holders(dev).items()
    assert [item for item in Stacks(dev).replacements() if item[1] in STATEFUL] == []
    assert [text for item in deployed(dev) for text in item.differences()] == []
    assert "differences: 0" in dev.cdk("diff", "--all", "--fail", folder=folder)


def data_holders(dev: Emulator) -> dict[str, str]:
    """What holds data; the key of the flow logs goes with the network."""
    return {name: it for name, it in identities(dev).items() if not name.endswith("-dev-network")}


def their_network(dev: Emulator) -> dict[str, Any]:
    """Makes a VPC as a platform team does, and returns the keys that name it."""
    ec2 = dev.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = []
    for number, zone in enumerate(("us-east-1a", "us-east-1b")):
        cidr = f"10.9.{number}.0/24"
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=zone)["Subnet"]
        table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet["SubnetId"])
        subnets.append({"id": subnet["SubnetId"], "zone": zone, "route_table": table})
    return {"vpc_id": vpc, "subnets": subnets}


def vpc_of_jobs(dev: Emulator) -> tuple[set[str], set[str]]:
    pipeline = dev.client("sagemaker").describe_pipeline(PipelineName="sashiko-dev-complaints")
    arguments = [item["Arguments"] for item in json.loads(pipeline["PipelineDefinition"])["Steps"]]
    networks = [item.get("NetworkConfig", item) for item in arguments]
    vpcs = [item["VpcConfig"] for item in networks if "VpcConfig" in item]
    subnets = {name for vpc in vpcs for name in vpc["Subnets"]}
    return subnets, {name for vpc in vpcs for name in vpc["SecurityGroupIds"]}


def group_of(dev: Emulator, vpc: str) -> str:
    named = {"vpc-id": vpc, "group-name": "sashiko-dev-jobs"}
    filters = [{"Name": key, "Values": [value]} for key, value in named.items()]
    (group,) = dev.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
    return str(group["GroupId"])


def own_vpcs(dev: Emulator) -> list[str]:
    tagged = [{"Name": "tag:project", "Values": ["sashiko"]}]
    return [item["VpcId"] for item in dev.client("ec2").describe_vpcs(Filters=tagged)["Vpcs"]]


def delete(dev: Emulator, stack: str) -> None:
    """Deletes the stack that is left over; what is left answers, and is what templates say."""
    assert Stacks(dev).delete(stack) == "DELETE_COMPLETE"
    resources = deployed(dev)
    assert stack not in {item.stack for item in resources}
    assert [item for item in resources if not item.answers()] == []


@pytest.mark.slow
def test_there_and_back(dev: Emulator, tmp_path_factory: pytest.TempPathFactory) -> None:
    fill = {"Bucket": f"sashiko-dev-curated-{ACCOUNT}-{REGION}", "Key": "complaints/part-0"}
    dev.client("s3").put_object(**fill, Body=b"rows")
    theirs = their_network(dev)
    subnets = {item["id"] for item in theirs["subnets"]}
    (own,) = own_vpcs(dev)

    there = synthesize(tmp_path_factory.mktemp("there"), "dev", network=theirs)
    deploy(dev, there)

    assert vpc_of_jobs(dev) == (subnets, {group_of(dev, theirs["vpc_id"])})
    assert own_vpcs(dev) == [own]  # until a person deletes its stack
    delete(dev, "sashiko-dev-Network")
    assert own_vpcs(dev) == []
    assert "differences: 0" in dev.cdk("diff", "--all", "--fail", folder=there)
    # All of it theirs: the stack of ours is left over, and nothing of its VPC goes with it.
    group = dev.client("ec2").create_security_group(
        GroupName="theirs", Description="d", VpcId=theirs["vpc_id"]
    )["GroupId"]
    wholly = theirs | {"endpoints": "theirs", "security_groups": [group]}
    deploy(dev, synthesize(tmp_path_factory.mktemp("wholly"), "dev", network=wholly))
    assert vpc_of_jobs(dev) == (subnets, {group})
    delete(dev, "sashiko-dev-VpcAccess")

    deploy(dev, synthesize(tmp_path_factory.mktemp("back"), "dev"))

    (made,) = own_vpcs(dev)
    assert vpc_of_jobs(dev)[1] == {group_of(dev, made)}
    assert not vpc_of_jobs(dev)[0] & subnets
    answer = dev.client("ec2").describe_subnets(SubnetIds=sorted(subnets))["Subnets"]
    assert {item["State"] for item in answer} == {"available"}
    assert dev.client("s3").get_object(**fill)["Body"].read() == b"rows"
