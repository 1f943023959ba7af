"""The VPC that jobs and endpoints run in: no way to the internet, doors to AWS alone."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aws_cdk import CfnTag, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from sashiko.account.deploy_time import nodes_group_id
from sashiko.account.names import Role, arn, key_alias, prefix
from sashiko.account.templates import SERVICES
from sashiko.errors import InputError
from sashiko.packs import load_packs, pack_objects
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import add_role, allow
from sashiko_cdk.identity.boundary import boundary_of
from sashiko_cdk.identity.role_permissions import INVOKE, device_actions
from sashiko_cdk.identity.role_table import roles_of
from sashiko_cdk.identity.trust import service
from sashiko_cdk.lake.domain_key import encrypt_logs, log_group
from sashiko_cdk.network.job_network import JobNetwork
from sashiko_cdk.security_rules.acknowledge import acknowledge
from sashiko_cdk.stack import EnvironmentStack

__all__ = ["add_network", "list_services"]

# The VPC endpoints and their policies, from a table of who calls which service in the VPC. S3 and
# Athena call KMS and Lake Formation on the service side; from inside the VPC, KMS is called for
# signatures only.
_LAKE: tuple[Role, ...] = ("bias-evaluator", "broker")


@dataclass(frozen=True)
class Use:
    """The calls of one service that leave the VPC."""

    actions: tuple[str, ...]  # what is called
    callers: tuple[Role, ...] = ()  # the roles that call it; without one: every job and endpoint
    # The endpoint service's name, with the region left open.
    service: str = "com.amazonaws.{region}.{name}"


_HTTPS = 443
_PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
_INTERFACES: Mapping[str, Use] = {
    "athena": Use(
        (
            "athena:GetQueryExecution",
            "athena:GetWorkGroup",
            "athena:StartQueryExecution",
            "athena:StopQueryExecution",
        ),
        _LAKE,
    ),
    "ecr.api": Use((*_PULL[:2], "ecr:GetAuthorizationToken", *_PULL[2:])),
    "ecr.dkr": Use(_PULL),
    "glue": Use(
        (
            "glue:GetDatabase",
            "glue:GetPartition",
            "glue:GetPartitions",
            "glue:GetTable",
            "glue:GetTables",
        ),
        _LAKE,
    ),
    "kms": Use(
        ("kms:DescribeKey", "kms:GetPublicKey", "kms:Sign", "kms:Verify"),
        ("registrar", "registry-reader"),
    ),
    "logs": Use(
        (
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:DescribeLogStreams",
            "logs:PutLogEvents",
        )
    ),
    "sagemaker.api": Use(
        (
            "sagemaker:AddAssociation",
            "sagemaker:CreateAction",
            "sagemaker:CreateArtifact",
            "sagemaker:CreateModelPackage",
            "sagemaker:DescribeAction",
            "sagemaker:DescribeModelPackage",
            "sagemaker:DescribeModelPackageGroup",
            "sagemaker:DescribePipelineExecution",
            "sagemaker:ListArtifacts",
            "sagemaker:ListAssociations",
            "sagemaker:ListModelPackages",
            "sagemaker:ListPipelineExecutionSteps",
        ),
        ("registrar", "registry-reader"),
    ),
    "sts": Use(("sts:GetCallerIdentity",)),
}
_S3 = Use(
    (
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:GetBucketLocation",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:ListBucketMultipartUploads",
        "s3:ListMultipartUploadParts",
        "s3:PutObject",
    )
)
# AWS documents an endpoint service for tracking servers, which have another host than an App
# ("Connecting to an MLflow tracking server through an Interface VPC Endpoint" in the SageMaker AI
# Developer Guide; sagemaker-mlflow 0.5.0 calls mlflow.sagemaker.<region>.app.aws). AWS documents
# none for Apps, so the service is a setting.
_MLFLOW = "experiments"


def interfaces(settings: Settings) -> Mapping[str, Use]:
    """Returns service -> its use, of the services that are called from the VPC.

    A device check calls SageMaker, and its runtime only for a check by an endpoint.
    """
    uses = dict(_INTERFACES)
    if settings.network.mlflow_service:
        uses[_MLFLOW] = Use(
            ("sagemaker:CallMlflowAppApi",), ("registrar",), service=settings.network.mlflow_service
        )
    if settings.device_check != "off":
        api = uses["sagemaker.api"]
        actions = tuple(sorted({*api.actions, *device_actions(settings)}))
        uses["sagemaker.api"] = Use(actions, ("device-check", *api.callers))
    for endpoints in pack_objects("endpoints", load_packs(settings.packs, source="settings")):
        for name, use in endpoints(settings).items():
            uses[name] = _both(uses[name], use) if name in uses else use
    if settings.device_check == "endpoint":
        uses["sagemaker.runtime"] = Use((INVOKE,), ("device-check",))
    everybody = roles_of(settings, "job", "endpoint")
    return {
        name: use if use.callers else replace(use, callers=everybody)
        for name, use in sorted(uses.items())
    }


def list_services(stack: EnvironmentStack) -> None:
    """Writes what jobs call by endpoints into a template's metadata, for the doctor."""
    settings = stack.settings
    everybody = roles_of(settings, "job", "endpoint")
    uses = {**interfaces(settings), "s3": replace(_S3, callers=everybody)}
    services = {
        use.service.format(region=settings.region, name=name): {
            "actions": list(use.actions),
            "roles": [settings.role_arn(role) for role in use.callers],
            "resource": f"arn:aws:s3:::{prefix(settings)}-*" if name == "s3" else "*",
        }
        for name, use in uses.items()
    }
    stack.template_options.metadata = {SERVICES: services}


