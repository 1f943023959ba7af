"""`sashiko env`, with the checks of an account before a deploy, and before a run."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sashiko.account.templates import CDK_OUT
from sashiko.commands.options import AsJson, DeployedEnvironment, Home, TemplatesFolder
from sashiko.doctor.services import Check
from sashiko.errors import CHECK_FAILED, InputError
from sashiko.pipeline.project import HOME, choose_recipe
from sashiko.settings.environment import Settings, load_deployed

if TYPE_CHECKING:
    from sashiko.account.account import Account
    from sashiko.registry.preflight.expected import Expected
    from sashiko.registry.preflight.scans import ScanRule

app = typer.Typer(
    help="Check an environment's account, compare it with the templates, and show its costs.",
    no_args_is_help=True,
)


def preflight(env: DeployedEnvironment = "dev") -> None:
    """Check that an environment's images and the version that it serves may be deployed. Read-only.

    A critical finding in an image stops a deploy, unless images/accepted.yaml accepts it with a
    reason and a date; where the tier is prod, so does an image without a scan. The version that
    `serving.model_package_arn` names must be approved, judged by every gate, within
    `serving.bounds`, signed, unchanged, and compiled for the image and the instance that serve it.
    The serving stack checks all of it again before it changes anything. Exit status: 0 all may be
    deployed; 4 not; 1 an error.
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
            where = "but by the serving stack" if expected else "but the serving stack does it"
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
    from sashiko.registry.preflight.signed_files import connect
    from sashiko.registry.preflight.version_check import check

    if expected is None:
        typer.echo(f"{env} serves nothing: serving.enabled is false")
        return
    clients = connect(account.client)
    passed = check(clients, expected)
    for bound in passed.bounds:
        print(f"{env} requires {bound}: the version meets it", file=sys.stderr)
    typer.echo(
        f"{expected.model_package_arn} may be served: {passed.files} signed files match, "
        f"threshold {passed.threshold}"
    )


_WIDTH = 8  # of the longest status, and a space


def doctor(
    env: DeployedEnvironment = "dev",
    templates: TemplatesFolder = CDK_OUT,
    home: Home = HOME,
    probe: Annotated[
        bool, typer.Option("--probe-network", help="Also run a job in each subnet: it is billed.")
    ] = False,
    json_: AsJson = False,
) -> None:
    """Check an account before a deploy and a run; print a fix for each failed check. Read-only.

    `--probe-network` alone starts something: a short job in each subnet of the deployed pipeline,
    which connects to each service that jobs call.

    Without the output of `make synth`, what needs it is skipped. Status `later` means a step that
    you have not taken yet, `note` something to review, `unknown` what your credentials may not
    read. Exit status: 0 no check failed; 4 a check failed; 1 an error, such as credentials of
    another account.
    """
    checks = []
    for check in _checks(load_deployed(env), templates, home, probe=probe):
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


def _checks(settings: Settings, templates: Path, home: Path, *, probe: bool) -> Iterator[Check]:
    from sashiko.account.access.environment_access import read_environment
    from sashiko.account.account import Account
    from sashiko.doctor.deploy import examine
    from sashiko.doctor.network_probe import cost_at_most, probe_network
    from sashiko.doctor.plan import examine_plan
    from sashiko.doctor.services import check_tools, run_check

    environment, account = None, Account(settings)
    yield from check_tools(templates)
    try:
        environment = read_environment(settings, folder=templates)
    except InputError as error:
        detail = f"{error}. Skipped: Lake Formation, endpoint services"
        yield Check("templates", "later", detail, fix=f"make synth ENV={settings.environment}")
    yield from examine(account, settings, environment)
    yield from examine_plan(account, settings, home=home)
    if probe and environment:
        print(f"network probe: {cost_at_most(settings)}", file=sys.stderr)
        yield from run_check("network probe", partial(probe_network, account, environment))
