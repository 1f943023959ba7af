"""An existing network: no VPC of ours, roles that name it by ARN, and what is made in it."""

import json
import os
import re
import shutil
import urllib.request
from pathlib import Path

import pytest
import requests.utils

from infra.stacks.network import Network
from sashiko.account.templates import SERVICES
from sashiko_cdk.deployment import Deployment
from tests.infra.test_synth import _synth as run_synth
from tests.infra.variants import (
    ROOT,
    VARIANTS,
    named,
    new_app,
    only,
    pipelines_of,
    principals_of,
    recipes_of,
    resources,
    settings_of,
)
from tests.project_root import IMAGES

SUBNETS = {f"subnet-0123456789abcdef{n}" for n in (1, 2, 3)}
GROUPS = ["sg-0123456789abcdef1", "sg-0123456789abcdef2"]
OWNER = "777788889999"


@pytest.mark.parametrize("variant", ["existing", "shared"])
def test_no_vpc_of_ours_is_made_and_jobs_name_theirs(templates, variant):
    stacks = templates(variant)
    kinds = {item["Type"] for stack in stacks.values() for item in stack["Resources"].values()}
    assert "Network" not in stacks
    assert not kinds & {"AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::EC2::FlowLog"}
    named_there = {one.id for one in settings_of(variant).network.subnets}
    assert set(re.findall(r"subnet-[0-9a-f]+", json.dumps(stacks["Pipeline"]))) == named_there


def test_endpoints_of_ours_are_one_a_zone_and_let_the_jobs_in(templates):
    access = templates("existing")["VpcAccess"]
    doors = resources(access, "AWS::EC2::VPCEndpoint").values()
    interfaces = [door["Properties"] for door in doors if "SubnetIds" in door["Properties"]]
    assert len(interfaces) >= 8
    for door in interfaces:
        assert door["SubnetIds"] == ["subnet-0123456789abcdef1", "subnet-0123456789abcdef3"]
        assert door["VpcId"] == "vpc-0123456789abcdef0"
        assert "Condition" in door["PolicyDocument"]["Statement"][0]
    (gateway,) = [door["Properties"] for door in doors if "RouteTableIds" in door["Properties"]]
    assert gateway["RouteTableIds"] == ["rtb-0123456789abcdef1", "rtb-0123456789abcdef3"]
    groups = named(access, "AWS::EC2::SecurityGroup", "GroupName")
    rules = groups["sashiko-dev-jobs"]["SecurityGroupEgress"]
    assert {rule.get("DestinationPrefixListId") for rule in rules} == {None, "pl-63a5400a"}
    let_in = only(access, "AWS::EC2::SecurityGroupIngress")
    assert let_in["SourceSecurityGroupId"] == {"Fn::GetAtt": ["Jobs", "GroupId"]}


def test_where_all_is_theirs_no_stack_is_left_and_a_model_is_in_their_groups(templates):
    stacks = templates("shared")
    assert "VpcAccess" not in stacks
    vpc = only(stacks["Serving"], "AWS::SageMaker::Model")["VpcConfig"]
    assert vpc["SecurityGroupIds"] == GROUPS
    assert set(vpc["Subnets"]) < SUBNETS
    assert "DeployTimeSecurityGroup" not in json.dumps(stacks["Pipeline"])


def _made_access(**changes):
    """The stack VpcAccess of `existing` with other keys of the network."""
    settings = settings_of("existing")
    keys = settings.network.model_dump(mode="json") | changes
    network = type(settings.network).model_validate(keys)
    settings = settings.model_copy(update={"network": network})
    bare = Deployment(settings=settings, environments=(), contracts=(), recipes=(), pipelines=())
    app = new_app()
    Network(app, bare)
    return json.loads(Path(app.synth().directory, "VpcAccess.template.json").read_text())


def test_our_endpoints_let_their_groups_in():
    access = _made_access(security_groups=GROUPS)
    sources = [
        rule["Properties"]["SourceSecurityGroupId"]
        for rule in resources(access, "AWS::EC2::SecurityGroupIngress").values()
    ]
    assert sorted(sources) == GROUPS
    assert "sashiko-dev-jobs" not in json.dumps(access)


def test_our_group_reaches_their_endpoints_and_the_proxy_alone():
    theirs = {"owner": OWNER, "endpoints": "theirs", "egress": ["10.0.0.0/8"]}
    access = _made_access(**theirs, proxy={"url": "http://proxy.example.com:3128"})
    rules = only(access, "AWS::EC2::SecurityGroup")["SecurityGroupEgress"]
    assert [(rule.get("CidrIp"), rule["ToPort"]) for rule in rules] == [
        ("10.0.0.0/8", 443), ("10.0.0.0/8", 3128), (None, 443),
    ]  # fmt: skip
    assert not resources(access, "AWS::EC2::VPCEndpoint")