def _both(one: Use, other: Use) -> Use:
    """Joins two uses of a service; what a caller may do of it, its own policy says."""
    actions = tuple(sorted({*one.actions, *other.actions}))
    return replace(one, actions=actions, callers=(*one.callers, *other.callers))


class VpcEndpoints(Construct):
    """The VPC's endpoints: one for each service that is called from it."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        vpc: ec2.IVpc,
        group_id: str,
    ) -> None:
        super().__init__(scope, id)
        # EC2 refuses two subnets of a zone (DuplicateSubnetsInSameZone of CreateVpcEndpoint).
        of_zones = {one.availability_zone: one.subnet_id for one in vpc.isolated_subnets[::-1]}
        tables = dict.fromkeys(one.route_table.route_table_id for one in vpc.isolated_subnets)
        for name, use in interfaces(settings).items():
            endpoint = ec2.CfnVPCEndpoint(
                self,
                name.title().replace(".", ""),
                vpc_id=vpc.vpc_id,
                service_name=use.service.format(region=settings.region, name=name),
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=list(of_zones.values())[::-1],
                security_group_ids=[group_id],
                policy_document=iam.PolicyDocument(statements=[_statement(settings, use)]),
                tags=[CfnTag(key="Name", value=f"{prefix(settings)}-{name}")],
            )
            why = (
                "The actions and the calling roles are named here; each role's own policy names "
                "the resources that it may use."
            )
            acknowledge(endpoint, {"wildcard[Resource::*]": why})
        own_buckets = f"arn:aws:s3:::{prefix(settings)}-*"
        layers = f"arn:aws:s3:::prod-{settings.region}-starport-layer-bucket/*"
        pull = iam.PolicyStatement(
            principals=[iam.AnyPrincipal()], actions=["s3:GetObject"], resources=[layers]
        )
        use = replace(_S3, callers=roles_of(settings, "job", "endpoint"))
        own = _statement(settings, use, resources=[own_buckets])
        endpoint = ec2.CfnVPCEndpoint(
            self,
            "S3",
            vpc_id=vpc.vpc_id,
            service_name=f"com.amazonaws.{settings.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=list(tables),
            policy_document=iam.PolicyDocument(statements=[own, pull]),
        )
        acknowledge(
            endpoint,
            {
                f"wildcard[Resource::{own_buckets}]": "The environment's own buckets; "
                "each role's own policy names those that it may use.",
                f"wildcard[Resource::{layers}]": "ECR's own bucket: image layers have no names.",
                "public": "ECR fetches layers from its bucket by presigned URLs, which are not "
                "signed by this account's roles; the statement names that bucket alone.",
            },
        )


def _statement(
    settings: Settings, use: Use, *, resources: Sequence[str] = ("*",)
) -> iam.PolicyStatement:
    callers = [settings.role_arn(role) for role in use.callers]
    return iam.PolicyStatement(
        principals=[iam.AnyPrincipal()],
        actions=list(use.actions),
        resources=list(resources),
        conditions={
            "ArnEquals": {"aws:PrincipalArn": callers},
            "StringEquals": {"aws:PrincipalAccount": settings.account},
        },
    )


class FlowLogs(Construct):
    """A VPC's flow logs, their key, and the role that writes them."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        vpc: ec2.Vpc,
        removal_policy: RemovalPolicy,
    ) -> None:
        """Logs all flows of `vpc`; the log and its key go as `removal_policy` says."""
        super().__init__(scope, id)
        name = f"/{prefix(settings)}/vpc-flow-logs"
        destination = arn(settings, "logs", f"log-group:{name}")
        key = kms.Key(
            self,
            "Key",
            description="The VPC's flow logs",
            enable_key_rotation=True,
            removal_policy=removal_policy,
        )
        key.add_alias(key_alias(settings, "network")).apply_removal_policy(removal_policy)
        encrypt_logs(key, settings, [name], operator="ArnEquals")
        group = log_group(self, "Group", name, key=key, removal_policy=removal_policy)
        writer = add_role(
            self,
            "Writer",
            name=None,
            description="VPC flow logs: write to their log group",
            trust=service(settings, "vpc-flow-logs", "vpc-flow-log/*", owner="ec2"),
            boundary=boundary_of(self, settings),
            allowed=[
                allow(
                    ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                    [f"{destination}:*"],
                    why="The streams of this one group, one an interface; their names come at run "
                    "time.",
                ),
                allow(
                    ["logs:DescribeLogGroups"],
                    [arn(settings, "logs", "log-group:*")],
                    why="VPC looks its group up in the list of all, as AWS documents for flow "
                    "logs.",
                ),
            ],
            inline="The one permission of a role for one service, gone with it.",
        )
        ec2.CfnFlowLog(
            self,
            "Log",
            resource_id=vpc.vpc_id,
            resource_type="VPC",
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=destination,
            deliver_logs_permission_arn=writer.role_arn,
        ).node.add_dependency(group)


