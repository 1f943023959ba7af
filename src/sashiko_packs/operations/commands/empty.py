"""`sashiko empty`: deletes what would block a destroy; `make destroy` runs it first."""

import sys
from typing import Annotated

import typer

from sashiko.commands.options import Place, Yes, confirm
from sashiko.settings.tools import load_place


def empty(
    env: Place = "dev",
    yes: Yes = False,
    undo: Annotated[
        bool,
        typer.Option(
            "--undo",
            help="Delete nothing; reopen the buckets that an interrupted destroy closed.",
        ),
    ] = False,
) -> None:
    """Delete an environment's data and registered models, so that its stacks can be destroyed.

    Delete every version of every object in its buckets, and every version in its model package
    groups. Do nothing if `on_destroy` is `retain`: then they outlive the stacks.
    """
    from sashiko.account.account import Account
    from sashiko.account.emptying import contents, empty_bucket, packages, reopen, unregister

    settings = load_place(env)
    if settings.on_destroy == "retain":
        typer.echo(f"{env} keeps its data (`on_destroy: retain`): nothing was deleted")
        return
    account = Account(settings)
    account.check_identity()
    if undo:
        opened = list(reopen(settings, account))
        typer.echo(f"open again: {', '.join(opened) or 'none was closed'}")
        return
    buckets, models = contents(settings, account), packages(settings, account)
    for item in buckets:
        print(f"{item.bucket}: {item.objects} objects, {item.size / 1e6:.1f} MB", file=sys.stderr)
    print(f"{len(models)} registered models", file=sys.stderr)
    if (models or any(item.objects for item in buckets)) and not yes:
        confirm(f"all data of {env}", word=env)
    deleted = 0
    for item in buckets:
        for count in empty_bucket(item.bucket, account):
            deleted += count
            print(f"{item.bucket}: {deleted} deleted", file=sys.stderr)
    for arn in models:
        unregister(arn, account)
        print(f"{arn}: deleted", file=sys.stderr)
    typer.echo(
        f"{deleted} objects and versions deleted from {len(buckets)} buckets of {env}, and "
        f"{len(models)} registered models"
    )
