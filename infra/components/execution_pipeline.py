"""What CloudFormation may do to pipelines, and to read what another stack of ours has made."""

from infra.components.allow import Allowed, allow
from infra.components.execution_scope import NAMED
from sashiko.aws.names import arn
from sashiko.settings import Settings


def pipeline(settings: Settings) -> list[Allowed]:
    """Returns what the pipeline takes; it starts none."""
    project = settings.project
    return [
        allow(
            [
                "sagemaker:AddTags",
                "sagemaker:CreatePipeline",
                "sagemaker:DeletePipeline",
                "sagemaker:DeleteTags",
                "sagemaker:DescribePipeline",
                "sagemaker:ListTags",
                "sagemaker:UpdatePipeline",
            ],
            [arn(settings, "sagemaker", f"pipeline/{project}-*")],
            why=NAMED,
        ),
        # `Fn::GetStackOutput` asks as the role that deploys.
        allow(
            ["cloudformation:DescribeStacks"],
            [arn(settings, "cloudformation", f"stack/{project}-*")],
            why=NAMED,
        ),
    ]
