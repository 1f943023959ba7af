"""The VPC: no way out, doors for those who need them, and a log of who went where."""

import json
from fnmatch import fnmatchcase

import pytest

from sashiko.account.deploy_time import nodes_group_id
from sashiko_cdk.deployment import Compiled, Deployment
from sashiko_cdk.identity.role_table import roles_of
from sashiko_cdk.network.isolated_network import interfaces
from tests.infra.variants import (
    as_list,
    changed,
    named,
    new_app,
    only,
    principals_of,
    resources,
    settings_of,
)


@pytest.fixture(scope="session")
def network(templates):
    return templates("dev")["Network"]


@pytest.mark.control("EC2.15", "SC-7")
def test_no_way_to_the_internet(network):
    kinds = {resource["Type"] for resource in network["Resources"].values()}
    assert not {kind for kind in kinds if "Gateway" in kind or kind == "AWS::EC2::Route"}


def test_zones_follow_the_settings(templates):
    zones = {
        variant: {
            subnet["Properties"]["AvailabilityZone"]
            for subnet in resources(templates(variant)["Network"], "AWS::EC2::Subnet").values()
        }
        for variant in ("dev", "prod")
    }
    assert zones == {"dev": {"us-east-1a"}, "prod": {"us-east-1a", "us-east-1b"}}


@pytest.mark.control("SC-7")
def test_each_service_in_the_table_has_a_door_for_its_callers_alone(network):
    doors = {
        door["Properties"]["ServiceName"].partition(".us-east-1.")[2]: door
        for door in resources(network, "AWS::EC2::VPCEndpoint").values()
    }
    uses = interfaces(settings_of("dev"))
    assert set(doors) == {*uses, "s3"}
    for service, use in uses.items():
        (statement,) = doors[service]["Properties"]["PolicyDocument"]["Statement"]
        condition = statement["Condition"]
        callers = condition["ArnEquals"]["aws:PrincipalArn"]
        assert condition["StringEquals"] == {"aws:PrincipalAccount": "111122223333"}
        assert {arn.partition("sashiko-dev-")[2] for arn in as_list(callers)} == set(use.callers)


def test_the_way_to_the_mlflow_app_is_a_setting():
    dev = settings_of("dev")

    def ways(service):
        return interfaces(changed(dev, "network", mlflow_service=service))

    assert "experiments" not in ways(None)
    assert ways(None).keys() | {"experiments"} == interfaces(dev).keys()
    assert ways("com.amazonaws.{region}.mlflow")["experiments"].service == (
        "com.amazonaws.{region}.mlflow"
    )


@pytest.mark.parametrize("variant", ["dev", "serving"])
def test_each_caller_may_do_something_behind_its_door(variant):
    roles = principals_of(variant)
    uses = interfaces(settings_of(variant))
    doors = uses.keys() - {"sts"}  # who one is needs no permission
    idle = [
        (service, caller)
        for service in sorted(doors)
        for caller in uses[service].callers
        if not any(roles[caller].may(action, "*") for action in uses[service].actions)
    ]
    assert idle == []
    unused = [
        action
        for service in sorted(doors)
        for action in uses[service].actions
        if not any(roles[caller].may(action, "*") for caller in uses[service].callers)
    ]
    assert unused == []


@pytest.mark.control("SC-7")
def test_jobs_reach_the_doors_and_s3_and_nothing_else(network):
    groups = named(network, "AWS::EC2::SecurityGroup", "GroupName")
    rules = groups["sashiko-dev-jobs"]["SecurityGroupEgress"]
    assert {(rule["FromPort"], rule["ToPort"]) for rule in rules} == {(443, 443)}
    assert {rule.get("DestinationPrefixListId") for rule in rules} == {None, "pl-63a5400a"}
    assert not [rule for rule in rules if "CidrIp" in rule or "CidrIpv6" in rule]
    assert not resources(network, "AWS::EC2::SecurityGroupEgress")


def _network_of(*groups):
    from aws_cdk.assertions import Template

    from infra.stacks.network import Network

    definition = {"SecurityGroupIds": groups}
    compiled = Compiled(recipe="r", module="batch", definition=definition, commit="c")
    deployment = Deployment(
        settings=settings_of("dev"),
        environments=("dev",),
        contracts=(),
        recipes=(),
        pipelines=(compiled,),
    )
    return Template.from_stack(Network(new_app(), deployment)).to_json()


