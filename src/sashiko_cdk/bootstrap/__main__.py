"""The app of the policies that an account needs before `cdk bootstrap`; `make bootstrap` runs it.

`make bootstrap` deploys this app with the caller's own credentials, then runs the stock
`cdk bootstrap` with these policies in place of AdministratorAccess. They serve all environments of
the project in an account and region: so those are synthesized first, with the stacks of the
project's `infra/app.py`, and each with an endpoint, which a setting may add after the bootstrap.
"""

import importlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from aws_cdk import App

from sashiko.account.endpoint_spec import endpoint_name
from sashiko.account.names import arn
from sashiko.account.templates import Templates, read_templates
from sashiko.errors import InputError
from sashiko.settings.environment import Settings, deployed_environments, load_settings
from sashiko.settings.tools import TOOLS, Tools, load_tools, stages_tools
from sashiko_cdk.bootstrap.policies import add_policies, bootstrap_options
from sashiko_cdk.deployment import Deployment, cloud_settings, read_deployment
from sashiko_cdk.pack_parts import add_tools_stack
from sashiko_cdk.security_rules.plugin import add_rules


def environments_of(settings: Settings) -> Iterator[Settings]:
    """Yields the settings of all environments of an account and region, in the order of names."""
    place = (settings.project, settings.account, settings.region)
    for name in deployed_environments():
        if name == settings.environment:
            yield settings
            continue
        try:
            other = load_settings(name)
        except InputError as error:
            _leave_out(name, error)
            continue
        if (other.project, other.account, other.region) == place:
            yield other


def templates_of(settings: Settings) -> Templates:
    """Synthesizes an environment, with an endpoint if its settings allow one.

    The endpoint serves a placeholder version and scales.

    Raises:
        InputError: if a setting, a contract or the recipe is wrong.
    """
    deployment, serving = read_deployment(settings), settings.serving
    # The project's own module; the engine imports it only here.
    add_stacks = importlib.import_module("infra.app").add_stacks
    try:
        endpoint = endpoint_name(settings, deployment.recipes[0])
        placeholder = arn(settings, "sagemaker", f"model-package/{endpoint}/1")
        changes = {
            "enabled": True,
            "model_package_arn": serving.model_package_arn or placeholder,
            "max_instances": max(serving.max_instances, serving.min_instances + 1),
        }
        served = settings.model_copy(update={"serving": serving.model_copy(update=changes)})
        return _synthesize(add_stacks, replace(deployment, settings=served))
    except InputError as error:
        _leave_out(f"the endpoint of {settings.environment}", error)
        return _synthesize(add_stacks, deployment)


def _synthesize(add: Callable[[App, Any], None], of: Deployment | Tools) -> Templates:
    with tempfile.TemporaryDirectory() as folder:
        app = App(outdir=folder, analytics_reporting=False)
        add(app, of)
        app.synth()
        return read_templates(of.settings, folder=Path(folder))


def _leave_out(subject: str, error: InputError) -> None:
    print(f"note: {subject} is left out of what CloudFormation may do: {error}", file=sys.stderr)


def main() -> None:
    """Prints the options of the environment given as argument; synthesizes without one."""
    if len(sys.argv) > 1:
        name = sys.argv[1]
        settings = load_tools().settings if name == TOOLS else cloud_settings(name)
        delivering = None if name == TOOLS else stages_tools(settings)
        print(*bootstrap_options(settings, tools=delivering))
        return
    app = App()
    name = app.node.try_get_context("env") or "dev"
    trust = app.node.try_get_context("trust")
    if trust not in (None, "open"):
        raise InputError(f"TRUST={trust}: expected `open`, or no value")
    if trust:
        print(
            "warning: until the bootstrap's policies are deployed without TRUST=open, each deploy "
            "may change who can assume the project's roles",
            file=sys.stderr,
        )
    tools = load_tools() if name == TOOLS else None
    if tools:
        settings, templates = tools.settings, [_synthesize(add_tools_stack, tools)]
    else:
        settings = cloud_settings(name)
        templates = [templates_of(environment) for environment in environments_of(settings)]
    add_policies(app, settings, templates, tools=tools, trust_open=trust == "open")
    add_rules(app, retains=False)
    app.synth()


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