def test_the_template_lists_what_their_endpoints_have_to_carry(templates):
    listed = templates("shared")["Pipeline"]["Metadata"][SERVICES]
    assert {f"com.amazonaws.us-east-1.{name}" for name in ("athena", "s3", "sts")} <= listed.keys()
    athena = listed["com.amazonaws.us-east-1.athena"]
    assert "arn:aws:iam::111122223333:role/sashiko-dev-broker" in athena["roles"]
    assert "athena:StartQueryExecution" in athena["actions"]


def test_roles_name_what_no_tag_tells():
    role = principals_of("shared")["broker"]

    def joins(kind, account, id_):
        arn = f"arn:aws:ec2:us-east-1:{account}:{kind}/{id_}"
        return role.may("ec2:CreateNetworkInterface", arn)

    assert joins("subnet", OWNER, "subnet-0123456789abcdef1")
    assert not joins("subnet", OWNER, "subnet-0123456789abcdef9")
    assert not joins("subnet", "123456789012", "subnet-0123456789abcdef1")
    assert all(joins("security-group", who, GROUPS[0]) for who in (OWNER, "111122223333"))
    assert not joins("security-group", "111122223333", "sg-0123456789abcdef9")
    ours = principals_of("existing")["broker"]
    group = "arn:aws:ec2:us-east-1:111122223333:security-group/sg-1"
    tag = {"aws:ResourceTag/project": "sashiko", "aws:ResourceTag/environment": "dev"}
    assert ours.may("ec2:CreateNetworkInterface", group, tag)
    another = tag | {"aws:ResourceTag/environment": "prod"}
    assert not ours.may("ec2:CreateNetworkInterface", group, another)


def _steps():
    settings = settings_of("shared")
    (pipeline, *_) = pipelines_of(settings, recipes_of(settings))
    return {step["Name"]: step["Arguments"] for step in pipeline.definition["Steps"]}


def test_jobs_with_a_network_get_the_proxy_and_isolated_ones_do_not():
    proxied = set()
    for name, arguments in _steps().items():
        if "NetworkConfig" in arguments:
            isolated = arguments["NetworkConfig"]["EnableNetworkIsolation"]
            assert arguments["NetworkConfig"]["VpcConfig"]["SecurityGroupIds"] == GROUPS
            assert ("https_proxy" in arguments["Environment"]) != isolated, name
            proxied |= {name} - ({name} if isolated else set())
    assert len(proxied) >= 3
    check = next(item for name, item in _steps().items() if "DeviceCheck" in name)
    words = check["AppSpecification"]["ContainerArguments"]
    groups = [words[n + 1] for n, word in enumerate(words) if word == "--security-group"]
    assert groups == GROUPS


@pytest.mark.parametrize(
    ("host", "direct"),
    [
        ("169.254.170.2", True),
        ("169.254.169.254", True),
        ("localhost", True),
        ("sashiko-dev-raw.s3.us-east-1.amazonaws.com", True),
        ("sashiko-dev-raw.s3.amazonaws.com", True),  # boto3's in us-east-1
        ("athena.us-east-1.amazonaws.com", True),  # `bypass`
        ("kms.us-east-1.amazonaws.com", False),
        ("notathena.us-east-1.amazonaws.com", False),
        ("packages.example.com", False),
    ],
)
@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_clients_go_past_the_proxy_where_they_must(monkeypatch, host, direct, case):
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in _steps()["ResolveChampion"]["Environment"].items():
        if name == case(name) and name.lower().endswith("_proxy"):
            monkeypatch.setenv(name, value)
    assert bool(urllib.request.proxy_bypass(host)) == direct
    if not host.startswith("not"):  # requests compares ends of names, without their dots
        assert requests.utils.should_bypass_proxies(f"https://{host}/", None) == direct


def test_with_endpoints_of_ours_no_call_of_ours_goes_by_the_proxy():
    network = settings_of("existing").network
    direct = network.no_proxy("us-east-1").split(",")
    assert {"us-east-1.amazonaws.com", "sagemaker.us-east-1.app.aws"} <= set(direct)
    theirs = settings_of("shared").network.no_proxy("us-east-1").split(",")
    assert "us-east-1.amazonaws.com" not in theirs


@pytest.mark.slow  # a synth with all checks
def test_each_finding_of_a_foreign_network_is_explained(tmp_path):
    for name in ("config", "contracts", "pipelines", "recipes"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in IMAGES:
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "config/dev.yaml").write_text(VARIANTS["shared"][1])
    done = run_synth(tmp_path, CDK_VALIDATION="true")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out/validation-report.json").read_text())
    explained = [
        (violation["reason"], construct["constructPath"])
        for plugin in report["pluginReports"]
        for violation in plugin.get("suppressedViolations", [])
        for construct in violation["violatingConstructs"]
        if violation["ruleName"].endswith("foreign-network")
    ]
    assert {path.split("/")[0] for _, path in explained} == {"Pipeline", "Serving"}
    assert all(OWNER in reason and "endpoints" in reason for reason, _ in explained)
