"""`sashiko model deliver` and `rollback`: the commit that names the version to serve."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from sashiko.account.names import model_package_group_name
from sashiko.commands.options import DeployedEnvironment
from sashiko.errors import InputError
from sashiko.pipeline.project import choose_recipe
from sashiko.settings.delivery import load_delivery
from sashiko.settings.environment import load_deployed

if TYPE_CHECKING:
    from sashiko_packs.delivery.deliver import Target
    from sashiko_packs.delivery.repository import Repository


def deliver(
    version: Annotated[
        int | None, typer.Argument(help="The version's number; default: the newest approved one.")
    ] = None,
    env: DeployedEnvironment = "dev",
) -> None:
    """Commit the version that an environment serves, on the branch model/<env>/<version>.

    Checks the version as the deploy does, sets it in config/<env>.yaml, and prints the branch. The
    checked-out branch and your files stay as they are. A second call makes nothing new. Nothing is
    printed for a version that is served already, or, unless you name it, that was taken back. Uses
    your credentials, which must be those of the role `endpoint-deployer`.
    """
    from sashiko.account.model_registry import AccountRegistry
    from sashiko_packs.delivery.deliver import is_taken_back

    repository, target = _open(env)
    group = model_package_group_name(target.settings, target.recipe.model_package_group)
    registry = AccountRegistry(target.settings)
    chosen = registry.champion(group) if version is None else registry.version(group, version)
    if chosen is None:
        raise InputError(
            f"no version of {group} is approved: sashiko model approve VERSION --env {env} "
            "--reason ..."
        )
    if chosen.status != "Approved":
        raise InputError(
            f"{chosen.arn} is {chosen.status}, not Approved; the approver decides: sashiko model "
            f"approve {chosen.version} --env {env} --reason ..."
        )
    arn = str(chosen.arn)
    if version is None and is_taken_back(repository, target.file, arn):
        print(
            f"{arn} was served before and taken back; to serve it again: sashiko model deliver "
            f"{chosen.version} --env {env}",
            file=sys.stderr,
        )
        return
    _deliver(repository, target, arn, rollback=False)


def rollback(env: DeployedEnvironment = "dev") -> None:
    """Commit the version that an environment served before, on the branch model/<env>/<version>.

    The history of config/<env>.yaml names it. It is checked like any other: it must still be
    registered, approved and unchanged. `sashiko model deliver VERSION` serves another one.
    """
    from sashiko_packs.delivery.deliver import served_before

    repository, target = _open(env)
    _deliver(repository, target, served_before(repository, target.file), rollback=True)


def _open(env: str) -> tuple["Repository", "Target"]:
    from sashiko_packs.delivery.deliver import Target
    from sashiko_packs.delivery.repository import Repository

    delivery, settings = load_delivery(), load_deployed(env)
    repository = Repository(starts_at=delivery.source.branch if delivery else None)
    return repository, Target(settings=settings, recipe=choose_recipe(settings, None))


def _deliver(repository: "Repository", target: "Target", arn: str, *, rollback: bool) -> None:
    from sashiko_packs.delivery.deliver import deliver as make_branch

    branch = make_branch(repository, target, arn, rollback=rollback)
    if branch is None:
        print(f"{target.file} serves {arn} already", file=sys.stderr)
        return
    typer.echo(branch)
    env = target.settings.environment
    print(
        f"next: git push origin {branch}, and a merge into {repository.branch}; then, where no "
        f"pipeline deploys it, make deploy ENV={env}",
        file=sys.stderr,
    )
