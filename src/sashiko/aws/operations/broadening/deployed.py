"""The templates that an account's stacks were last deployed with."""

from collections.abc import Iterable

import yaml

from sashiko.aws.operations.broadening.compare import Template
from sashiko.aws.resources.account import Account


def deployed_templates(account: Account, stacks: Iterable[str]) -> dict[str, Template]:
    """Returns stack -> template of those that exist.

    Raises:
        InputError: without credentials, without the permission, or without a connection.
    """
    templates = {}
    for stack in stacks:
        # CloudFormation has one code for a stack that does not exist and for a wrong request.
        answer = account.read(
            "cloudformation",
            "get_template",
            absent=("ValidationError",),
            StackName=stack,
            TemplateStage="Original",
        )
        if answer:
            body = answer["TemplateBody"]
            # botocore reads JSON; the CDK deploys a stack without a bootstrap from YAML.
            templates[stack] = yaml.safe_load(body) if isinstance(body, str) else body
    return templates
