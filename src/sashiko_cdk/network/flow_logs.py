"""The VPC's flow logs: an encrypted log of accepted and rejected flows."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from sashiko.account.names import key_alias, prefix
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import allow, explain
from sashiko_cdk.identity.boundary import boundary_of
from sashiko_cdk.identity.trust import service
from sashiko_cdk.lake.domain_key import FOR_LOGS
from sashiko_cdk.security_rules.acknowledge import acknowledge


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
        arn = f"arn:aws:logs:{settings.region}:{settings.account}:log-group:{name}"
        key = _key(self, settings, arn, removal_policy)
        group = logs.LogGroup(
            self,
            "Group",
            log_group_name=name,
            retention=logs.RetentionDays.ONE_YEAR,
            encryption_key=key,
            removal_policy=removal_policy,
        )
        ec2.CfnFlowLog(
            self,
            "Log",
            resource_id=vpc.vpc_id,
            resource_type="VPC",
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=arn,
            deliver_logs_permission_arn=_writer(self, settings, arn).role_arn,
        ).node.add_dependency(group)


def _key(
    scope: Construct, settings: Settings, log_group: str, removal_policy: RemovalPolicy
) -> kms.Key:
    key = kms.Key(
        scope,
        "Key",
        description="The VPC's flow logs",
        enable_key_rotation=True,
        removal_policy=removal_policy,
    )
    key.add_alias(key_alias(settings, "network")).apply_removal_policy(removal_policy)
    key.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[iam.ServicePrincipal(f"logs.{settings.region}.amazonaws.com")],
            actions=list(FOR_LOGS),
            resources=["*"],
            conditions={"ArnEquals": {"kms:EncryptionContext:aws:logs:arn": log_group}},
        )
    )
    return key


def _writer(scope: Construct, settings: Settings, log_group: str) -> iam.Role:
    allowed = [
        allow(
            [
                "logs:CreateLogStream",
                "logs:DescribeLogStreams",
                "logs:PutLogEvents",
            ],
            [f"{log_group}:*"],
            why="The streams of this one group, one an interface; their names come at run time.",
        ),
        allow(
            ["logs:DescribeLogGroups"],
            [f"arn:aws:logs:{settings.region}:{settings.account}:log-group:*"],
            why="VPC looks its group up in the list of all, as AWS documents for flow logs.",
        ),
    ]
    role = iam.Role(
        scope,
        "Writer",
        description="VPC flow logs: write to their log group",
        assumed_by=service(settings, "vpc-flow-logs", "vpc-flow-log/*", owner="ec2"),
        permissions_boundary=boundary_of(scope, settings),
        inline_policies={
            "own": iam.PolicyDocument(statements=[item.statement for item in allowed])
        },
    )
    explain(role, allowed)
    acknowledge(
        role,
        {"NIST-IAMNoInlinePolicy": "The one permission of a role for one service, gone with it."},
    )
    return role
