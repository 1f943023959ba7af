"""The VPC endpoints and their policies, from a table of who calls which service in the VPC.

S3 and Athena call KMS and Lake Formation on the service side; from inside the VPC, KMS is called
for signatures only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aws_cdk import CfnTag
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from sashiko.account.names import Role, prefix
from sashiko.packs import load_packs, pack_objects
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.role_permissions import INVOKE, device_actions
from sashiko_cdk.identity.role_table import roles_of
from sashiko_cdk.security_rules.acknowledge import acknowledge

_LAKE: tuple[Role, ...] = ("bias-evaluator", "broker")


@dataclass(frozen=True)
class Use:
    """The calls of one service that leave the VPC."""

    actions: tuple[str, ...]  # what is called
    callers: tuple[Role, ...] = ()  # the roles that call it; without one: every job and endpoint
    # The endpoint service's name, with the region left open.
    service: str = "com.amazonaws.{region}.{name}"


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
            "sagemaker:ListArtifacts",
            "sagemaker:ListAssociations",
            "sagemaker:ListModelPackages",
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
        uses |= endpoints(settings)
    if settings.device_check == "endpoint":
        uses["sagemaker.runtime"] = Use((INVOKE,), ("device-check",))
    everybody = roles_of(settings, "job", "endpoint")
    return {
        name: use if use.callers else replace(use, callers=everybody)
        for name, use in sorted(uses.items())
    }


class VpcEndpoints(Construct):
    """The VPC's endpoints: one for each service that is called from it."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        vpc: ec2.Vpc,
        group: ec2.ISecurityGroup,
    ) -> None:
        super().__init__(scope, id)
        for name, use in interfaces(settings).items():
            endpoint = ec2.CfnVPCEndpoint(
                self,
                name.title().replace(".", ""),
                vpc_id=vpc.vpc_id,
                service_name=use.service.format(region=settings.region, name=name),
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=[subnet.subnet_id for subnet in vpc.isolated_subnets],
                security_group_ids=[group.security_group_id],
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
            route_table_ids=[subnet.route_table.route_table_id for subnet in vpc.isolated_subnets],
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
