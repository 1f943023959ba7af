"""`sashiko broadening`: what a deploy would allow that is not allowed yet."""

import json
import sys
from dataclasses import asdict

import typer

from sashiko.aws.operations.templates import CDK_OUT
from sashiko.commands.options import AsJson, Place, TemplatesFolder
from sashiko.settings.tools import load_place


def broadening(
    env: Place = "dev",
    templates: TemplatesFolder = CDK_OUT,
    json_: AsJson = False,
) -> None:
    """List what the synthesized templates allow beyond the deployed ones. Read-only.

    It compares policies and trust (IAM), keys (KMS), grants, filters and tags of Lake Formation,
    the network's ways in and out, and the pipeline that delivers. A stack that is not deployed yet
    allows nothing. It prints nothing if nothing broadens; the exit status is 0 either way.
    """
    from sashiko.aws.operations.broadening.bootstrap import lacking
    from sashiko.aws.operations.broadening.compare import broadenings
    from sashiko.aws.operations.broadening.deployed import deployed_templates
    from sashiko.aws.operations.templates import read_templates
    from sashiko.aws.resources.account import Account

    settings = load_place(env)
    synthesized = read_templates(settings, folder=templates)
    new = {stack: scope.template for stack, scope in synthesized.stacks.items()}
    needs = {stack: scope.template for stack, scope in synthesized.bootstrap.items()}
    account = Account(settings)
    account.check_identity()
    if missing := lacking(deployed_templates(account, needs), needs):
        print(
            f"warning: CloudFormation in {env} lacks {len(missing)} permissions that the templates "
            f"need, such as: {missing[0]}; run `make bootstrap ENV={env}` before the deploy",
            file=sys.stderr,
        )
    changes = broadenings(deployed_templates(account, new), new)
    if json_:
        typer.echo(json.dumps([asdict(change) for change in changes], indent=2))
        return
    for change in changes:
        typer.echo(f"{change.kind:<13} {change.stack} {change.resource}: {change.change}")
    if not changes:
        print(f"nothing in {env} broadens what is allowed", file=sys.stderr)