def add_network(stack: EnvironmentStack, *, definitions: Iterable[Mapping[str, Any]]) -> JobNetwork:
    """Adds a VPC of isolated subnets, its endpoints, flow logs and security groups to a stack.

    One group is of the jobs and endpoint containers, one of the VPC endpoints. Where a job of the
    pipelines' `definitions` has several nodes, a third lets them talk to each other. In an existing
    VPC only those endpoints and groups are made that the settings want made.

    Raises:
        InputError: if a group is made and the settings lack S3's prefix list of the region.
    """
    settings, network = stack.settings, stack.settings.network
    vpc = _existing_vpc(stack) if network.vpc_id else _own_vpc(stack)
    groups, nodes, egress, doors = network.security_groups, None, [], None
    if network.endpoints == "ours":
        doors = ec2.SecurityGroup(
            stack,
            "Endpoints",
            vpc=vpc,
            security_group_name=f"{prefix(settings)}-endpoints",
            description="VPC endpoints: HTTPS from the jobs",
            allow_all_outbound=False,
        ).security_group_id
        egress.append(_tcp("AWS services", destination_security_group_id=doors))
    for cidr in network.egress:
        egress.append(_tcp("AWS services", cidr_ip=cidr))
        if network.proxy and network.proxy.port != _HTTPS:
            egress.append(_tcp("proxy", port=network.proxy.port, cidr_ip=cidr))
    if not groups:
        s3 = _tcp("S3", destination_prefix_list_id=_s3_prefix_list(settings))
        # Its rules stand in the group itself: a group without one may send anything anywhere, and
        # the construct of the higher level would put both rules beside it.
        jobs = ec2.CfnSecurityGroup(
            stack,
            "Jobs",
            vpc_id=vpc.vpc_id,
            group_name=f"{prefix(settings)}-jobs",
            group_description="Jobs and endpoint containers: HTTPS to AWS alone",
            security_group_egress=[*egress, s3],
        )
        groups = (jobs.attr_group_id,)
        several_nodes = any(nodes_group_id() in json.dumps(one) for one in definitions)
        nodes = _nodes_group(stack, vpc, egress[0]) if several_nodes else None
    if doors:
        for number, group in enumerate(groups):
            ec2.CfnSecurityGroupIngress(
                stack,
                f"EndpointsFromJobs{number or ''}",
                group_id=doors,
                source_security_group_id=group,
                ip_protocol="tcp",
                from_port=_HTTPS,
                to_port=_HTTPS,
                description="jobs",
            )
        VpcEndpoints(stack, "Doors", settings=settings, vpc=vpc, group_id=doors)
    subnet_ids = tuple(subnet.subnet_id for subnet in vpc.isolated_subnets)
    return JobNetwork(subnet_ids=subnet_ids, group_ids=groups, nodes_group_id=nodes)


