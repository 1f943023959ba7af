"""The permissions that every SageMaker container needs: logs, metrics, network interfaces."""

from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed, allow


def container_basics(settings: Settings) -> list[Allowed]:
    """Returns the permissions of jobs and endpoints in a VPC, without any on data."""
    region, account = settings.region, settings.account
    ec2 = f"arn:aws:ec2:{region}:{account}"
    own_network = {
        "StringEquals": {
            "aws:ResourceTag/project": settings.project,
            "aws:ResourceTag/environment": settings.environment,
        }
    }
    return [
        allow(
            [
                "logs:CreateLogGroup",
                "logs:CreateLogStream",
                "logs:DescribeLogStreams",
                "logs:PutLogEvents",
            ],
            [f"arn:aws:logs:{region}:{account}:log-group:/aws/sagemaker/*"],
            why="SageMaker names the groups and streams of jobs; all of them lie under this path.",
        ),
        allow(
            ["cloudwatch:PutMetricData"],
            ["*"],
            conditions={
                "StringEquals": {
                    "cloudwatch:namespace": [
                        "/aws/sagemaker/Endpoints",
                        "/aws/sagemaker/ProcessingJobs",
                        "/aws/sagemaker/TrainingJobs",
                    ]
                }
            },
            why="Metrics are no resources; the condition names the three namespaces.",
        ),
        allow(
            ["ec2:CreateNetworkInterface"],
            [f"{ec2}:security-group/*", f"{ec2}:subnet/*"],
            conditions=own_network,
            why="Network comes after Identity; the condition on tags means its subnets and groups.",
        ),
        allow(
            [
                "ec2:CreateNetworkInterface",
                "ec2:CreateNetworkInterfacePermission",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteNetworkInterfacePermission",
            ],
            [f"{ec2}:network-interface/*"],
            why="SageMaker makes and removes the interfaces of a job; their ids are not known.",
        ),
        allow(
            [
                "ec2:DescribeDhcpOptions",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
            ],
            ["*"],
            why="EC2 has no permissions on single resources for these reading calls.",
        ),
    ]
