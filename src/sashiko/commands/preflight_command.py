"""`sashiko preflight`: checks that the images and the version in the settings may be used."""

import sys
from functools import partial
from typing import TYPE_CHECKING

import typer

from sashiko.commands.options import DeployedEnvironment
from sashiko.errors import CHECK_FAILED
from sashiko.pipeline.project import choose_recipe
from sashiko.settings.environment import load_deployed

if TYPE_CHECKING:
    from sashiko.account.account import Account
    from sashiko.registry.preflight.expected import Expected
    from sashiko.registry.preflight.scans import ScanRule


def preflight(env: DeployedEnvironment = "dev") -> None:
    """Check the scans of an environment's images, and the version that it serves. Read-only.

    A critical finding in an image of the account stops a deploy, unless images/accepted.yaml
    accepts it with a reason until a day; an image without a scan stops one where the tier is prod.
    The version that `serving.model_package_arn` names must be approved, judged by every gate,
    within `serving.bounds`, signed, unchanged, and compiled for the image and the instance that
    serve it. The serving stack checks both again before it changes anything; what your credentials
    may not read is checked there alone. Exit status: 0 all of it may be used; 4 it may not; 1 an
    error.
    """
    from sashiko.account.account import Account, DeniedError
    from sashiko.account.endpoint_spec import expected_version, scan_rule
    from sashiko.base.custom_resource import RefusedError

    settings = load_deployed(env)
    recipe = choose_recipe(settings, None)
    rule, expected = scan_rule(settings, recipe), expected_version(settings, recipe)
    account = Account(settings)
    account.check_identity()
    refusals = []
    for check in (partial(_check_images, rule), partial(_check_version, expected, env)):
        try:
            with account.translate_errors("the preflight"):
                check(account)
        except RefusedError as refusal:
            refusals.append(str(refusal))
        except DeniedError as error:
            where = "but by the serving stack" if expected else "and nothing else checks it"
            print(f"not checked here, {where}: {error}", file=sys.stderr)
    for reason in refusals:
        print(f"refused: {reason}", file=sys.stderr)
    if refusals:
        raise typer.Exit(CHECK_FAILED)


def _check_images(rule: "ScanRule", account: "Account") -> None:
    from sashiko.registry.preflight.scans import check_scans

    for note in check_scans(account.client("ecr"), rule):
        print(note, file=sys.stderr)
    print(f"{len(rule.images)} images of {account.number}: nothing stops a deploy", file=sys.stderr)


def _check_version(expected: "Expected | None", env: str, account: "Account") -> None:
    from sashiko.registry.preflight.signed_files import Clients
    from sashiko.registry.preflight.version_check import check

    if expected is None:
        typer.echo(f"{env} serves nothing: serving.enabled is false")
        return
    clients = Clients(
        sagemaker=account.client("sagemaker"),
        s3=account.client("s3"),
        kms=account.client("kms"),
        scaling=account.client("application-autoscaling"),
    )
    passed = check(clients, expected)
    for bound in passed.bounds:
        print(f"{env} asks for {bound}: it holds", file=sys.stderr)
    typer.echo(
        f"{expected.model_package_arn} may be served: {passed.files} signed files hold, "
        f"threshold {passed.threshold}"
    )
