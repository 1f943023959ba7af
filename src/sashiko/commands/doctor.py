"""`sashiko doctor`: whether an account is ready for a deploy."""

import json
import sys
from dataclasses import asdict

import typer

from sashiko.aws.templates import CDK_OUT
from sashiko.commands.audit import FOUND
from sashiko.commands.options import AsJson, DeployedEnvironment, TemplatesFolder
from sashiko.settings import load_settings


def doctor(
    env: DeployedEnvironment = "dev", templates: TemplatesFolder = CDK_OUT, json_: AsJson = False
) -> None:
    """Check the account before a deploy; it only reads, and prints what mends a failed check.

    Exit status: 0 ready, 4 a check failed, 1 an error, such as credentials of another account.
    """
    from sashiko.aws.account import Account
    from sashiko.aws.doctor import examine
    from sashiko.aws.environment import read_environment

    settings = load_settings(env)
    environment = read_environment(settings, folder=templates)
    checks = []
    for check in examine(Account(settings), environment):
        checks.append(check)
        if not json_:
            typer.echo(f"{check.status:<6}  {check.name}: {check.detail}")
            if check.fix:
                typer.echo(f"        fix: {check.fix}")
            sys.stdout.flush()
    if json_:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    if any(check.status == "failed" for check in checks):
        raise typer.Exit(FOUND)
