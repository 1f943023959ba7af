"""`sashiko doctor`: checks an account before a deploy, and before a run."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sashiko.account.templates import CDK_OUT
from sashiko.commands.options import AsJson, DeployedEnvironment, Home, TemplatesFolder
from sashiko.doctor.check_result import Check
from sashiko.errors import CHECK_FAILED
from sashiko.pipeline.project import HOME
from sashiko.settings.environment import Settings, load_deployed

_WIDTH = 8  # of the longest status, and a space


def doctor(
    env: DeployedEnvironment = "dev",
    all_: Annotated[
        bool,
        typer.Option(
            "--all",
            help="A line for each account instead: credentials, bootstrap, and whom it trusts.",
        ),
    ] = False,
    templates: TemplatesFolder = CDK_OUT,
    home: Home = HOME,
    json_: AsJson = False,
) -> None:
    """Check the account before a deploy and a run; print the fix of each failed check. Read-only.

    Statuses: `later` is a step that has not been taken yet, `note` needs your review, `unknown` is
    what the credentials may not read. With --all, each account is read by the profile
    `<project>-<environment>` of your AWS configuration, or by your own credentials where there is
    none. Exit status: 0 no check failed, 4 a check failed, 1 an error, such as credentials of
    another account.
    """
    from sashiko.doctor.accounts import examine_accounts, read_places

    checks = []
    if all_:
        results = examine_accounts(read_places())
    else:
        results = _checks(load_deployed(env), templates, home)
    for check in results:
        checks.append(check)
        if not json_:
            typer.echo(f"{check.status:<{_WIDTH}}{check.name}: {check.detail}")
            if check.fix:
                typer.echo(f"{'':<{_WIDTH}}fix: {check.fix}")
            sys.stdout.flush()
    if json_:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    if any(check.status == "failed" for check in checks):
        raise typer.Exit(CHECK_FAILED)


def _checks(settings: Settings, templates: Path, home: Path) -> Iterator[Check]:
    from sashiko.account.access.environment_access import read_environment
    from sashiko.account.account import Account
    from sashiko.doctor.deploy import examine
    from sashiko.doctor.plan import examine_plan, plan_of
    from sashiko.doctor.services import check_tools

    environment = read_environment(settings, folder=templates)
    yield from check_tools(templates)
    account = Account(settings)
    yield from examine(account, environment)
    yield from examine_plan(account, settings, plan_of(settings, home=home))
