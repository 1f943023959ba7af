"""The names of what delivers approved models in the tools' account."""

from sashiko.account.names import arn, prefix
from sashiko.settings.tools import Tools


def model_build_name(tools: Tools) -> str:
    """Names the CodeBuild project that delivers approved models, and its role."""
    return f"{prefix(tools.settings)}-models"


def model_build_role_arn(tools: Tools) -> str:
    """Returns the role of that build, which each environment's `endpoint-deployer` trusts."""
    return f"arn:aws:iam::{tools.settings.account}:role/{model_build_name(tools)}"


def approvals_bus_name(tools: Tools) -> str:
    """Names the event bus that approvals of all environments arrive at."""
    return f"{prefix(tools.settings)}-approvals"


def approvals_bus_arn(tools: Tools) -> str:
    """Returns the ARN of that bus."""
    return arn(tools.settings, "events", f"event-bus/{approvals_bus_name(tools)}")
