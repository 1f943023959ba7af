"""The checks of `sashiko env doctor --all`: a line for each account, read by its own profile."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sashiko.account.access.policy_evaluation import Statement, statements
from sashiko.account.account import Account
from sashiko.account.names import (
    BootstrapRole,
    bootstrap_role_arn,
    prefix,
)
from sashiko.doctor.deploy import CAP, check_bootstrap, check_cap
from sashiko.doctor.services import Check, Status, run_check
from sashiko.errors import InputError
from sashiko.settings.delivery import load_delivery, load_stages
from sashiko.settings.environment import Settings, deployed_environments, load_settings
from sashiko.settings.tools import load_tools, stages_tools

_ORDER: Final[tuple[Status, ...]] = ("failed", "unknown", "later", "note", "ok")
_FROM_OUTSIDE: Final[tuple[BootstrapRole, ...]] = ("deploy", "file-publishing", "lookup")


@dataclass(frozen=True, kw_only=True)
class Place:
    """An account that the project is deployed to or from."""

    settings: Settings  # of the environment; of the tools' account those that names follow from
    tools: str | None = None  # the account that delivers to it by the bootstrap's roles
    connection: str | None = None  # ARN of the connection that its pipeline reads by

    @property
    def profile(self) -> str:
        """The profile in the AWS configuration that reads it, where there is one."""
        return prefix(self.settings)


def read_places(*, folder: Path = Path("config")) -> list[Place]:
    """Returns the tools' account and those of all environments, the delivery's stages in order."""
    delivery = load_delivery(folder=folder)
    stages = load_stages(delivery, folder=folder) if delivery else ()
    tools = load_tools(folder=folder) if delivery and delivery.by == "codepipeline" else None
    known = {stage.environment for stage in stages}
    others = [name for name in deployed_environments(folder=folder) if name not in known]
    places = []
    if tools:
        places.append(Place(settings=tools.settings, connection=tools.delivery.source.connection))
    for settings in (*stages, *(load_settings(name, folder=folder) for name in others)):
        own = stages_tools(settings, folder=folder)
        places.append(
            Place(
                settings=settings,
                tools=own.settings.account if own else None,
            )
        )
    return places


def examine_accounts(places: list[Place]) -> Iterator[Check]:
    """Yields one check for each account: who reads it, and whether the delivery reaches it.

    An account that cannot be read fails, and the others are read all the same.
    """
    import boto3

    profiles = boto3.session.Session().available_profiles
    for place in places:
        profile = place.profile if place.profile in profiles else None
        every = list(_examine(place, Account(place.settings, profile=profile), profile))
        status = min((check.status for check in every), key=_ORDER.index)
        lines = [check for check in every if check.status != "ok"] or every
        where = f"{place.settings.account} in {place.settings.region}"
        detail = f"{where}: {'; '.join(f'{check.name}: {check.detail}' for check in lines)}"
        fix = "; then ".join(check.fix for check in lines if check.fix)
        yield Check(place.settings.environment, status, detail, fix=fix)


def _examine(place: Place, account: Account, profile: str | None) -> Iterator[Check]:
    try:
        caller = account.check_identity()
    except InputError as error:
        fix = (
            f"aws sso login --profile {profile}"
            if profile
            else f"add a profile {place.profile} to ~/.aws/config (docs/delivery.md, Accounts)"
        )
        yield Check("credentials", "failed", str(error), fix=fix)
        return
    yield Check("credentials", "ok", f"as {caller}")
    yield from run_check("CDK bootstrap", lambda: check_bootstrap(account, place.settings))
    yield from run_check(CAP, lambda: check_cap(account, place.settings))
    yield from run_check("trust", lambda: _trust(account, place))
    if connection := place.connection:
        yield from run_check("connection", lambda: check_connection(account, connection))


def _trust(account: Account, place: Place) -> Iterator[Check]:
    settings = place.settings
    known = {settings.account, *([place.tools] if place.tools else [])}
    for part in _FROM_OUTSIDE:
        trust = _role_trust(account, bootstrap_role_arn(settings, part).rpartition("/")[2])
        if trust is None:
            continue  # the check of the bootstrap says so
        names = [name for item in trust for name in item.principals]
        accounts = {name.split(":")[4] if name.startswith("arn:") else name for name in names}
        if missing := sorted(known - accounts):
            detail = f"the bootstrap's role {part} does not trust {', '.join(missing)}"
            yield Check("trust", "failed", detail, fix=f"make bootstrap ENV={settings.environment}")
        if others := sorted(accounts - known):
            yield Check(
                "trust",
                "note",
                detail=f"the bootstrap's role {part} trusts {', '.join(others)}, which "
                "config/delivery.yaml does not name",
                fix=f"make bootstrap ENV={settings.environment}, if unwanted",
            )


def check_connection(account: Account, connection: str) -> Check:
    """Checks that the connection to the repository's host was accepted there."""
    response = account.read("codeconnections", "get_connection", ConnectionArn=connection) or {}
    status = response["Connection"]["ConnectionStatus"]
    if status == "AVAILABLE":
        return Check("connection", "ok", "available")
    detail = f"{connection} is {status}: no merge starts the pipeline"
    fix = "Developer Tools, Settings, Connections in the console: Update pending connection"
    return Check("connection", "failed", detail, fix=fix)


def _role_trust(account: Account, name: str) -> tuple[Statement, ...] | None:
    response = account.read("iam", "get_role", absent=("NoSuchEntity",), RoleName=name)
    return statements(response["Role"]["AssumeRolePolicyDocument"]) if response else None
