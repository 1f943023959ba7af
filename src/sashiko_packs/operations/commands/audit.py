"""`sashiko audit`: differences between the account and the templates."""

import json
import sys
from dataclasses import asdict

import typer

from sashiko.account.templates import CDK_OUT
from sashiko.commands.options import AsJson, DeployedEnvironment, TemplatesFolder
from sashiko.errors import CHECK_FAILED
from sashiko.settings.environment import load_deployed


def audit(
    env: DeployedEnvironment = "dev", templates: TemplatesFolder = CDK_OUT, json_: AsJson = False
) -> None:
    """Compare the account with the templates where CloudFormation detects no drift. Read-only.

    It reads Lake Formation's settings, LF-Tags, filters, grants and locations, the catalog's
    tables, the live endpoint, imported models, and whether deploys may change who assumes the
    roles (TRUST=open). docs/audit.md says how to detect the drift of everything else.

    A note reports what others may have added, such as another administrator; it does not count as
    a difference. Exit status: 0 no difference, 4 differences, 1 an error.
    """
    from sashiko.account.access.environment_access import read_environment
    from sashiko.account.access.live import read_live
    from sashiko.account.account import Account
    from sashiko_packs.operations.audit import cap, imported_models, serving
    from sashiko_packs.operations.lake import compare_lake

    settings = load_deployed(env)
    environment = read_environment(settings, folder=templates)
    account = Account(settings)
    caller = account.check_identity()
    print(f"reading {settings.account} in {settings.region} as {caller}", file=sys.stderr)
    live = read_live(account, environment)
    if live.settings and not live.settings.lists_all_to(caller):
        print(
            "warning: the caller is not a data-lake administrator, not even a read-only one, and "
            "Lake Formation lists to others only what they were granted: what is missing below may "
            "exist",
            file=sys.stderr,
        )
    differences = [
        *cap(account, settings),
        *compare_lake(environment, live),
        *serving(account, environment),
        *imported_models(account, environment),
    ]
    drift = [item for item in differences if item.kind != "note"]
    notes = len(differences) - len(drift)
    if json_:
        typer.echo(json.dumps([asdict(item) for item in differences], indent=2))
    else:
        for item in differences:
            typer.echo(f"{item.kind:<8} {item.resource}")
            if item.detail:
                typer.echo(f"         {item.detail}")
            typer.echo(f"         {'if unwanted' if item.kind == 'note' else 'fix'}: {item.fix}")
        summary = f"{len(drift) or 'no'} difference{'s' * (len(drift) != 1)}"
        typer.echo(summary + (f", {notes} note{'s' * (notes != 1)}" if notes else ""))
    if drift:
        raise typer.Exit(CHECK_FAILED)