def test_the_nodes_of_a_job_may_send_anything_to_each_other_and_nothing_else():
    """What an Elastic Fabric Adapter needs, and only where a job of a pipeline has several."""
    network = _network_of(nodes_group_id())
    ((name, nodes),) = [
        (name, group["Properties"])
        for name, group in resources(network, "AWS::EC2::SecurityGroup").items()
        if group["Properties"].get("GroupName") == "sashiko-dev-nodes"
    ]
    itself = {"Fn::GetAtt": [name, "GroupId"]}
    out = only(network, "AWS::EC2::SecurityGroupEgress")
    assert out["GroupId"] == out["DestinationSecurityGroupId"] == itself
    assert out["IpProtocol"] == "-1"
    (back,) = [
        rule["Properties"]
        for rule in resources(network, "AWS::EC2::SecurityGroupIngress").values()
        if rule["Properties"]["GroupId"] == itself
    ]
    assert (back["SourceSecurityGroupId"], back["IpProtocol"]) == (itself, "-1")
    assert {rule["FromPort"] for rule in nodes["SecurityGroupEgress"]} == {443}
    one = resources(_network_of(), "AWS::EC2::SecurityGroup")
    assert "sashiko-dev-nodes" not in str(one)


@pytest.mark.control("EC2.6")
def test_all_flows_are_logged_encrypted(network):
    assert only(network, "AWS::EC2::FlowLog")["TrafficType"] == "ALL"
    assert "KmsKeyId" in only(network, "AWS::Logs::LogGroup")


def test_no_function_but_those_of_the_table(templates):
    """The CDK adds some of its own, under roles of theirs, where a construct's setting asks."""
    for template in templates("prod").values():
        functions = resources(template, "AWS::Lambda::Function")
        names = {item["Properties"].get("FunctionName", "") for item in functions.values()}
        assert {name.removeprefix("sashiko-prod-") for name in names} <= set(
            roles_of(settings_of("prod"), "function")
        )
        called = {
            str(resource["Properties"]["ServiceToken"])
            for resource in template["Resources"].values()
            if resource["Type"].startswith("Custom::")
        }
        # Governance calls by its name the one that DataLake made.
        probe = "arn:aws:lambda:us-east-1:444455556666:function:sashiko-prod-lake-probe"
        assert called <= {probe, *(str({"Fn::GetAtt": [name, "Arn"]}) for name in functions)}


def _groups(key):
    """The log groups, as patterns of ARNs, for which a key's policy lets Logs in."""
    return [
        pattern
        for statement in key["Properties"]["KeyPolicy"]["Statement"]
        if "logs." in json.dumps(statement["Principal"])
        for condition in statement["Condition"].values()
        for pattern in as_list(condition["kms:EncryptionContext:aws:logs:arn"])
    ]


def _key(templates, template, reference):
    """The key that a reference means, in this stack or by another one's output."""
    if "Fn::GetStackOutput" in reference:
        output = reference["Fn::GetStackOutput"]
        template = templates[output["StackName"].rpartition("-")[2]]
        reference = template["Outputs"][output["OutputName"]]["Value"]
    return template["Resources"][reference["Fn::GetAtt"][0]]


@pytest.mark.parametrize("variant", ["dev", "serving", "serving_prod"])
def test_its_key_lets_each_log_group_be_encrypted(templates, variant):
    stacks = templates(variant)
    groups = [
        (group["Properties"]["LogGroupName"], group["Properties"]["KmsKeyId"], template)
        for template in stacks.values()
        for group in resources(template, "AWS::Logs::LogGroup").values()
        # It comes before the stack of the keys, and says so where it is made.
        if not group["Properties"]["LogGroupName"].endswith("/functions/lake-settings")
    ]

    assert len(groups) > 5
    denied = [
        name
        for name, reference, template in groups
        if not any(
            fnmatchcase(f"arn:aws:logs:us-east-1:{account}:log-group:{name}", pattern)
            for account in ("111122223333", "444455556666")
            for pattern in _groups(_key(stacks, template, reference))
        )
    ]
    assert denied == []


@pytest.mark.parametrize("variant", ["dev", "prod"])
def test_logs_may_do_with_each_key_what_it_does(templates, variant):
    """As "Encrypt log data in CloudWatch Logs" of its guide has it, by wildcards."""
    needed = {
        "Decrypt",
        "DescribeKey",
        "Encrypt",
        "GenerateDataKey",
        "ReEncryptFrom",
        "ReEncryptTo",
    }
    statements = [
        statement["Action"]
        for template in templates(variant).values()
        for key in resources(template, "AWS::KMS::Key").values()
        for statement in key["Properties"]["KeyPolicy"]["Statement"]
        if "logs." in json.dumps(statement["Principal"])
    ]
    assert len(statements) >= 4
    for actions in statements:
        assert {f"kms:{name}" for name in needed} <= set(actions)
