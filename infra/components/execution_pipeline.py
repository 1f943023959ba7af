"""What CloudFormation may do to pipelines, and to read what another stack of ours has made."""

from infra.components.allow import Allowed, allow
from sashiko.settings import Settings

_NAMED = "All names of the project begin with its prefix; environments are not known here."


def pipeline(settings: Settings) -> list[Allowed]:
    """Returns what the pipeline takes; it starts none."""
    region, account, project = settings.region, settings.account, settings.project
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
            [f"arn:aws:sagemaker:{region}:{account}:pipeline/{project}-*"],
            why=_NAMED,
        ),
        # `Fn::GetStackOutput` asks as the role that deploys.
        allow(
            ["cloudformation:DescribeStacks"],
            [f"arn:aws:cloudformation:{region}:{account}:stack/{project}-*"],
            why=_NAMED,
        ),
    ]
