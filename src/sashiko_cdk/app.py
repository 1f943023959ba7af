"""Runs a project's app: an environment's settings in, its templates out."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from aws_cdk import App

from sashiko.account.templates import read_templates
from sashiko.base.deprecation import show_deprecations
from sashiko.errors import InputError
from sashiko.settings.tools import TOOLS, load_tools
from sashiko_cdk.bootstrap.policies import write_policies
from sashiko_cdk.deployment import Deployment, cloud_settings, read_deployment
from sashiko_cdk.pack_parts import add_tools_stack
from sashiko_cdk.security_rules.plugin import add_rules

__all__ = ["run_app"]

AddStacks = Callable[[App, Deployment], None]


def run_app(add_stacks: AddStacks) -> None:
    """Synthesizes the environment that the context key `env` names; exits with 1 on bad input.

    It reads files and calls nothing. A template that breaks a security rule is an error.

    Args:
        add_stacks: adds the project's stacks to the app, in the order in which they are deployed.
    """
    show_deprecations()
    try:
        synthesize(add_stacks)
    except InputError as error:
        sys.exit(f"error: {error}")


def synthesize(add_stacks: AddStacks) -> None:
    """Writes the templates, and those of the policies for their deployment.

    Raises:
        InputError: if a setting, a contract or the recipe is wrong, or a template breaks a rule.
    """
    app = App()
    name = app.node.try_get_context("env") or "dev"
    tools = load_tools() if name == TOOLS else None
    if tools:
        settings = tools.settings
        add_tools_stack(app, tools)
    else:
        settings = cloud_settings(name)
        add_stacks(app, read_deployment(settings))
    report = bool(app.node.try_get_context("security-report"))
    add_rules(app, retains=settings.on_destroy == "retain", nist=report)
    try:
        app.synth()
    except RuntimeError as error:
        # The findings are on stderr already, resource by resource.
        if "ValidationFailed" not in str(error):
            raise
        # In a report, `sashiko_cdk.security_report` decides whether a finding is a failure.
        if not report:
            raise InputError("the templates break a rule: see the findings above") from error
    folder = Path(app.outdir)
    policies = folder / "bootstrap"
    # Those of the last synth, which may have been another environment's.
    shutil.rmtree(policies, ignore_errors=True)
    templates = [read_templates(settings, folder=folder)]
    write_policies(settings, templates, policies, tools=tools, report=report)
