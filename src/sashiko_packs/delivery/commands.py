"""`sashiko env workflow`, and `sashiko model deliver` and `rollback`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer
from jinja2 import Environment, PackageLoader, StrictUndefined

from sashiko.account.names import GITHUB_DEPLOYER, GITHUB_READER, model_package_group_name
from sashiko.commands.options import DeployedEnvironment
from sashiko.errors import InputError
from sashiko.pipeline.project import choose_recipe
from sashiko.settings.delivery import DELIVERY_FILE, approved_stages, load_delivery, load_stages
from sashiko.settings.environment import load_deployed

if TYPE_CHECKING:
    from sashiko_packs.delivery.deliver import Target
    from sashiko_packs.delivery.repository import Repository


# `deliver` brings a merge to the environments, `model-delivery` proposes approved versions.
WorkflowName = Literal["deliver", "model-delivery"]
# Each by the commit of its release: a tag can be moved.
_ACTIONS: Final = {
    "checkout": "actions/checkout@d23441a48e516b6c34aea4fa41551a30e30af803 # v6.1.0",
    "setup_python": "actions/setup-python@ece7cb06caefa5fff74198d8649806c4678c61a1 # v6.3.0",
    "setup_node": "actions/setup-node@249970729cb0ef3589644e2896645e5dc5ba9c38 # v6.5.0",
    "upload_artifact": "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f # v7.0.0",
    "download_artifact": "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c "
    "# v8.0.1",
    "configure_aws_credentials": "aws-actions/configure-aws-credentials@"
    "e6de054238d6b7531b4efff3b6587d9aade6a06c # v6.2.3",
}


def render_workflow(name: WorkflowName = "deliver", *, folder: Path = Path("config")) -> str:
    """Returns the text of `.github/workflows/<name>.yml`.

    Raises:
        InputError: if GitHub Actions does not deliver, or a settings file is not valid.
    """
    delivery = load_delivery(folder=folder)
    file = folder / DELIVERY_FILE
    if delivery is None:
        raise InputError(
            f"{file} does not exist: it says what is delivered (docs/delivery.md, GitHub Actions)"
        )
    if delivery.by != "actions":
        raise InputError(f"{file}: key `by`: {delivery.by} delivers; a workflow needs `actions`")
    # GitHub's expressions have double braces.
    environment = Environment(
        loader=PackageLoader("sashiko_packs.delivery", ""),
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # YAML, of values that the settings' patterns limit
    )
    stages = load_stages(delivery, folder=folder)
    return environment.get_template(f"{name}.yml.j2").render(
        branch=delivery.source.branch,
        stages=stages,
        approved=[stage.environment for stage in approved_stages(stages)],
        reader=GITHUB_READER,
        deployer=GITHUB_DEPLOYER,
        **_ACTIONS,
    )


def workflow(
    name: Annotated[WorkflowName, typer.Argument(help="The workflow.")] = "deliver",
) -> None:
    """Print a GitHub Actions workflow for .github/workflows/<name>.yml, from config/delivery.yaml.

    `deliver` builds, tests and synthesizes once, and deploys that assembly to each stage in turn.
    `model-delivery` opens the pull request of an approved version, each hour. Print them again
    after a change of the settings: each compares itself with the output of this command.
    """
    typer.echo(render_workflow(name), nl=False)


def deliver(
    version: Annotated[
        int | None, typer.Argument(help="The version's number; default: the newest approved one.")
    ] = None,
    env: DeployedEnvironment = "dev",
) -> None:
    """Propose a version for an environment: commit it to the branch model/<env>/<version>.

    The version is checked as the deploy checks it, and set in config/<env>.yaml of the branch,
    which is printed. Your own branch and files stay as they are. Nothing is done for a version that
    is served already, nor, unless you name it, for one that was taken back. Use the role
    `endpoint-deployer`.
    """
    from sashiko.account.account_registry import AccountRegistry
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
    """Propose the version that an environment served before, on the branch model/<env>/<version>.

    The history of config/<env>.yaml names it. Like any other, it must still be registered, approved
    and unchanged. `sashiko model deliver VERSION` proposes another one.
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
