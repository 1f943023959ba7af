"""What CloudFormation may do to models, endpoints, their scaling and dashboards."""

from typing import Final

from infra.components.allow import Allowed, allow
from infra.components.execution_scope import NAMED
from sashiko.aws.names import arn
from sashiko.settings import Settings

_SCALING_ROLE = (
    "aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)

# A name here would refuse the call without one; docs/first-deploy.md says how to try it.
ALARMS_OF_SCALING: Final = (
    "Application Auto Scaling tries to make, list and delete alarms as the caller, with no alarm's "
    "name, before it registers anything (its user guide, permission validation)."
)


def serving(settings: Settings) -> list[Allowed]:
    """Returns what serving takes; it calls no endpoint."""
    return [*_hosting(settings), *_scaling(settings), _dashboards(settings)]


def _hosting(settings: Settings) -> list[Allowed]:
    project = settings.project
    kinds = ("Model", "EndpointConfig", "Endpoint")
    return [
        allow(
            [
                f"sagemaker:{verb}{kind}"
                for verb in ("Create", "Delete", "Describe")
                for kind in kinds
            ]
            + [
                "sagemaker:AddTags",
                "sagemaker:DeleteTags",
                "sagemaker:ListTags",
                "sagemaker:UpdateEndpoint",
                # Application Auto Scaling asks whether who registers an endpoint may scale it.
                "sagemaker:UpdateEndpointWeightsAndCapacities",
            ],
            [
                arn(settings, "sagemaker", f"{kind}/{project}-*")
                for kind in ("model", "endpoint-config", "endpoint")
            ],
            why=NAMED,
        ),
        # A model of a package is made of what the package says.
        allow(
            ["sagemaker:DescribeModelPackage"],
            [arn(settings, "sagemaker", f"model-package/{project}-*")],
            why=NAMED,
        ),
        # SageMaker opens the key of an endpoint's volumes by a grant, which it makes as the caller.
        allow(
            ["kms:CreateGrant"],
            [arn(settings, "kms", "key/*")],
            conditions={
                "StringEquals": {"kms:ViaService": f"sagemaker.{settings.region}.amazonaws.com"}
            },
            why="Keys have no names; only SageMaker, for its own use, can ask this way.",
        ),
    ]


def _scaling(settings: Settings) -> list[Allowed]:
    return [
        allow(
            [
                f"application-autoscaling:{action}"
                for action in (
                    "DeleteScalingPolicy",
                    "DeregisterScalableTarget",
                    "ListTagsForResource",
                    "PutScalingPolicy",
                    "RegisterScalableTarget",
                    "TagResource",
                    "UntagResource",
                )
            ],
            [arn(settings, "application-autoscaling", "scalable-target/*")],
            why="Application Auto Scaling makes up the ids of what it scales.",
        ),
        allow(
            [
                "application-autoscaling:DescribeScalableTargets",
                "application-autoscaling:DescribeScalingPolicies",
                "application-autoscaling:DescribeScheduledActions",
            ],
            ["*"],
            why="Application Auto Scaling describes all or nothing.",
        ),
        allow(
            ["cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm"],
            ["*"],
            why=ALARMS_OF_SCALING,
        ),
        # The role that it scales as; the first endpoint of an account makes it.
        allow(
            ["iam:CreateServiceLinkedRole"],
            [f"arn:aws:iam::{settings.account}:role/{_SCALING_ROLE}"],
        ),
    ]


def _dashboards(settings: Settings) -> Allowed:
    return allow(
        [
            "cloudwatch:DeleteDashboards",
            "cloudwatch:GetDashboard",
            "cloudwatch:ListTagsForResource",
            "cloudwatch:PutDashboard",
            "cloudwatch:TagResource",
            "cloudwatch:UntagResource",
        ],
        [f"arn:aws:cloudwatch::{settings.account}:dashboard/{settings.project}-*"],
        why=NAMED,
    )
