"""A project's own `infra/app.py` that takes seconds: two stacks, one after the other."""

SMALL_APP = '''\
"""Two stacks of a dashboard, whose text is what a merge changes."""

import json
from pathlib import Path

from aws_cdk import App, aws_cloudwatch as cloudwatch

from infra.stacks.delivery import Delivery
from sashiko.aws.resources.names import prefix
from sashiko.settings.tools import Tools
from sashiko_cdk.app import run_app
from sashiko_cdk.deployment import Deployment
from sashiko_cdk.stack import EnvironmentStack


def add_stacks(app: App, deployment: Deployment) -> None:
    """Adds both."""
    before = None
    text = {"type": "text", "properties": {"markdown": Path("infra/text").read_text()}}
    for part in ("First", "Second"):
        stack = EnvironmentStack(app, part, deployment, stateful=False, description=part)
        cloudwatch.CfnDashboard(
            stack,
            "Dashboard",
            dashboard_name=f"{prefix(deployment.settings)}-{part}",
            dashboard_body=json.dumps({"widgets": [text]}),
        )
        if before:
            stack.add_stack_dependency(before)
        before = stack


def add_delivery(app: App, tools: Tools) -> None:
    """Adds the stack of the tools' account."""
    Delivery(app, tools)


if __name__ == "__main__":
    run_app(add_stacks, add_delivery=add_delivery)
'''