def _existing_vpc(stack: EnvironmentStack) -> ec2.IVpc:
    subnets = stack.settings.network.subnets
    return ec2.Vpc.from_vpc_attributes(
        stack,
        "Vpc",
        vpc_id=str(stack.settings.network.vpc_id),
        availability_zones=[subnet.zone for subnet in subnets],
        isolated_subnet_ids=[subnet.id for subnet in subnets],
        # Where endpoints are theirs it may be missing, and nothing reads it.
        isolated_subnet_route_table_ids=[str(subnet.route_table) for subnet in subnets],
    )


def _own_vpc(stack: EnvironmentStack) -> ec2.IVpc:
    """Adds a VPC of isolated subnets, and its flow logs."""
    settings = stack.settings
    vpc = ec2.Vpc(
        stack,
        "Vpc",
        vpc_name=prefix(settings),
        ip_addresses=ec2.IpAddresses.cidr(str(settings.network.cidr)),
        availability_zones=stack.availability_zones,
        nat_gateways=0,
        restrict_default_security_group=False,
        subnet_configuration=[
            ec2.SubnetConfiguration(
                name="jobs", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24
            )
        ],
    )
    acknowledge(
        vpc,
        {
            "NIST-VPCDefaultSecurityGroupClosed": "Only a custom resource could empty it, "
            "and its function could change any group. Nothing of ours can use it: the roles may "
            "make interfaces only in groups with the environment's tags. docs/first-deploy.md "
            "says how to empty it."
        },
    )
    for subnet in vpc.isolated_subnets:
        acknowledge(
            subnet,
            {
                "CloudFormation-Validate::W3010": "Letters, so that a zone that AWS adds to "
                "the region does not move a subnet; looking zones up takes credentials."
            },
        )
    FlowLogs(stack, "FlowLogs", settings=settings, vpc=vpc, removal_policy=stack.removal_policy)
    return vpc


def _nodes_group(
    stack: EnvironmentStack, vpc: ec2.IVpc, rule: ec2.CfnSecurityGroup.EgressProperty
) -> str:
    """Adds a group whose members may send each other anything, and returns its id.

    An EFA "must be a member of a security group that allows all inbound and outbound traffic to and
    from the security group itself" ("Create and attach an Elastic Fabric Adapter", Amazon EC2 User
    Guide). The same rules cover the encryption of other traffic between nodes, UDP 500 and protocol
    50 ("Protect Communications Between ML Compute Instances in a Distributed Training Job", Amazon
    SageMaker AI Developer Guide).
    """
    nodes = ec2.CfnSecurityGroup(
        stack,
        "Nodes",
        vpc_id=vpc.vpc_id,
        group_name=f"{prefix(stack.settings)}-nodes",
        group_description="Nodes of one job: anything to each other",
        # One of the jobs' own, as a group without a rule in itself may send anything anywhere.
        security_group_egress=[rule],
    )
    ingress = ec2.CfnSecurityGroupIngress(
        stack,
        "NodesFromNodes",
        group_id=nodes.attr_group_id,
        source_security_group_id=nodes.attr_group_id,
        ip_protocol="-1",
        description="nodes of a job",
    )
    acknowledge(
        ingress,
        {
            "NIST-EC2RestrictedCommonPorts": "From the group itself alone, which an Elastic Fabric "
            "Adapter requires: the nodes of one job."
        },
    )
    ec2.CfnSecurityGroupEgress(
        stack,
        "NodesToNodes",
        group_id=nodes.attr_group_id,
        destination_security_group_id=nodes.attr_group_id,
        ip_protocol="-1",
        description="nodes of a job",
    )
    return nodes.attr_group_id


def _tcp(description: str, *, port: int = _HTTPS, **to: Any) -> ec2.CfnSecurityGroup.EgressProperty:
    return ec2.CfnSecurityGroup.EgressProperty(
        ip_protocol="tcp", from_port=port, to_port=port, description=description, **to
    )


def _s3_prefix_list(settings: Settings) -> str:
    """Returns S3's prefix list from the settings; CloudFormation and synth cannot look it up."""
    region = settings.region
    prefix_list = settings.network.s3_prefix_lists.get(region)
    if prefix_list is None:
        raise InputError(
            f"config/{settings.environment}.yaml: key `network.s3_prefix_lists`: no entry for "
            f"{region}; add `{region}: pl-...`, which `aws ec2 describe-managed-prefix-lists "
            f"--region {region} --filters Name=prefix-list-name,Values=com.amazonaws.{region}.s3` "
            "prints"
        )
    return prefix_list
