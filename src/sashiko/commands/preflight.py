"""`sashiko preflight`: checks that the version in the settings may be served."""

import sys

import typer

from sashiko.commands.options import DeployedEnvironment
from sashiko.core.exit_status import CHECK_FAILED
from sashiko.pipeline.project import choose_recipe
from sashiko.settings.environment import load_deployed


def preflight(env: DeployedEnvironment = "dev") -> None:
    """Check the version that `serving.model_package_arn` names, as the deploy does. Read-only.

    It must be approved, judged by every gate, within `serving.bounds`, signed, unchanged, and
    compiled for the image and the instance that serve it. If your credentials may not read models,
    the command says so; the serving stack then does the check before it changes anything. Exit
    status: 0 it may be served, or nothing is served; 4 it may not; 1 an error.
    """
    from sashiko.aws.functions.custom_resource import RefusedError
    from sashiko.aws.functions.preflight.check import check
    from sashiko.aws.functions.preflight.signed_files import Clients
    from sashiko.aws.operations.expected_version import expected_version
    from sashiko.aws.resources.account import Account, DeniedError

    settings = load_deployed(env)
    expected = expected_version(settings, choose_recipe(settings, None))
    if expected is None:
        typer.echo(f"{env} serves nothing: serving.enabled is false")
        return
    account = Account(settings)
    account.check_identity()
    clients = Clients(
        sagemaker=account.client("sagemaker"),
        s3=account.client("s3"),
        kms=account.client("kms"),
        scaling=account.client("application-autoscaling"),
    )
    try:
        with account.translate_errors("the preflight"):
            passed = check(clients, expected)
    except RefusedError as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        raise typer.Exit(CHECK_FAILED) from refusal
    except DeniedError as error:
        print(f"not checked here, but by the serving stack: {error}", file=sys.stderr)
        return
    for bound in passed.bounds:
        print(f"{env} asks for {bound}: it holds", file=sys.stderr)
    typer.echo(
        f"{expected.model_package_arn} may be served: {passed.files} signed files hold, "
        f"threshold {passed.threshold}"
    )
