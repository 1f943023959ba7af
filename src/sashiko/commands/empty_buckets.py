"""`sashiko empty-buckets`: S3 deletes no bucket with an object, so `make destroy` runs it first."""

import sys
from typing import Annotated

import typer

from sashiko.commands.options import DeployedEnvironment
from sashiko.errors import InputError
from sashiko.settings import load_settings


def empty_buckets(
    env: DeployedEnvironment = "dev",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete every object and every version in an environment's buckets, so that they can go.

    It does nothing where `on_destroy` is `retain`: there buckets outlive their stack.
    """
    from sashiko.aws.account import Account
    from sashiko.aws.emptying import contents, empty

    settings = load_settings(env)
    if settings.on_destroy == "retain":
        typer.echo(f"{env} keeps its buckets (`on_destroy: retain`): nothing was emptied")
        return
    account = Account(settings)
    account.check_identity()
    found = contents(settings, account)
    for item in found:
        print(f"{item.bucket}: {item.objects} objects, {item.size / 1e6:.1f} MB", file=sys.stderr)
    if sum(item.objects for item in found) and not yes:
        _confirm(env)
    deleted = 0
    for item in found:
        for count in empty(item.bucket, account):
            deleted += count
            print(f"{item.bucket}: {deleted} deleted", file=sys.stderr)
    typer.echo(f"{deleted} objects and versions deleted from {len(found)} buckets of {env}")


def _confirm(env: str) -> None:
    if not sys.stdin.isatty():
        raise InputError(f"deleting all data of {env} needs a yes: run it with --yes")
    answer = typer.prompt(f"This deletes all of it for good. Type {env} to go on", err=True)
    if answer != env:
        raise InputError("nothing was deleted")
